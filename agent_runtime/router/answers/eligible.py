"""Which requests may be answered with what was answered before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agent_runtime.router.dialects.operations import Operation, is_zero_duration
from agent_runtime.router.dialects.replies import section, sections

_EMBEDDINGS: Final = frozenset({"embed", "embeddings"})
_TEXTS: Final = frozenset({"chat", "generate", "completions"})
_STATEFUL: Final = ("store", "web_search_options", "audio", "previous_response_id", "conversation")
"""What makes a request do, or read, something beyond the model: keep the answer at the provider, search the web,
make sounds that expire there, go on from a state kept there."""
_DURATION: Final = re.compile(r"-?\d+(\.\d+)?|-?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+")
"""A number of seconds, or a duration as Go has it."""
_RANDOM_SEED: Final = 0xFFFFFFFF
"""llama.cpp's word for "take another one each time", which a seed of -1 becomes there and in Ollama."""


def is_cacheable(operation: Operation, body: Mapping[str, Any], *, sampled: bool) -> bool:
    """Whether the same request may get the same answer again.

    Embeddings may. Text may where it is deterministic: drawn with temperature 0 or a seed of its own; with
    ``sampled``, all of it. Calls of tools are replies like others: it is the client that carries them out, or not.
    Requests that only load or unload a model, that unload it afterwards, or that reach beyond the model may not.
    """
    if operation.name in _TEXTS:
        options = section(body.get("options")) if operation.dialect == "ollama" else body
        if not (sampled or _is_deterministic(options)) or _only_loads(operation, body):
            return False
    elif operation.name not in _EMBEDDINGS:
        return False
    if any(body.get(name) for name in _STATEFUL) or _acts(body.get("keep_alive")):
        return False
    return all(tool.get("type", "function") == "function" for tool in sections(body.get("tools"))) and not any(
        _shows_elsewhere(message) for message in sections(body.get("messages"))
    )


def _is_deterministic(options: Mapping[str, Any]) -> bool:
    temperature: object = options.get("temperature")
    if isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0:
        return True
    seed: object = options.get("seed")
    return isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed != _RANDOM_SEED


def _only_loads(operation: Operation, body: Mapping[str, Any]) -> bool:
    if operation.dialect != "ollama":
        return False
    return not body.get("messages" if operation.name == "chat" else "prompt")


def _acts(keep_alive: object) -> bool:
    """Whether it does more than keep the model: it unloads it, or is no duration, which Ollama refuses."""
    if keep_alive is None:
        return False
    text = str(keep_alive)
    return _DURATION.fullmatch(text) is None or is_zero_duration(keep_alive)


def _shows_elsewhere(message: Mapping[str, Any]) -> bool:
    """Whether a part of the message lies at an address, where it may change."""
    content: object = message.get("content")
    if not isinstance(content, list):
        return False
    for part in sections(content):
        kind: object = part.get("type")
        if isinstance(kind, str) and kind.endswith("_url"):
            shown: object = part.get(kind)
            address: object = section(shown).get("url") if isinstance(shown, dict) else shown
            if not (isinstance(address, str) and address.startswith("data:")):
                return True
    return False
