"""Errors: one line of what and where, one of the next move, the same in a terminal and in a notebook."""

from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core import errors
from routelab.core.errors import ConfigError, ProviderError, RateLimited, RoutelabError, suggest

KINDS = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, RoutelabError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_reads_as_one_line_and_a_hint(kind: type[RoutelabError]) -> None:
    error = kind("a.yaml:3: models: is missing", hint="models: [NAME]")
    assert str(error) == "a.yaml:3: models: is missing\n  hint: models: [NAME]"
    assert str(kind("plain")) == "plain"
    assert error._render_traceback_() == [
        f"{kind.__name__}: a.yaml:3: models: is missing",
        "  hint: models: [NAME]",
    ]


def test_the_full_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoutelabError, "short", False)
    try:
        raise ConfigError("x")
    except ConfigError as error:
        lines = error._render_traceback_()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'raise ConfigError("x")' in "".join(lines)


def test_only_passing_trouble_of_a_provider_is_retryable() -> None:
    retryable = {c.__name__ for c in KINDS if issubclass(c, ProviderError) and c.retryable}
    assert retryable == {"RateLimited", "ServerFailed", "Unreachable", "TimedOut", "MalformedAnswer"}


@pytest.mark.parametrize("kind", KINDS)
def test_errors_can_cross_a_process(kind: type[RoutelabError]) -> None:
    error = kind("what", hint="next")
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back)) == (kind, str(error))


def test_a_providers_facts_travel_along() -> None:
    error = RateLimited("slow down", status=429, retry_after_s=3.0)
    assert (error.status, error.retry_after_s, error.hint) == (429, 3.0, None)


@given(name=st.text(), known=st.lists(st.text(min_size=1), max_size=4))
def test_a_suggestion_is_one_of_the_known_names_or_nothing(name: str, known: list[str]) -> None:
    assert suggest(name, known) in [None, *(f"did you mean '{k}'?" for k in known)]


def test_a_name_that_is_no_text_has_no_suggestion() -> None:
    assert suggest(3, ["fixed"]) is None
