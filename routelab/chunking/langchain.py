"""Any text splitter of langchain-text-splitters as a chunker, with offsets that are checked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.placed import placed
from routelab.core.errors import ConfigError, DataError, suggest
from routelab.providers.tokens import bundled

PACKAGE = "langchain-text-splitters"


@dataclass(frozen=True, kw_only=True)
class LangChain:
    """Cuts with a class of langchain-text-splitters, named as there, measured in our units.

    `options` are more keywords of that class, such as ``{"separators": [...]}``. White space that the splitter strips is
    in no chunk. TokenTextSplitter is played with the bundled vocabulary through the package's own function for it, since
    the class would download one; it may halve a character, which is refused. Loaded at the first chunk; ConfigError
    says how to install what is missing.
    """

    splitter: str = "RecursiveCharacterTextSplitter"
    size: int = 400
    overlap: int | float = 0
    unit: Unit = "tokens"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        self.limits()

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit=self.unit)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one, after the splitter has made all its pieces."""
        limits = self.limits()
        split = self._split(limits)
        try:
            pieces = split(text)
        except ValueError as trouble:
            raise DataError(f"{source or 'text'}: {self.splitter} cannot cut it: {trouble}") from None
        yield from placed(
            ((piece, None) for piece in pieces),
            text,
            source,
            limits.ruler(text),
            limits.repeat,
            f"LangChain's {self.splitter}",
        )

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))

    def _split(self, limits: Limits) -> Callable[[str], Iterable[str]]:
        try:
            library = importlib.import_module("langchain_text_splitters")
            parts = importlib.import_module("langchain_text_splitters.base")
        except ImportError:
            raise missing_package("langchain", PACKAGE) from None
        if self.splitter == "TokenTextSplitter":
            if self.unit != "tokens" or self.options:
                raise ConfigError("chunker.splitter: TokenTextSplitter takes unit: tokens and no options")
            encoding = bundled()
            assert encoding is not None  # the ruler of limits has said so otherwise
            tokenizer = parts.Tokenizer(
                chunk_overlap=limits.repeat,
                tokens_per_chunk=limits.size,
                decode=encoding.decode,
                encode=encoding.encode_ordinary,
            )
            return lambda text: list(parts.split_text_on_tokens(text=text, tokenizer=tokenizer))
        made = class_of(library, self.splitter, parts.TextSplitter, "chunker.splitter")
        keywords = {
            "chunk_size": limits.size,
            "chunk_overlap": limits.repeat,
            "length_function": counted(limits),
            **self.options,
        }
        try:
            split: Callable[[str], Iterable[str]] = made(**keywords).split_text
        except (TypeError, ValueError, ImportError) as trouble:
            raise ConfigError(f"chunker ({self.splitter}): {trouble}") from None
        return split


def counted(limits: Limits) -> Callable[[str], int]:
    """Return the function that measures a text in the limits' unit, as splitters want it."""
    if limits.unit == "characters":
        return len
    encoding = bundled()
    if encoding is None:
        raise ConfigError("chunker.unit: o200k_base cannot be loaded", hint="pip install --force-reinstall tiktoken")
    return lambda text: len(encoding.encode_ordinary(text))


def class_of(library: Any, name: str, kind: type, where: str) -> Any:
    """Return a library's class by its name; ConfigError names the nearest one of its kind."""
    known = sorted(n for n, c in vars(library).items() if isinstance(c, type) and issubclass(c, kind) and c is not kind)
    if name not in known:
        near = suggest(name, known)
        raise ConfigError(f"{where}: unknown {name!r}{'; ' + near if near else ''}", hint="one of " + ", ".join(known))
    return getattr(library, name)


def missing_package(kind: str, package: str) -> ConfigError:
    """Return the error for a package that is not installed, with the command that installs it."""
    return ConfigError(
        f"chunker.kind: {kind} needs the package {package}, which is not installed", hint=f"pip install {package}"
    )
