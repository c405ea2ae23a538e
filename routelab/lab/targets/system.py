"""The config's system text as a small Python file for LiteLLM's proxy, whose model groups have no system text of their own."""

from __future__ import annotations

import json

_FILE = '''"""Puts a system text in front of every chat, for LiteLLM's proxy; exported by routelab for {name}.

LiteLLM loads `system` from this file because `callbacks` in the configuration beside it names it.
"""

from __future__ import annotations

from litellm.integrations.custom_logger import CustomLogger

SYSTEM = {system!r}
FRONT = {front!r}


class System(CustomLogger):
    """What LiteLLM asks before it routes a request."""

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        """Return the request with the system text in the place of its own; models that are called directly keep theirs."""
        model, messages = str(data.get("model")), data.get("messages")
        if isinstance(messages, list) and (model == FRONT or model.startswith(FRONT + "/")):
            rest = [message for message in messages if message.get("role") != "system"]
            data["messages"] = [{{"role": "system", "content": SYSTEM}}, *rest]
        return data


system = System()
'''


def system_file(system: str, *, front: str, name: str) -> str:
    """Return the Python file that puts the system text in front of what is asked under `front` and its tasks."""
    return _FILE.format(system=system, front=front, name=json.dumps(name))
