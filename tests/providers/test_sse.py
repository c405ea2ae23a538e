"""The event decoder against a second, slow reading of the standard."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routelab.providers.sse import Decoder, ServerEvent


def reference(stream: bytes) -> list[ServerEvent]:
    """Read a whole stream the way the standard is written: decode, normalise line ends, go line by line."""
    text = stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    events, name, data = [], "", ""
    for line in lines:
        if line == "":
            if data:
                events.append(ServerEvent(name=name or "message", data=data[:-1]))
            name, data = "", ""
        elif not line.startswith(":"):
            key, colon, value = line.partition(":")
            value = value[1:] if colon and value.startswith(" ") else value
            if key == "data":
                data += value + "\n"
            elif key == "event":
                name = value
    return events


def decode(*chunks: bytes) -> list[ServerEvent]:
    decoder = Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


FRAGMENTS = [
    b"data",
    b"event",
    b":",
    b": ",
    b" ",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"id: 1\0",
    b"retry: x",
    b"x",
    b"{}",
    b"\xe2\x80\xa8",
]
FRAGMENTS += [
    "é".encode(),
    "\U0001f600".encode(),
    b"\xff",
    b"\xf0\x9f",
    b"\xef\xbb\xbf",
    b"data: a\n\n",
    b"data:\n",
    b"\x85",
    b"[DONE]",
]
streams = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)


@given(stream=streams, cuts=st.lists(st.integers(0, 120), max_size=12))
@example(stream=b"data: a\r\n\r\n", cuts=[8, 10])
@example(stream=b"\xef\xbb\xbfdata: a\n\n", cuts=[1, 2])
def test_any_stream_cut_anywhere_gives_the_events_of_the_standard(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert decode(*chunks) == reference(stream)


def test_every_single_cut_of_a_transcript_gives_the_same_events() -> None:
    stream = (
        ': hi\r\nevent: delta\r\ndata: {"t": "é\u2028\U0001f600"}\r\n\r\ndata: a\rdata: b\r\rdata: [DONE]\n\n'.encode()
    )
    whole = [
        ServerEvent(name="delta", data='{"t": "é\u2028\U0001f600"}'),
        ServerEvent(data="a\nb"),
        ServerEvent(data="[DONE]"),
    ]
    assert [decode(stream[:at], stream[at:]) for at in range(len(stream) + 1)] == [whole] * (len(stream) + 1)
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == whole


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a\n\n", [" a"]),
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b"data: a\ndata\ndata: b\n\n", ["a\n\nb"]),
        (b"event: x\n\n", []),
        (b"\n\n\n", []),
        (b": comment\n\n", []),
        (b"data: a\n", []),
        (b"data: a", []),
        ('data: "a\u2028b\u2029c\u0085d"\n\n'.encode(), ['"a\u2028b\u2029c\u0085d"']),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"id: 1\0\nretry: soon\nDATA: no\ndata: a\n\n", ["a"]),
        (b"", []),
    ],
)
def test_a_stream_gives_this_data(stream: bytes, data: list[str]) -> None:
    assert [event.data for event in decode(stream)] == data


def test_a_megabyte_that_drips_in_stays_linear() -> None:
    decoder = Decoder()
    for _ in range(100_000):
        assert decoder.feed(b"data: 6789"[:10]) == []
    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 1_000_000 - len("data: ")
