"""Documents as they lie on the disk, read so that offsets mean the same everywhere."""

from __future__ import annotations

from pathlib import Path

from routelab.core.errors import DataError


def document(path: str | Path) -> str:
    """Return the text of a UTF-8 file character by character: line ends and a byte order mark stay as they are.

    Raises DataError that names the file and the place of the first byte that is not UTF-8.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, not a text") from None
    except OSError as trouble:
        raise DataError(f"{path}: cannot be read ({trouble.strerror})") from None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as trouble:
        line = raw.count(b"\n", 0, trouble.start) + 1
        column = trouble.start - (raw.rfind(b"\n", 0, trouble.start) + 1)
        raise DataError(
            f"{path}:{line}: byte {trouble.start} of the file (byte {column} of the line), {raw[trouble.start]:#04x}, is not UTF-8",
            hint="save the file as UTF-8",
        ) from None
