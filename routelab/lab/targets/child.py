"""Runs inside LiteLLM's own environment, never in ours: starts its proxy, answers in the models' place, says what happened.

Standard input is one JSON object, standard output another; everything LiteLLM prints goes to standard error. No address but
this machine's can be reached, no real key is in the environment, and every answer is made up here.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import os
import socket
import sys
from typing import Any

KINDS = {
    "rate_limited": "RateLimitError",
    "server": "InternalServerError",
    "overloaded": "ServiceUnavailableError",
    "timeout": "Timeout",
    "unreachable": "APIConnectionError",
    "auth": "AuthenticationError",
    "bad_request": "BadRequestError",
    "not_found": "NotFoundError",
    "context": "ContextWindowExceededError",
}
"""LiteLLM's exception for each kind of trouble that a question may ask for."""


def offline() -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"offline: {address[0]} was not asked")
        return connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]


class Stage:
    """Stands between LiteLLM's router and the models: keeps who was asked, and answers or fails as told."""

    def __init__(self, litellm: Any) -> None:
        self.litellm = litellm
        self.complete = litellm.acompletion
        self.fail: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, **given: Any) -> Any:
        """Take the place of litellm.acompletion: LiteLLM's own wrapper (cache, cost, callbacks) still runs around the answer."""
        model = given["model_info"]["routelab"]["model"]
        kept = ("model", "api_base", "max_tokens", "temperature", "timeout", "max_retries", "messages")
        self.asked.append({"name": model, **{key: given[key] for key in kept if key in given}})
        kind = self.fail.get(model)
        if kind is not None:
            raise getattr(self.litellm, KINDS[kind])(message="made up", model=model, llm_provider="openai")
        try:
            reply = await self.complete(**{**given, "mock_response": model})
        except Exception as trouble:
            # LiteLLM refuses some requests itself, before any model is asked (a parameter that it knows the model refuses).
            self.asked[-1]["refused"] = f"{type(trouble).__name__}: {str(trouble)[:200]}"
            raise
        if reply._hidden_params.get("cache_hit"):
            self.asked.pop()
        else:
            self.asked[-1]["cost_usd"] = reply._hidden_params.get("response_cost")
        return reply


class Door:
    """LiteLLM's own HTTP application, asked in this process as its callers ask it."""

    def __init__(self, proxy: Any) -> None:
        httpx = importlib.import_module("httpx")
        inside = httpx.ASGITransport(app=proxy.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=inside, base_url="http://proxy.invalid")
        self.key = os.environ["LITELLM_MASTER_KEY"]

    async def post(self, body: dict[str, Any], *, key: bool = True) -> Any:
        """Return the response to a chat completion."""
        headers = {"Authorization": f"Bearer {self.key}"} if key else {}
        return await self.client.post("/v1/chat/completions", json=body, headers=headers)


async def ask(door: Door, stage: Stage, question: dict[str, Any]) -> dict[str, Any]:
    """Return who was asked, in order, and what came back."""
    stage.asked, stage.fail = [], question.get("fail", {})
    response = await door.post({"model": question["model"], "messages": question["messages"]})
    body = response.json() if "json" in response.headers.get("content-type", "") else {}
    answer: dict[str, Any] = {"answered": None, "error": None}
    if response.status_code == 200:
        answer["answered"] = body["choices"][0]["message"]["content"]
        answer["tokens"] = [body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]]
        # The response's own header is left out for a cost of zero, which is not an unknown one.
        answer["cost_usd"] = stage.asked[-1].get("cost_usd") if stage.asked else None
    else:
        said = body.get("error") or {}
        answer["error"] = f"{response.status_code} {said.get('type')}: {str(said.get('message'))[:200]}"
    refused = [call["refused"] for call in stage.asked if "refused" in call]
    calls = stage.asked if question.get("calls") else []
    return {**answer, "asked": [call["name"] for call in stage.asked], "refused": refused[:1], "calls": calls}


async def run(given: dict[str, Any]) -> dict[str, Any]:
    """Start the proxy on the file and ask every question through its HTTP application."""
    litellm: Any = importlib.import_module("litellm")
    proxy = importlib.import_module("litellm.proxy.proxy_server")
    # As `litellm --config FILE` does; the function's own defaults would replace the file's timeout and drop parameters.
    await proxy.initialize(config=given["config"], request_timeout=None, drop_params=False)
    router = proxy.llm_router
    yaml = importlib.import_module("yaml")
    with open(given["config"], encoding="utf-8") as file:
        settings = yaml.safe_load(file).get("router_settings") or {}
    known = litellm.Router.get_valid_args()
    cache = litellm.cache
    stage = Stage(litellm)
    litellm.acompletion = stage
    if hasattr(router, "_time_to_sleep_before_retry"):
        router._time_to_sleep_before_retry = lambda **_: 0
    door = Door(proxy)
    answers = []
    for question in given["questions"]:
        litellm.cache = cache if question.get("cache") else None
        answers.append(await ask(door, stage, question))
        if question.get("cache"):
            await asyncio.sleep(0.1)  # LiteLLM keeps an answer after it has returned it
    stranger = await door.post(
        {"model": given["questions"][0]["model"], "messages": [{"role": "user", "content": "hello"}]}, key=False
    )
    return {
        "version": importlib.metadata.version("litellm"),
        "ignored": sorted(key for key in settings if key not in known),
        "stranger": stranger.status_code,
        "answers": answers,
    }


def main() -> None:
    """Read the questions, keep LiteLLM's own prints out of the answer, write the answers."""
    given = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    offline()
    answer = asyncio.run(run(given))
    with os.fdopen(out, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)


if __name__ == "__main__":
    main()
