"""What provider tests share: a local server, and one way to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from asking import Ask

from routelab.core.values import Message
from routelab.testing.server import FakeProviders


@pytest.fixture
def fake() -> Iterator[FakeProviders]:
    """A local server that echoes until it is given a script."""
    with FakeProviders() as server:
        yield server


@pytest.fixture
def ask(fake: FakeProviders) -> Iterator[Ask]:
    """One way to ask the local server."""
    with asyncio.Runner() as runner:
        asking = Ask(fake=fake, runner=runner)
        yield asking
        runner.run(asking.transport.aclose())


@pytest.fixture
def chat() -> Callable[..., tuple[Message, ...]]:
    """A conversation from `role=text` pairs."""
    return lambda *turns: tuple(Message(role=role, content=text) for role, text in turns)
