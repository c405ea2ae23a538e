"""Statuses, waits, and words of refusal."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    ContextExceeded,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
)
from routelab.providers.refusals import BODY_LIMIT, Refusal, redact, retry_after_s, snippet, status_in

NOW = 1_695_945_600.0  # Fri, 29 Sep 2023 00:00:00 GMT


def refused(status: int, body: Any = "", **headers: str) -> ProviderError:
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refusal(provider="p", model="m", status=status, body=text, headers=named, key_env="KEY").error(NOW)


def expected_kind(status: int) -> type[ProviderError]:
    """Say the tree of the errors module again, in the order of its lines."""
    if status in (401, 402, 403):
        return AuthFailed
    if status == 404:
        return ModelNotFound
    if status == 429:
        return RateLimited
    if status in (408, 409, 425) or status >= 500:
        return ServerFailed
    return BadRequest


@pytest.mark.parametrize("status", [*range(300, 600), 600, 999])
def test_every_status_becomes_one_error_of_the_tree(status: int) -> None:
    error = refused(status)
    assert type(error) is expected_kind(status)
    assert error.status == status
    assert error.retryable == (status in (408, 409, 425, 429) or status >= 500)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_names_the_host_and_nothing_else_of_the_address(status: int) -> None:
    error = refused(status, location="https://evil.example:8443/path?key=sk-abcdefghijkl")
    assert "evil.example;" in error.message
    assert "8443" not in error.message
    assert "path" not in error.message


RETRY_AFTER: list[tuple[str, float | None, bool]] = [
    # text, seconds to honour, whether to ask again at all
    ("20", 20.0, True),
    ("0", None, True),
    ("-10", None, True),
    ("0.5", 0.5, True),
    ("119", 119.0, True),
    ("120", 120.0, True),
    ("120.5", None, False),
    ("121", None, False),
    ("9" * 35, None, False),
    ("9" * 400, None, True),
    ("inf", None, True),
    ("nan", None, True),
    ("", None, True),
    ("20, 30", None, True),
    ("1e3", None, True),
    ("+5", None, True),
    (" 5 ", 5.0, True),
    ("5s", None, True),
    ("٢٠", None, True),
    ("1_0", None, True),
    ("Fri, 29 Sep 2023 00:00:37 GMT", 37.0, True),
    ("Fri, 29 Sep 2023 02:00:37 +0200", 37.0, True),
    ("Friday, 29-Sep-23 00:00:37 GMT", 37.0, True),
    ("Fri Sep 29 00:00:37 2023", 37.0, True),
    ("Thu, 28 Sep 2023 23:59:00 GMT", None, True),
    ("Fri, 29 Sep 2023 00:10:00 GMT", None, False),
    ("Fri, 29 Sep 100000 00:00:37 GMT", None, True),
    ("Fri, 99 Sep 2023 00:00:37 GMT", None, True),
    ("Zun, 29 Zep 2023 00:00:37 GMT", None, True),
    ("2023-09-29T00:00:37Z", None, True),
]


@pytest.mark.parametrize(("text", "wait_s", "again"), RETRY_AFTER)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_up_to_two_minutes_and_a_longer_one_means_ask_somebody_else(
    status: int, text: str, wait_s: float | None, again: bool
) -> None:
    error = refused(status, retry_after=text)
    assert (error.retry_after_s, error.retryable) == (wait_s, again)


@pytest.mark.parametrize("name", ["retry-after-ms", "x-ms-retry-after-ms"])
def test_milliseconds_win_over_seconds(name: str) -> None:
    assert retry_after_s({name: "1500", "retry-after": "60"}, NOW) == 1.5
    assert retry_after_s({name: "120001", "retry-after": "60"}, NOW) is None
    assert retry_after_s({name: "soon", "retry-after": "60"}, NOW) == 60.0


@given(
    text=st.text(max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [+-]?\w*", fullmatch=True)
)
def test_no_retry_after_raises_or_waits_too_long(text: str) -> None:
    wait_s = retry_after_s({"retry-after": text}, NOW)
    assert wait_s is None or 0 < wait_s <= 120


def test_gemini_says_how_long_to_wait_in_the_body() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}
    message = "You exceeded your current quota, please check your plan and billing details."
    body = {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [info]}}
    error = refused(429, body)
    assert (type(error), error.retry_after_s, error.retryable) == (RateLimited, 37.5, True)


def test_the_server_may_say_whether_asking_again_helps() -> None:
    assert refused(503, x_should_retry="false").retryable is False
    assert refused(400, x_should_retry="true").retryable is True
    assert refused(429, x_should_retry="true", retry_after="3600").retryable is False


def invalid(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"type": "invalid_request_error", "message": message, **more}}


TOO_LONG = {
    "openai": (400, invalid("Your input exceeds the context window of this model.", code="context_length_exceeded")),
    "openai, only its code": (400, invalid("Too much.", code="context_length_exceeded")),
    "anthropic": (400, {"type": "error", **invalid("prompt is too long: 215000 tokens > 200000 maximum")}),
    "anthropic, with the output": (
        400,
        {"type": "error", **invalid("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000")},
    ),
    "gemini": (
        400,
        invalid("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", code=400),
    ),
    "deepseek": (400, invalid("This model's maximum context length is 131072 tokens. However, you requested 131134.")),
    "moonshot": (400, invalid("Invalid request: Your request exceeded model token limit: 8192")),
    "openrouter": (400, invalid("This endpoint's maximum context length is 262144 tokens.", code=400)),
    "openrouter, passing an upstream on": (
        502,
        invalid("Provider returned error", metadata={"raw": "This model's maximum context length is 16000 tokens."}),
    ),
    "mistral": (
        400,
        {"message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context"},
    ),
    "llama.cpp": (400, invalid("request (9000 tokens) exceeds the available context size (8192 tokens)")),
    "ollama": (500, {"error": "the input length exceeds the context length"}),
    "vllm": (
        400,
        invalid("'max_tokens' is too large: 8192. This model's maximum context length is 65536 tokens (8192 > 7657)."),
    ),
}


@pytest.mark.parametrize(("status", "body"), TOO_LONG.values(), ids=TOO_LONG)
def test_a_prompt_that_does_not_fit_is_recognised_in_every_services_words(status: int, body: Any) -> None:
    error = refused(status, body)
    assert (type(error), error.status, error.retryable) == (ContextExceeded, status, False)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (429, "Too large for tokens per min (TPM). Please reduce the length of the messages", RateLimited),
        (400, "Unsupported value: 'temperature' does not support 0.2 with this model.", BadRequest),
        (400, "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens", BadRequest),
        (400, "context_management: Extra inputs are not permitted", BadRequest),
        (400, "API key not valid. Please pass a valid API key.", AuthFailed),
        (400, "Your credit balance is too low to access the Anthropic API.", AuthFailed),
        (402, "Insufficient Balance", AuthFailed),
        (400, "foo/bar is not a valid model ID", ModelNotFound),
        (400, "Model Not Exist", ModelNotFound),
        (400, "Invalid model: mistral-huge", ModelNotFound),
        (404, "model 'llama9' not found, try pulling it first", ModelNotFound),
        (500, "model runner has unexpectedly stopped", ServerFailed),
    ],
)  # fmt: skip
def test_other_refusals_are_told_apart_by_their_words(status: int, message: str, kind: type[ProviderError]) -> None:
    assert type(refused(status, {"error": {"message": message}})) is kind


def test_an_account_without_credit_is_not_asked_again() -> None:
    error = refused(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    assert (type(error), error.retryable, error.hint) == (
        AuthFailed,
        False,
        "the account behind $KEY has no credit left",
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "no\n\tway"}}, "no way"),
        ({"error": "no way"}, "no way"),
        ({"message": "no way"}, "no way"),
        ({"detail": [{"message": "no way"}]}, "no way"),
        ([{"error": {"message": "no way"}}], "no way"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "no way"}}},
            "Provider returned error (no way)",
        ),
        ({"oops": 1}, '{"oops": 1}'),
        ("plain \x1b[31mred\x00", "plain [31mred"),
        ("", ""),
        ("[" * 50_000, "[" * (BODY_LIMIT - 1) + "…"),
    ],
)
def test_the_message_carries_the_providers_words_on_one_line(body: Any, said: str) -> None:
    assert refused(400, body).message == "p returned 400 for model 'm'" + (f": {said}" if said else "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": "503"}, 503),
        ({"type": "overloaded_error"}, 529),
        ({"code": True}, 500),
        ({"code": 7}, 500),
        (None, 500),
        ([], 500),
    ],
)
def test_an_error_object_stands_for_a_status(error: Any, status: int) -> None:
    assert status_in(error) == status


CANARIES = [
    "sk-abcdefghijklmnop0123",
    "sk-proj-abcdefghijklmnop_0123",
    "sk-ant-api03-abcdefghijklmnop-0123",
    "AIzaSyA-abcdefghijklmnop0123",
    "0123456789abcdef0123456789abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnop0123",
    "hf_abcdefghijklmnop0123",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijkl",
]
FORMS = [
    "{}",
    "Bearer {}",
    "key: {} is wrong",
    "https://x.example/v1?key={}&a=b",
    '{{"authorization": "Bearer {}"}}',
    "x-api-key={}",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("canary", CANARIES)
def test_no_kind_of_key_survives_redaction(canary: str, form: str) -> None:
    safe = redact(form.format(canary))
    assert "***" in safe
    assert not any(canary[at : at + 12] in safe for at in range(len(canary) - 11))


def test_a_password_in_an_address_does_not_survive_redaction() -> None:
    assert redact("see https://me:hunter22@host/x and Basic dXNlcjpwYXNz") == "see https://me:***@host/x and Basic ***"


secrets = st.text(
    st.characters(codec="ascii", categories=("L", "N"), include_characters="-_+/="), min_size=8, max_size=40
)


@given(secret=secrets, before=st.text(max_size=20), after=st.text(max_size=20), data=st.data())
def test_no_eight_characters_of_the_key_survive_in_any_spelling(
    secret: str, before: str, after: str, data: Any
) -> None:
    start = data.draw(st.integers(0, len(secret) - 8))
    spelled = [secret, secret[start:], quote(secret, safe=""), base64.b64encode(secret.encode()).decode()]
    for form in spelled:
        safe = redact(before + form + after, [secret])
        assert not any(secret[at : at + 8] in safe for at in range(len(secret) - 7))
        assert form.rstrip("=") not in safe


def test_text_without_secrets_is_left_alone() -> None:
    text = "The model 'gpt-5-mini' is overloaded, task-queue is full; see https://status.example.com/?page=2"
    assert redact(text, ["", "short", "sk-canary-0123456789"]) == text
    assert snippet(text) == text


def test_the_cut_comes_after_the_redaction() -> None:
    secret = "canary-0123456789"
    line = snippet("x" * (BODY_LIMIT - 10) + secret, [secret])
    assert line == "x" * (BODY_LIMIT - 10) + "***"
