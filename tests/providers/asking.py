"""One way to ask the local server, shared by the provider tests."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, field
from typing import Any

from routelab.core.values import Model, Prompt, Reply, Request
from routelab.providers import Transport, provider_of
from routelab.testing.server import FakeProviders, Protocol

KEY = "sk-canary-0123456789abcdefghij"
KINDS: dict[Protocol, str] = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini"}


@dataclass(kw_only=True)
class Ask:
    """Asks the local server through a provider of one protocol; one loop and one client serve a whole test."""

    fake: FakeProviders
    runner: asyncio.Runner
    transport: Transport = field(default_factory=lambda: Transport(getenv={"KEY": KEY}.get))
    told: list[str] = field(default_factory=list)

    def request(self, text: str = "hello", **changes: Any) -> Request:
        """Return a request for one user message."""
        prompt = Prompt.of(text)
        model = Model(name="m", provider="fake", upstream="model-1")
        given = {"model": model, "prompt": prompt, "messages": prompt.messages, **changes}
        return Request(**given)

    def __call__(self, protocol: Protocol, request: Request | None = None, **options: Any) -> Reply:
        """Return the reply, its times taken out so that whole values compare; `told` has what was emitted."""
        return dataclasses.replace(self.timed(protocol, request, **options), latency_s=None, ttft_s=None)

    def timed(self, protocol: Protocol, request: Request | None = None, **options: Any) -> Reply:
        """Return the reply as it is."""
        return self.runner.run(self.once(protocol, request, **options))

    async def once(
        self,
        protocol: Protocol,
        request: Request | None = None,
        *,
        transport: Transport | None = None,
        kind: str | None = None,
        **options: Any,
    ) -> Reply:
        """Ask on the running loop."""
        used = transport or self.transport
        options = {"base_url": self.fake.base_url(protocol), "key_env": "KEY", **options}
        provider = provider_of(kind or KINDS[protocol], transport=used, **options)
        self.told.clear()
        try:
            return await provider.complete(request or self.request(), self.told.append)
        finally:
            if used is not self.transport:
                await used.aclose()
