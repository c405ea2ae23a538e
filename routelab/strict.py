"""The door for YAML: text becomes plain values with no surprises, and every complaint names file, line and key.

Stricter than YAML 1.1 on purpose (measured: a plain safe loader keeps the last of two equal keys, reads `no` as False, `012` as 10
and `12:30` as 750): duplicate keys, aliases, other types than text, numbers, true/false, null, lists and mappings are errors.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pydantic
import yaml

from routelab.core.errors import ConfigError, suggest

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
LONGEST_NUMBER = 40
_TAG = "tag:yaml.org,2002:"
_OWN = tuple(_TAG + kind for kind in ("str", "bool", "int", "float", "null", "timestamp", "merge", "value"))
"""The tags that a plain text can have without being given one."""
_WORDS = {"true": True, "false": False, "": None, "null": None, "~": None}
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_UNPRINTABLE = re.compile("[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML does not take even in a comment; a comment may quote anything."""
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?\Z")


@dataclass(frozen=True, kw_only=True)
class Document:
    """A parsed file: its values, its name, and the line on which each dotted key stands."""

    values: Mapping[str, Any]
    name: str
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, *key: str | int) -> str:
        """Return "file:line: dotted.key" for the key, or for its nearest parent whose line is known."""
        dotted = ".".join(str(k) for k in key)
        for depth in range(len(key), -1, -1):
            line = self.lines.get(".".join(str(k) for k in key[:depth]))
            if line is not None:
                return f"{self.name}:{line}: {dotted}" if dotted else f"{self.name}:{line}"
        return f"{self.name}: {dotted}" if dotted else self.name


def read(path: str | Path) -> Document:
    """Return the document in a YAML file; ConfigError names the file and the line."""
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file", hint=_neighbours(path)) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, not a YAML file") from None
    except OSError as trouble:
        raise ConfigError(f"{path}: cannot be read ({trouble.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: {len(raw):,} bytes is more than a configuration may have ({MAX_BYTES:,})")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as trouble:
        line = raw[: trouble.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: byte {trouble.start} is not UTF-8", hint="save the file as UTF-8") from None
    return parse(text, name=str(path))


def _neighbours(path: Path) -> str | None:
    folder = path.parent
    found = sorted(p.name for p in folder.glob("*.y*ml"))[:5] if folder.is_dir() else []
    return f"YAML files in {folder}: {', '.join(found)}" if found else None


def parse(text: str, *, name: str = "yaml") -> Document:
    """Return the document in a YAML text whose top level is a mapping."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as trouble:
        mark = trouble.problem_mark or trouble.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{name}{line}: not YAML: {trouble.problem or trouble.context}") from None
    except yaml.reader.ReaderError as trouble:
        line = f":{text.count(chr(10), 0, trouble.position) + 1}"
        raise ConfigError(f"{name}{line}: not YAML: {str(trouble).splitlines()[0]}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested more than {MAX_DEPTH} levels deep") from None
    if node is None:
        raise ConfigError(f"{name}: the file is empty")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: the top level must be `key: value` lines")
    lines: dict[str, int] = {}
    values = _value(node, (), _Door(name=name, lines=lines, seen=set()))
    return Document(values=values, name=name, lines=lines)


@dataclass(frozen=True, kw_only=True)
class _Door:
    name: str
    lines: dict[str, int]
    seen: set[int]

    def refuse(self, node: yaml.Node, message: str, hint: str | None = None) -> ConfigError:
        # The top level has no key to name.
        return ConfigError(f"{self.name}:{node.start_mark.line + 1}: {message.removeprefix(': ')}", hint=hint)

    def allow(self, node: yaml.Node, dotted: str, *tags: str) -> None:
        """Refuse a tag that the value does not have by itself: `!!int "3"`, `!env KEY`, `!!python/...`."""
        if node.tag not in tags:
            raise self.refuse(
                node, f"{dotted}: the tag {node.tag} is not allowed", "plain text, numbers, true, false, null only"
            )


def _value(node: yaml.Node, key: tuple[str, ...], door: _Door) -> Any:
    dotted = ".".join(key)
    # A node reached twice is an alias: small files could then stand for huge values.
    if id(node) in door.seen:
        raise door.refuse(node, f"{dotted}: anchors and aliases (&, *) are not allowed", "write the value out")
    if len(key) > MAX_DEPTH:
        raise door.refuse(node, f"nested more than {MAX_DEPTH} levels deep")
    door.seen.add(id(node))
    door.lines.setdefault(dotted, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(node, key, door))
    if isinstance(node, yaml.SequenceNode):
        door.allow(node, dotted, _TAG + "seq")
        return [_value(child, (*key, str(i)), door) for i, child in enumerate(node.value)]
    return _scalar(node, dotted, door)


def _pairs(node: yaml.MappingNode, key: tuple[str, ...], door: _Door) -> Iterator[tuple[str, Any]]:
    door.allow(node, ".".join(key), _TAG + "map")
    known: dict[str, int] = {}
    for name_node, value_node in node.value:
        if not isinstance(name_node, yaml.ScalarNode):
            raise door.refuse(name_node, f"{'.'.join(key)}: a key must be a plain name")
        if id(name_node) in door.seen:
            raise door.refuse(name_node, f"{'.'.join(key)}: a key must not be an alias", "write the key out")
        door.seen.add(id(name_node))
        door.allow(name_node, ".".join(key), *_OWN)
        name = str(name_node.value)
        line = name_node.start_mark.line + 1
        if name in known:
            raise door.refuse(
                name_node, f"{'.'.join((*key, name))}: given twice (first on line {known[name]})", "keep one"
            )
        known[name] = line
        door.lines[".".join((*key, name))] = line
        yield name, _value(value_node, (*key, name), door)


def _scalar(node: yaml.Node, dotted: str, door: _Door) -> Any:
    assert isinstance(node, yaml.ScalarNode)
    text = str(node.value)
    if node.style in ("'", '"', "|", ">"):
        door.allow(node, dotted, _TAG + "str")
        return text
    if text in _WORDS:
        door.allow(node, dotted, _TAG + ("null" if _WORDS[text] is None else "bool"))
        return _WORDS[text]
    if _INT.match(text):
        door.allow(node, dotted, _TAG + "int")
        if len(text) > LONGEST_NUMBER:
            raise door.refuse(node, f"{dotted}: the number is too large")
        return int(text)
    if _FLOAT.match(text) and not re.match(r"[-+]?0[0-9]", text):
        door.allow(node, dotted, _TAG + "float", _TAG + "str")
        return _finite(float(text), node, dotted, door)
    door.allow(node, dotted, *(_TAG + kind for kind in ("str", "bool", "int", "float", "timestamp")))
    if text.lower() in ("yes", "no", "on", "off", "true", "false"):
        raise door.refuse(
            node, f"{dotted}: `{text}` could mean a word or a truth value", f"write true, false or '{text}'"
        )
    if node.tag in (_TAG + "int", _TAG + "float"):
        raise door.refuse(
            node,
            f"{dotted}: `{text}` reads as different numbers in different tools",
            f"write '{text}' or a plain number",
        )
    return text


def _finite(number: float, node: yaml.Node, dotted: str, door: _Door) -> float:
    if not math.isfinite(number):
        raise door.refuse(node, f"{dotted}: the number is too large")
    return number


def dump(values: Mapping[str, Any], *, comment: str = "") -> str:
    """Return YAML that `parse` reads back to equal values; keys keep their order, texts that could be misread are quoted."""
    head = "".join(f"# {_UNPRINTABLE.sub(_UNKNOWN, line)}".rstrip() + "\n" for line in comment.splitlines())
    return head + yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


_ODD = "\x7f\x85\u2028\u2029\ufeff"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" in text and text.strip() == text and not any(c in _ODD or (ord(c) < 32 and c != "\n") for c in text):
        # Texts of several lines are read, and compared, line by line; what no block can hold is quoted all the same.
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    risky = (
        text.strip() != text
        or text.lower() in ("", "yes", "no", "on", "off", "true", "false", "null", "~", "y", "n")
        or bool(_INT.match(text) or _FLOAT.match(text))
        or re.fullmatch(r"[-+.0-9][-+.:_0-9eExXoOabcdefABCDEF]*", text) is not None
        or any(ord(c) < 32 or c in _ODD for c in text)
    )
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if risky else None)


def _list(dumper: yaml.SafeDumper, values: Sequence[Any]) -> yaml.SequenceNode:
    # Measurements that belong together stay on a line; anything else is one entry a line.
    measured = any(type(v) is float for v in values) and all(v is None or isinstance(v, (int, float)) for v in values)
    return dumper.represent_sequence(_TAG + "seq", list(values), flow_style=measured)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)


T = TypeVar("T")
_PLAIN = {
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be `key: value` lines",
    "mapping_type": "must be `key: value` lines",
}


def build(cls: type[T], values: Mapping[str, Any], key: tuple[str | int, ...], document: Document) -> T:
    """Return the dataclass that the values describe; ConfigError names the first thing that does not fit.

    Unknown keys are refused with the nearest known one; texts are not turned into numbers nor the other way round.
    """
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            near = suggest(name, known)
            raise ConfigError(
                f"{document.where(*key, name)}: unknown key{'' if near is None else '; ' + near}",
                hint=None if near else f"keys here: {', '.join(known)}",
            )
    for name, field_ in known.items():
        if (
            name not in values
            and field_.default is dataclasses.MISSING
            and field_.default_factory is dataclasses.MISSING
        ):
            raise ConfigError(f"{document.where(*key, name)}: is missing")
    hints = get_type_hints(cls)
    given = {name: _fitting(hints[name], value, (*key, name), document) for name, value in values.items()}
    try:
        return cls(**given)
    except ValueError as trouble:
        place, _, message = str(trouble).partition(": ")
        if not message:
            raise ConfigError(f"{document.where(*key)}: {trouble}") from None
        raise ConfigError(f"{document.where(*key, *place.split('.'))}: {message}") from None


def _fitting(hint: Any, value: Any, key: tuple[str | int, ...], document: Document) -> Any:
    try:
        return pydantic.TypeAdapter(hint).validate_python(_tuples(value), strict=True)
    except pydantic.ValidationError as trouble:
        first = trouble.errors(include_url=False)[0]
        place = document.where(
            *key, *(p for p in first["loc"] if not str(p).startswith(("function-", "str", "int", "float")))
        )
        message = _PLAIN.get(first["type"]) or first["msg"]
        input_ = first.get("input")
        got = "" if isinstance(input_, (Mapping, list, tuple)) else f" (got {input_!r})"
        raise ConfigError(f"{place}: {message[0].lower() + message[1:]}{got}") from None


def _tuples(value: Any) -> Any:
    # Strict validation wants the very type; the fields are tuples because the values are frozen, and YAML only has lists.
    if isinstance(value, Mapping):
        return {k: _tuples(v) for k, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value


def build_kind(
    kinds: Mapping[str, type], spec: Mapping[str, Any] | str, key: tuple[str, ...], document: Document | None = None
) -> Any:
    """Return the value that a name, or a mapping with `kind`, describes; ConfigError at its place for what is not one of `kinds`."""
    where = Document(values={}, name="config") if document is None else document
    hint = f"kinds: {', '.join(kinds)}"
    if isinstance(spec, str):
        spec = {"kind": spec}
    if not isinstance(spec, Mapping):
        raise ConfigError(f"{where.where(*key)}: a name or a mapping with a kind is wanted (got {spec!r})", hint=hint)
    values = dict(spec)
    kind = values.pop("kind", None)
    if kind is None:
        raise ConfigError(f"{where.where(*key)}: `kind` is missing", hint=hint)
    if not isinstance(kind, str):
        raise ConfigError(f"{where.where(*key, 'kind')}: must be a text (got {kind!r})", hint=hint)
    if kind not in kinds:
        near = suggest(kind, kinds)
        found = f"{where.where(*key, 'kind')}: unknown '{kind}'{'' if near is None else '; ' + near}"
        raise ConfigError(found, hint=None if near else hint)
    return build(kinds[kind], values, key, where)


def spec_kind(kinds: Mapping[str, type], value: Any, what: str, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the mapping that `build_kind` turns back into an equal value; fields at their default, and those `without`, are left out.

    Raises ConfigError for a value that is of none of the kinds; `what` says in the message what it should be.
    """
    kind = next((name for name, made in kinds.items() if type(value) is made), None)
    if kind is None or not dataclasses.is_dataclass(value):
        raise ConfigError(
            f"{what} of type {type(value).__name__} cannot be written to YAML", hint=f"kinds: {', '.join(kinds)}"
        )
    spec: dict[str, Any] = {"kind": kind}
    for field_ in dataclasses.fields(value):
        said = getattr(value, field_.name)
        default = field_.default_factory() if field_.default_factory is not dataclasses.MISSING else field_.default
        if field_.name in without or said == default:
            continue
        spec[field_.name] = list(said) if isinstance(said, tuple) else dict(said) if isinstance(said, Mapping) else said
    return spec
