"""Documents are read as they are, and a broken one is named with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from routelab.chunking import document
from routelab.core.errors import DataError


def test_line_ends_and_a_mark_at_the_start_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("\ufeffone\r\ntwo\rthree\n".encode())
    assert document(tmp_path / "a.md") == "\ufeffone\r\ntwo\rthree\n"


def test_the_first_byte_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("naïve\nwörd ".encode() + b"\xe9t\xe9\n")
    with pytest.raises(DataError) as caught:
        document(tmp_path / "a.md")
    assert (
        caught.value.message == f"{tmp_path / 'a.md'}:2: byte 13 of the file (byte 6 of the line), 0xe9, is not UTF-8"
    )


def test_a_character_cut_off_at_the_end_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("ab漢".encode()[:-1])
    with pytest.raises(DataError, match="byte 2 of the file"):
        document(tmp_path / "a.md")


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        document(tmp_path / "none.md")
    with pytest.raises(DataError, match="is a folder"):
        document(tmp_path)
