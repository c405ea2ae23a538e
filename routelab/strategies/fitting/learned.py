"""What a strategy learned, as plain arrays: no pickles, so a file from elsewhere is data and never code.

A strategy that learns keeps one `Learned` in its field `learned`. In YAML a small one is written out; a larger one
becomes an `.npz` file beside the YAML, which names the file and its hash (`RouteConfig.to_yaml`).
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.values import digest

INLINE = 2_000
"""Up to so many numbers in all are written out in YAML."""
MOST_BYTES = 512_000_000
_DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "bool")
_WORDS = {"inf": math.inf, "-inf": -math.inf}

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Learned:
    """Named arrays of numbers and the plain facts about them; equal by content, and not to be changed.

    `arrays` may hold floats of 64 or 32 bits, integers up to 64 bits and truth values; `about` what JSON can hold
    (texts, finite numbers, true, false, null, lists, mappings), such as the models in the order of the columns.
    Raises ValueError, "learned: …", for anything else.

    >>> Learned(arrays={"mean": np.array([0.5, 0.7])}, about={"models": ["a", "b"]}).inline()
    {'arrays': {'mean': [0.5, 0.7]}, 'about': {'models': ['a', 'b']}}
    """

    arrays: Mapping[str, Array]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Sorted, so that the order in which a strategy learned changes no hash.
        object.__setattr__(self, "arrays", {name: _frozen(name, array) for name, array in sorted(self.arrays.items())})
        object.__setattr__(self, "about", {_key(k): _fact(v) for k, v in self.about.items()})

    def __repr__(self) -> str:
        return f"<Learned {self.digest}: {self.numbers:,} numbers in {len(self.arrays)} arrays>"

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Learned) and self.digest == other.digest

    def __hash__(self) -> int:
        return int(self.digest, 16)

    @property
    def numbers(self) -> int:
        """How many numbers there are in all arrays."""
        return sum(array.size for array in self.arrays.values())

    @property
    def small(self) -> bool:
        """Whether YAML holds it whole."""
        return self.numbers <= INLINE

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that depend on the content and nothing else."""
        parts = [
            [name, array.dtype.name, list(array.shape), hashlib.sha256(_little(array).tobytes()).hexdigest()]
            for name, array in self.arrays.items()
        ]
        return digest(parts, self.about)

    def inline(self) -> dict[str, Any]:
        """Return plain values that `learned_of` turns back into an equal value."""
        about = {} if not self.about else {"about": _lists(self.about)}
        return {"arrays": {name: _written(array) for name, array in self.arrays.items()}, **about}

    def told(self) -> dict[str, Any]:
        """Return plain values that identify the content without holding it, for logs and reports."""
        shapes = {name: f"{array.dtype.name} {'×'.join(map(str, array.shape))}" for name, array in self.arrays.items()}
        return {"digest": self.digest, "arrays": shapes, "about": _lists(self.about)}

    def to_bytes(self) -> bytes:
        """Return the arrays as the bytes of an `.npz` file, equal for equal arrays."""
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{name: _little(array) for name, array in self.arrays.items()})
        return file.getvalue()

    @staticmethod
    def from_bytes(raw: bytes, about: Mapping[str, Any] | None = None) -> Learned:
        """Return what the bytes of an `.npz` file hold; ValueError when they are no arrays of numbers."""
        try:
            with np.load(io.BytesIO(raw), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as trouble:
            raise ValueError(f"is not a file of arrays ({' '.join(str(trouble).split())[:120]})") from None
        return Learned(arrays=arrays, about=about or {})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, core_schema

        def taken(value: Any) -> Learned:
            try:
                return learned_of(value)
            except ValueError as trouble:
                said = str(trouble).removeprefix("learned: ").removeprefix("learned.")
                raise PydanticCustomError("learned", "{said}", {"said": said}) from None

        return core_schema.no_info_plain_validator_function(taken)


def learned_of(value: Any) -> Learned:
    """Return the value that `Learned.inline` wrote; ValueError says what does not fit."""
    if isinstance(value, Learned):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("must be `key: value` lines with arrays")
    if "file" in value:
        raise ValueError("its arrays are in a file, which only from_yaml finds")
    unknown = [name for name in value if name not in ("arrays", "about")]
    if unknown or not isinstance(value.get("arrays"), Mapping) or not isinstance(value.get("about", {}), Mapping):
        raise ValueError(
            f"unknown key '{unknown[0]}' (keys here: arrays, about)" if unknown else "arrays and about must be mappings"
        )
    return Learned(
        arrays={name: _read(str(name), array) for name, array in value["arrays"].items()}, about=value.get("about", {})
    )


def placed(spec: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Learned]]:
    """Yield every `Learned` within plain values with the keys that lead to it; positions in lists count as keys."""
    if isinstance(spec, Learned):
        yield key, spec
    elif isinstance(spec, Mapping):
        for name, value in spec.items():
            yield from placed(value, (*key, str(name)))
    elif isinstance(spec, (list, tuple)):
        for i, value in enumerate(spec):
            yield from placed(value, (*key, str(i)))


def told(spec: Any) -> Any:
    """Return plain values with every `Learned` within them told instead of held."""
    if isinstance(spec, Learned):
        return spec.told()
    if isinstance(spec, Mapping):
        return {name: told(value) for name, value in spec.items()}
    return [told(value) for value in spec] if isinstance(spec, (list, tuple)) else spec


def _frozen(name: str, array: Any) -> Array:
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"learned: {name!r} cannot be an array's name")
    own = np.array(array, order="C", copy=True)
    if own.dtype.name not in _DTYPES:
        raise ValueError(f"learned.arrays.{name}: must hold numbers, not {own.dtype}")
    if own.dtype.byteorder == ">":
        own = own.astype(own.dtype.newbyteorder("="))
    if own.dtype.kind == "f":
        own[np.isnan(own)] = np.nan  # there are many NaNs, and a text keeps one
    own.setflags(write=False)
    return own


def _little(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"learned.about: {name!r} cannot be a name")
    return name


def _fact(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {_key(k): _fact(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return tuple(_fact(v) for v in value)
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"learned.about: {value!r} is not plain (texts, finite numbers, lists, mappings)")


def _lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _lists(v) for k, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, tuple) else value


def _written(array: Array) -> Any:
    """Return nested lists where they say everything, else a mapping with the type and the shape."""
    values = _numbers(array.tolist())
    plain = array.ndim > 0 and array.size > 0 and array.dtype.name in ("float64", "int64", "bool")
    # A float array without a float to be seen (all blank) would come back as something else.
    if plain and (array.dtype.name != "float64" or bool(np.isfinite(array).any())):
        return values
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": _numbers(array.reshape(-1).tolist())}


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        # Numbers that YAML's readers spell differently.
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def _read(name: str, written: Any) -> Array:
    where = f"learned.arrays.{name}"
    if isinstance(written, np.ndarray):
        return written
    dtype, shape, values = None, None, written
    if isinstance(written, Mapping):
        if set(written) != {"dtype", "shape", "values"} or written["dtype"] not in _DTYPES:
            raise ValueError(f"{where}: needs dtype ({', '.join(_DTYPES)}), shape and values")
        dtype, shape, values = written["dtype"], written["shape"], written["values"]
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise ValueError(f"{where}: must be a list of numbers")
    try:
        array = np.array(_values(values), dtype=dtype)
        return array if shape is None else array.reshape(tuple(int(k) for k in shape))
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{where}: is not an array of numbers, with rows of equal length") from None


def _values(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_values(v) for v in value]
    if value is None:
        return math.nan
    if isinstance(value, str):
        if value not in _WORDS:
            raise ValueError(value)
        return _WORDS[value]
    if isinstance(value, (bool, int, float)):
        return value
    raise ValueError(repr(value))
