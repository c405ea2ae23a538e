"""Sockets that misbehave, deadlines, keys: what can go wrong between here and a provider."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import inspect
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from asking import KEY, Ask

from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    MalformedAnswer,
    MissingKey,
    ProviderError,
    RateLimited,
    TimedOut,
    Unreachable,
)
from routelab.providers.transport import Deadlines, Key, Post, Transport
from routelab.testing.server import FakeProviders, Protocol, Raw, Said

SSE = {"content-type": "text/event-stream"}
PROTOCOLS: tuple[Protocol, ...] = ("openai", "anthropic", "gemini")
ANSWER = {"model": "n", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}

protocols = pytest.mark.parametrize("protocol", PROTOCOLS)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


ROOTS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict)
HTTPX_ERRORS = sorted({e for root in ROOTS for e in (root, *subclasses(root))}, key=lambda e: e.__name__)
KINDS: dict[str, type[ProviderError]] = {
    **dict.fromkeys(["TimeoutException", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout"], TimedOut),
    **dict.fromkeys(["NetworkError", "ConnectError", "ReadError", "WriteError", "CloseError"], Unreachable),
    **dict.fromkeys(["ProxyError", "RemoteProtocolError"], Unreachable),
    **dict.fromkeys(
        ["StreamError", "StreamClosed", "StreamConsumed", "ResponseNotRead", "RequestNotRead"], Unreachable
    ),
    "DecodingError": MalformedAnswer,
    **dict.fromkeys(["HTTPError", "RequestError", "TransportError", "ProtocolError", "LocalProtocolError"], BadRequest),
    **dict.fromkeys(
        ["UnsupportedProtocol", "TooManyRedirects", "HTTPStatusError", "InvalidURL", "CookieConflict"], BadRequest
    ),
}


def made(kind: type[Exception]) -> Exception:
    """Return an instance of any httpx exception."""
    given = {"message": "boom", "request": None, "response": None}
    return kind(**{name: given[name] for name in inspect.signature(kind).parameters if name in given})


@pytest.mark.parametrize("kind", HTTPX_ERRORS, ids=lambda kind: kind.__name__)
def test_every_httpx_error_becomes_one_of_ours(
    kind: type[Exception], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one patch of this suite: no server can provoke each of the thirty.
    def broken(*_: object, **__: object) -> None:
        raise made(kind)

    monkeypatch.setattr(httpx.AsyncClient, "stream", broken)
    with pytest.raises(ProviderError) as caught:
        ask("openai")
    assert type(caught.value) is KINDS[kind.__name__]
    assert caught.value.__context__ is None


@protocols
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_the_other_host_never_sees_a_key(
    protocol: Protocol, status: int, ask: Ask, fake: FakeProviders
) -> None:
    with FakeProviders() as canary:
        fake.script(Raw(status=status, headers={"location": f"http://localhost:{canary.port}/v1/x"}))
        with pytest.raises(BadRequest, match=rf"redirected \({status}\).*to localhost"):
            ask(protocol)
        assert canary.seen == []
    assert len(fake.seen) == 1


@protocols
@streamed
def test_an_error_status_carries_words_status_and_wait(
    protocol: Protocol, stream: bool, ask: Ask, fake: FakeProviders
) -> None:
    fake.script(replace(Raw(status=429, headers={"Retry-After": "7"}), body={"error": {"message": "slow down"}}))
    with pytest.raises(RateLimited) as caught:
        ask(protocol, ask.request(stream=stream))
    assert caught.value.message == f"{protocol} returned 429 for model 'model-1': slow down"
    assert (caught.value.status, caught.value.retry_after_s, caught.value.retryable) == (429, 7.0, True)
    assert len(fake.seen) == 1


@protocols
@streamed
@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_connection_that_breaks_is_unreachable(
    protocol: Protocol, stream: bool, how: str, ask: Ask, fake: FakeProviders
) -> None:
    headers = SSE if stream else {}
    fake.script(Raw(headers=headers, body=b'{"a', end="cut" if how == "cut" else "reset"))
    with pytest.raises(Unreachable) as caught:
        ask(protocol, ask.request(stream=stream))
    assert caught.value.retryable


@protocols
def test_a_refused_connection_is_unreachable_and_names_the_address(protocol: Protocol, ask: Ask) -> None:
    port = unused_port()
    with pytest.raises(Unreachable, match=rf"{protocol}, model 'model-1', at 127.0.0.1:{port}: "):
        ask(protocol, base_url=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "a..b.invalid"])
def test_a_name_that_does_not_resolve_is_a_provider_error(host: str, ask: Ask) -> None:
    with pytest.raises((Unreachable, BadRequest)):
        ask("openai", base_url=f"https://{host}/v1")


def test_a_server_that_speaks_no_tls_is_unreachable(ask: Ask, fake: FakeProviders) -> None:
    with pytest.raises(Unreachable):
        ask("openai", base_url=f"https://127.0.0.1:{fake.port}/v1")


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[int]:
    """The port of a TLS server whose certificate nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here to make a certificate")
    made_of = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([openssl, "req", "-x509", *made_of, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError), listener:
            connection, _ = listener.accept()
            with connection, context.wrap_socket(connection, server_side=True):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    thread.join(5)


def test_a_certificate_that_cannot_be_checked_is_not_tried_again(ask: Ask, untrusted: int) -> None:
    with pytest.raises(Unreachable, match="certificate verify failed") as caught:
        ask("openai", base_url=f"https://127.0.0.1:{untrusted}/v1")
    assert caught.value.retryable is False


ADDRESS = "is the server running, and is its address (`base_url`) right? `routelab doctor` shows proxies and keys"


def test_a_proxy_of_the_environment_is_used_only_when_trusted() -> None:
    getenv = {"HTTPS_PROXY": "http://proxy:3128"}.get
    post = Post(provider="p", model="m", url="https://h/", body={})
    hints = [Transport(getenv=getenv, trust_env=t)._unsent(post, httpx.ConnectError("x")).hint for t in (False, True)]
    assert hints == ["the environment names a proxy (HTTPS_PROXY), which is used only with trust_env", ADDRESS]


def drip(step: bytes, count: int, gap_s: float) -> Raw:
    """Return a stream that sends the same bytes over and over."""
    return Raw(
        headers=SSE, body=step * count, splits=tuple(range(len(step), len(step) * count, len(step))), gap_s=gap_s
    )


def impatient(**seconds: float) -> Transport:
    return Transport(getenv={"KEY": KEY}.get, deadlines=Deadlines(**seconds))


WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'


@pytest.mark.parametrize(
    ("answer", "deadlines", "complaint", "told"),
    [
        pytest.param(
            drip(b": hi\n\n", 50, 0.05), {"first_s": 0.3}, "not a word within 0.3 s", 0, id="comments are not words"
        ),
        pytest.param(
            drip(b"data: {}\n\n", 50, 0.05), {"first_s": 0.3}, "not a word within 0.3 s", 0, id="empty events neither"
        ),
        pytest.param(drip(b"x", 50, 0.05), {"first_s": 0.3}, "not a word within 0.3 s", 0, id="half a line neither"),
        pytest.param(
            drip(WORD, 50, 0.05), {"total_s": 0.4}, "no whole answer within 0.4 s", None, id="words run out of time"
        ),
        pytest.param(
            Raw(
                headers=SSE,
                body=WORD + b": hi\n\n" * 50,
                splits=tuple(range(len(WORD), len(WORD) + 300, 6)),
                gap_s=0.05,
            ),
            {"idle_s": 0.3},
            "silent for 0.3 s",
            1,
            id="comments do not hide silence",
        ),
        pytest.param(Raw(headers=SSE, body=WORD, end="hang"), {"idle_s": 0.3}, "silent for 0.3 s", 1, id="silence"),
        pytest.param(Raw(headers=SSE, delay_s=30), {"first_s": 0.3}, "not a word within 0.3 s", 0, id="no headers"),
    ],
)
def test_each_deadline_of_a_stream_holds(
    answer: Raw, deadlines: dict[str, float], complaint: str, told: int | None, ask: Ask, fake: FakeProviders
) -> None:
    fake.script(answer)
    with pytest.raises(TimedOut, match=re.escape(complaint)):
        ask("openai", ask.request(stream=True), transport=impatient(**deadlines))
    assert told is None or ask.told == ["x"] * told


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Raw(delay_s=30), "no whole answer within 0.3 s"),
        (Raw(body=b" " * 50, splits=tuple(range(50)), gap_s=0.05), "no whole answer within 0.3 s"),
    ],
)
def test_the_requests_own_deadline_holds_for_a_whole_answer(
    answer: Raw, complaint: str, ask: Ask, fake: FakeProviders
) -> None:
    fake.script(answer)
    with pytest.raises(TimedOut, match=re.escape(complaint)):
        ask("anthropic", ask.request(deadline_s=0.3))


def test_a_whole_answer_that_stalls_half_way_is_silent(ask: Ask, fake: FakeProviders) -> None:
    fake.script(Raw(body=b'{"a"', end="hang"))
    with pytest.raises(TimedOut, match=r"silent for 0\.3 s"):
        ask("gemini", transport=impatient(idle_s=0.3))


def test_no_time_left_means_no_request(ask: Ask, fake: FakeProviders) -> None:
    with pytest.raises(TimedOut, match="no time was left"):
        ask("openai", ask.request(deadline_s=0.0))
    assert fake.seen == []


def test_words_that_keep_coming_outlive_the_idle_deadline(ask: Ask, fake: FakeProviders) -> None:
    stop = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    slow = drip(WORD, 12, 0.05)
    fake.script(replace(slow, body=slow.content + stop))
    assert ask("openai", ask.request(stream=True), transport=impatient(first_s=0.4, idle_s=0.4)).text == "x" * 12


def test_nothing_after_the_end_mark_is_waited_for(ask: Ask, fake: FakeProviders) -> None:
    stop = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    fake.script(Raw(headers=SSE, body=WORD + stop, end="hang"))
    assert ask("openai", ask.request(stream=True), transport=impatient(total_s=20.0)).text == "x"


def eventually(holds: Callable[[], bool]) -> bool:
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.01)
    return False


@streamed
def test_a_cancelled_call_hangs_up(stream: bool, ask: Ask, fake: FakeProviders) -> None:
    fake.script(Raw(headers=SSE, body=WORD, end="hang") if stream else Raw(body=b"{", end="hang"))

    async def start_and_stop() -> None:
        task = asyncio.create_task(ask.once("openai", ask.request(stream=stream)))
        while fake.connections == 0 or not fake.seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    ask.runner.run(start_and_stop())
    assert eventually(lambda: fake.connections == 0)


def test_failures_leave_no_connection_open(ask: Ask, fake: FakeProviders) -> None:
    kinds: list[int | Raw] = [
        500,
        Raw(body=b"{", end="cut"),
        Raw(headers=SSE, body=b"data: x\n\n"),
        Raw(status=200, body=b"nonsense"),
    ]
    for number in range(40):
        fake.script(kinds[number % 4])
        with pytest.raises(ProviderError):
            ask("openai", ask.request(stream=number % 4 == 2))
    assert fake.connections <= 1
    ask.runner.run(ask.transport.aclose())
    assert eventually(lambda: fake.connections == 0)


@streamed
def test_one_connection_serves_many_calls(stream: bool, ask: Ask, fake: FakeProviders) -> None:
    most = 0
    for _ in range(5):
        ask("openai", ask.request(stream=stream))
        most = max(most, fake.connections)
    assert most == 1


def test_a_closed_transport_opens_again_when_asked(ask: Ask) -> None:
    first = ask("openai")
    ask.runner.run(ask.transport.aclose())
    assert ask("openai") == first


def test_one_transport_serves_two_loops_with_a_client_each(ask: Ask) -> None:
    replies = [ask("openai")]

    async def elsewhere() -> None:
        replies.append(replace(await ask.once("openai"), latency_s=None))
        await ask.transport.aclose()

    asyncio.run(elsewhere())
    replies.append(ask("openai"))
    assert replies == [replies[0]] * 3


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@streamed
def test_an_answer_that_is_compressed_unasked_is_read_all_the_same(
    coding: str, stream: bool, ask: Ask, fake: FakeProviders
) -> None:
    stop = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    plain = WORD * 5000 + stop if stream else json.dumps(ANSWER).encode()
    packed = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    headers = {"content-encoding": coding, **(SSE if stream else {})}
    fake.script(Raw(headers=headers, body=packed, splits=(1, 2, 11)))
    assert ask("openai", ask.request(stream=stream)).text == ("x" * 5000 if stream else "hi")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip"])
def test_an_answer_that_cannot_be_unpacked_is_malformed(coding: str, ask: Ask, fake: FakeProviders) -> None:
    fake.script(Raw(headers={"content-encoding": coding}, body=b"\x1f\x8b\x08damaged"))
    with pytest.raises(MalformedAnswer, match="compress"):
        ask("openai")


@pytest.mark.parametrize("status", [200, 500])
def test_a_compression_bomb_stops_at_the_limit(status: int, ask: Ask, fake: FakeProviders) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 2**20) for _ in range(512)) + packer.flush()
    fake.script(Raw(status=status, headers={"content-encoding": "gzip"}, body=bomb))
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError):
            ask("openai", transport=Transport(getenv={"KEY": KEY}.get, max_answer_bytes=2**20))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 20 * 2**20


def test_an_endless_error_page_is_not_read_to_its_end(ask: Ask, fake: FakeProviders) -> None:
    fake.script(Raw(status=500, body=b"x" * 200_000, end="hang"))
    with pytest.raises(ProviderError) as caught:
        ask("openai")
    assert len(caught.value.message) < 2200


@protocols
def test_a_missing_key_is_named_before_anything_is_sent(protocol: Protocol, ask: Ask, fake: FakeProviders) -> None:
    with pytest.raises(MissingKey) as caught:
        ask(protocol, transport=Transport(getenv={"OTHER": "x", "KEY": "  "}.get))
    assert "KEY is not set" in caught.value.message
    assert caught.value.hint == "set KEY to your key, or take the model out of the fleet"
    assert fake.seen == []


def test_a_key_is_read_when_it_is_used_and_its_line_end_is_dropped(ask: Ask, fake: FakeProviders) -> None:
    environment = {"KEY": "first-key\n"}
    transport = Transport(getenv=environment.get)
    ask("openai", transport=transport)
    environment["KEY"] = "second-key"
    ask("openai", transport=transport)
    assert [seen.headers["authorization"] for seen in fake.seen] == ["Bearer first-key", "Bearer second-key"]


@pytest.mark.parametrize("value", ["sk-\u201cquoted\u201d", "two\nlines", "tab\tbed"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(value: str, ask: Ask) -> None:
    with pytest.raises(AuthFailed) as caught:
        ask("openai", transport=Transport(getenv={"KEY": value}.get))
    assert value not in str(caught.value)


def test_without_key_env_no_key_is_sent(ask: Ask, fake: FakeProviders) -> None:
    ask("openai", key_env=None)
    ask("gemini", key_env=None)
    ask("anthropic", key_env=None)
    keys = {"authorization", "x-api-key", "x-goog-api-key", "api-key"}
    assert [keys & set(seen.headers) for seen in fake.seen] == [set(), set(), set()]


def test_a_key_is_not_sent_in_clear_text_even_by_a_bare_transport() -> None:
    transport = Transport(getenv={"KEY": KEY}.get)
    post = Post(provider="p", model="m", url="http://models.example/v1", body={}, key=Key(env="KEY"))
    with pytest.raises(AuthFailed, match="not sent over plain http"):
        asyncio.run(transport.whole(post))


FAULTS: list[int | Raw | Said] = [
    401,
    500,
    Raw(status=401, body={"error": {"message": f"Incorrect API key provided: {KEY}"}}),
    Raw(status=400, body=f"Bearer {KEY[:20]} and {KEY[10:]}"),
    Raw(status=302, headers={"location": f"https://h.example/?key={KEY}"}),
    Raw(body=f"<html>{KEY}</html>"),
    Raw(body=b"{", end="reset"),
    Raw(body={"error": {"message": KEY}}),
]


@protocols
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_no_part_of_a_key_is_in_an_error_or_its_traceback(
    protocol: Protocol, fault: int | Raw | Said, ask: Ask, fake: FakeProviders
) -> None:
    fake.script(fault)
    with pytest.raises(ProviderError) as caught:
        ask(protocol)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
    frames = [
        repr(value)
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        if "routelab/providers" in frame.f_code.co_filename or "httpx" in frame.f_code.co_filename
        for value in frame.f_locals.values()
    ]
    assert frames
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    written = "\n".join([shown, repr(caught.value), str(caught.value), *frames])
    pieces = [KEY[at : at + 12] for at in range(len(KEY) - 11)]
    assert [piece for piece in pieces if piece in written] == []


def test_importing_providers_does_not_import_httpx() -> None:
    code = "import sys, routelab.providers; print([m for m in ('httpx', 'chromadb', 'pandas') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
