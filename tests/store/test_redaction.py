"""What looks like a key is taken out whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.store.redaction import redact

KEYS = (
    "sk-abcdefghijklmnopqrstuvwx",
    "sk-proj-abc_DEF-ghi0123456789jklmnop",
    "sk-ant-api03-abcdefghijklmnop-qrstuvwxyz",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuv",
    "hf_abcdefghijklmnopqrstuvwxyzABCDEF",
    "gsk_abcdefghijklmnopqrstuvwx0123456789",
    "xoxb-123456789012-abcdefghijkl",
    "0123456789abcdef0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
)
PLACES = (
    "{}",
    "401: incorrect key {} provided",
    "Authorization: Bearer {}",
    "{{'x-api-key': '{}'}}",
    "GET https://host/v1/models?key={}&alt=sse",
    'api_key="{}"',
    "https://user:{}@host/",
    "OPENAI_API_KEY={}",
    "line one\n{}\nline three",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", KEYS)
def test_no_part_of_a_key_stays_wherever_it_stands(key: str, place: str) -> None:
    left = redact(place.format(key))
    assert not any(key[i : i + 12] in left for i in range(len(key) - 11))


@pytest.mark.parametrize(
    "text",
    [
        "429: rate limit reached for gpt-5-mini, retry after 20 s",
        "context length 131072 exceeded by 12 tokens",
        "task-based routing, risk-free",
        "https://api.example.com/v1/chat?model=small&n=2",
        "the key to success",
        "",
    ],
)
def test_an_ordinary_message_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=200))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)
