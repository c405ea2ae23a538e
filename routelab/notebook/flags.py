"""The line of a magic becomes values here: quoting, flags, `$names`, and errors that say what was meant.

IPython's own argument splitting keeps the quotes in a value, and argparse takes abbreviations and ends the process on an error;
so the tokenizer is `shlex` without its escape character (a backslash is a Windows path) over a table of flags, and the same table
writes the help and feeds completion.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routelab.core.errors import ConfigError, suggest

Look = Callable[[str], Any]
"""Looks a `$path` up in the namespace; raises a ConfigError with the nearest name."""

_VARIABLE = re.compile(r"\$([^\W\d]\w*(?:\.[^\W\d]\w*|\[[^\]]*\])*)\Z")
# A dash before a letter is a flag; "-5 degrees" and "- a list" are texts.
_FLAG = re.compile(r"--?[^\W\d]")


def plain(value: Any) -> str:
    """Return a text; ValueError for anything else that a `$name` may hold."""
    if not isinstance(value, str):
        raise ValueError("a text is wanted")
    return value


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag: `value` names what follows it ("" for a switch); `read` turns that into the value or raises ValueError.

    A `repeat` flag collects a tuple; the value of a `rest` flag is all that is left of the line.
    """

    long: str
    help: str
    short: str = ""
    value: str = ""
    read: Callable[[Any], Any] = plain
    repeat: bool = False
    rest: bool = False

    @property
    def name(self) -> str:
        """The flag's key: ``--dry-run`` → ``dry_run``."""
        return self.long.removeprefix("--").replace("-", "_")

    def usage(self) -> str:
        """Return the flag as the help spells it."""
        both = f"{self.short}, {self.long}" if self.short else f"    {self.long}"
        return f"{both} {self.value}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Line:
    """A magic's line: the words that belong to no flag, the flags' values by name, and the text that was left as it was."""

    words: tuple[Any, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a flag's value, or the default when it was not given."""
        return self.given.get(name, default)


@dataclass(frozen=True, kw_only=True)
class _Token:
    text: str
    raw: str
    end: int


def read_line(line: str, flags: Sequence[Flag], look: Look, *, magic: str, text: bool = False) -> Line:
    """Return the line's words and flags; with `text`, reading stops at the first word that is no flag and the rest is kept as it is.

    Raises ConfigError for an unknown flag, a flag given twice, a value that is missing or does not fit, and an open quote.
    """
    words: list[Any] = []
    given: dict[str, Any] = {}
    at = 0
    while line[at:].strip():
        if text and not _FLAG.match(line[at:].lstrip()) and not _ends_flags(line[at:]):
            break
        token = _token(line, at, magic)
        at = token.end
        if token.raw == "--":
            if text:
                break
            words += [_value(t, look) for t in _tokens(line, at, magic)]
            return Line(words=tuple(words), given=given)
        if not _FLAG.match(token.raw):
            words.append(_value(token, look))
            continue
        flag, attached = _flag(token, flags, magic)
        if flag.name in given and not flag.repeat:
            raise ConfigError(f"{magic}: {flag.long} is given twice")
        if not flag.value:
            if attached is not None:
                raise ConfigError(f"{magic}: {flag.long} takes no value (got {attached.text!r})")
            given[flag.name] = True
            continue
        if flag.rest and attached is None:
            attached, at = _rest(line, at), len(line)
        if attached is None:
            attached = _following(line, at, flag, magic)
            at = attached.end
        value = _read(flag, _value(attached, look), magic)
        given[flag.name] = (*given.get(flag.name, ()), value) if flag.repeat else value
    return Line(words=tuple(words), given=given, text=line[at:].strip())


def variable(text: str) -> str | None:
    """Return the path in ``$name`` or ``$name.attribute['key']``, or None for any other text, such as ``$5``."""
    found = _VARIABLE.match(text)
    return None if found is None else found.group(1)


def usage(flags: Sequence[Flag]) -> str:
    """Return the flags as aligned lines of help."""
    width = max(len(flag.usage()) for flag in flags)
    return "\n".join(f"  {flag.usage():<{width}}  {flag.help}" for flag in flags)


# What flags read


def whole(value: Any) -> int:
    """Return a whole number of at least 1; ValueError otherwise."""
    number = float(value) if not isinstance(value, bool) else float("nan")
    if not number.is_integer() or number < 1:
        raise ValueError("a whole number of at least 1 is wanted")
    return int(number)


def amount(value: Any) -> float:
    """Return a finite number of at least 0; ValueError otherwise."""
    number = float(str(value).removeprefix("$"))
    if not 0 <= number < float("inf"):
        raise ValueError("a number of at least 0 is wanted")
    return number


def temperature(value: Any) -> float:
    """Return a number from 0 to 2; ValueError otherwise."""
    number = float(value)
    if not 0 <= number <= 2:
        raise ValueError("a number from 0 to 2 is wanted")
    return number


def name(value: Any) -> str:
    """Return a name that Python can assign to; ValueError otherwise."""
    if not str(value).isidentifier():
        raise ValueError("a variable's name is wanted")
    return str(value)


def pair(value: Any) -> tuple[str, str]:
    """Return the key and the value of ``K=V``; ValueError otherwise."""
    key, sign, rest = str(value).partition("=")
    if not key or not sign:
        raise ValueError("KEY=VALUE is wanted")
    return key, rest


def anything(value: Any) -> Any:
    """Return the value as it is."""
    return value


# Tokens


def _token(line: str, at: int, magic: str) -> _Token:
    stream = io.StringIO(line[at:])
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    try:
        text = lexer.get_token()
    except ValueError:
        raise ConfigError(
            f"{magic}: a quote is not closed: {line[at:].strip()[:60]}", hint="close it, or quote the other way round"
        ) from None
    end = at + stream.tell()
    return _Token(text=text or "", raw=line[at:end].strip(), end=end)


def _tokens(line: str, at: int, magic: str) -> list[_Token]:
    found = []
    while line[at:].strip():
        found.append(_token(line, at, magic))
        at = found[-1].end
    return found


def _ends_flags(text: str) -> bool:
    return text.split(maxsplit=1)[:1] == ["--"]


def _flag(token: _Token, flags: Sequence[Flag], magic: str) -> tuple[Flag, _Token | None]:
    """Return the flag that a token names, and the value that is attached to it: ``--limit=5``, ``-n5``, ``-n=5``."""
    if token.raw.startswith("--"):
        spelled, sign, _ = token.raw.partition("=")
        found = next((f for f in flags if f.long == spelled), None)
        attached = _after(token, len(spelled) + 1) if sign else None
    else:
        spelled = token.raw[:2]
        found = next((f for f in flags if f.short == spelled), None)
        rest = token.raw[2:]
        attached = _after(token, 3 if rest.startswith("=") else 2) if rest else None
        if found is not None and not found.value and attached is not None:
            found = None
            spelled = token.raw
    if found is None:
        spelled = spelled if token.raw.startswith("--") else token.raw.partition("=")[0]
        near = suggest(spelled, [f.long for f in flags]) or suggest("-" + spelled, [f.long for f in flags])
        more = f"`{magic}?` lists the flags; `--` ends them, for a text that begins with a dash"
        raise ConfigError(f"{magic}: unknown flag {spelled}{'' if near is None else '; ' + near}", hint=more)
    return found, attached


def _after(token: _Token, length: int) -> _Token:
    return _Token(text=token.text[length:], raw=token.raw[length:], end=token.end)


def _following(line: str, at: int, flag: Flag, magic: str) -> _Token:
    if line[at:].strip():
        token = _token(line, at, magic)
        if not _FLAG.match(token.raw):
            return token
    raise ConfigError(f"{magic}: {flag.long} needs a value: {flag.usage().strip()}")


def _rest(line: str, at: int) -> _Token:
    raw = line[at:].strip()
    quoted = len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'" and raw[0] not in raw[1:-1]
    return _Token(text=raw[1:-1] if quoted else raw, raw=raw, end=len(line))


def _value(token: _Token, look: Look) -> Any:
    # Quotes say "take it as it is": only a bare $name is looked up, and "$5" is money.
    path = variable(token.raw)
    return token.text if path is None else look(path)


def _read(flag: Flag, value: Any, magic: str) -> Any:
    if flag.value and isinstance(value, str) and not value.strip():
        raise ConfigError(f"{magic}: {flag.long} needs a value: {flag.usage().strip()}")
    try:
        return flag.read(value)
    except (ValueError, TypeError) as trouble:
        why = str(trouble) if str(trouble).endswith("wanted") else "a number is wanted"
        raise ConfigError(f"{magic}: {flag.long}: {why} (got {str(value)[:40]!r})") from None
