"""Runs inside LiteLLM's own environment: what its complexity router, as it comes, decides about each prompt.

Standard input is a JSON list of prompts (lists of messages), standard output {version, tiers}; the decision is that of
the router's own hook before a call, with each tier answered by a model of that name. No connection is made: none can be.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.metadata
import json
import os
import socket
import sys
from typing import Any

TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")


def refused(self: socket.socket, address: Any) -> Any:
    """Refuse to connect."""
    raise OSError(f"offline: {address} was not asked")


async def decided(hook: Any, prompts: list[list[dict[str, str]]]) -> list[str]:
    """Return the tier of each prompt."""
    found = []
    for messages in prompts:
        response = await hook(model="auto", request_kwargs={}, messages=messages)
        found.append(response.model)
    return found


def main() -> None:
    """Answer what is asked on standard input."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    socket.socket.connect = refused  # type: ignore[method-assign, assignment]
    prompts = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        litellm = importlib.import_module("litellm")
        models = [
            {"model_name": t, "litellm_params": {"model": f"openai/{t}", "api_key": "made-up", "mock_response": t}}
            for t in TIERS
        ]
        auto = {
            "model": "auto_router/complexity_router",
            "complexity_router_default_model": "MEDIUM",
            "complexity_router_config": {"tiers": {t: t for t in TIERS}},
        }
        router = litellm.Router(model_list=[*models, {"model_name": "auto", "litellm_params": auto}])
        tiers = asyncio.run(decided(router.async_pre_routing_hook, prompts))
    json.dump({"version": importlib.metadata.version("litellm"), "tiers": tiers}, sys.stdout)


if __name__ == "__main__":
    main()
