"""Text files as people keep them: UTF-8, with or without a mark at the start, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from routelab.core.errors import DataError


def text_of(path: Path) -> str:
    """Return the text of a file, unpacked when its name ends in .gz; DataError names the file, and the line that is not UTF-8."""
    raw = b""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as trouble:
        line = raw[: trouble.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: is not UTF-8", hint="save the file as UTF-8") from None
    except (OSError, EOFError, zlib.error) as trouble:
        raise DataError(f"{path}: cannot be read ({trouble})") from None
