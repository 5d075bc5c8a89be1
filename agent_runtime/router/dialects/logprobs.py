"""How likely the tokens of an answer were, in the three shapes that there are.

Ollama and OpenAI's chat list tokens with their alternatives; OpenAI's older completions have a list for each field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agent_runtime.router.dialects.replies import section, sections


def to_ollama(choice: Mapping[str, Any]) -> dict[str, Any]:
    """The field of an Ollama line for a choice of OpenAI's, in either shape; empty where it tells none."""
    said = section(choice.get("logprobs"))
    found = sections(said.get("content")) or _listed(said)
    return {"logprobs": found} if found else {}


def to_chat(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The field of a chat's choice for a reply of Ollama's."""
    found = reply.get("logprobs")
    return {"logprobs": {"content": found}} if found else {}


def to_completion(reply: Mapping[str, Any], offset: int = 0) -> dict[str, Any] | None:
    """What a choice of /v1/completions says for a reply of Ollama's. ``offset``: characters before its text."""
    tokens = sections(reply.get("logprobs"))
    if not tokens:
        return None
    names = [str(token.get("token", "")) for token in tokens]
    offsets: list[int] = []
    for name in names:
        offsets.append(offset)
        offset += len(name)
    return {
        "tokens": names,
        "token_logprobs": [token.get("logprob") for token in tokens],
        "top_logprobs": [
            {str(other.get("token", "")): other.get("logprob") for other in sections(token.get("top_logprobs"))}
            for token in tokens
        ],
        "text_offset": offsets,
    }


def _listed(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A list of tokens out of a list for each field."""
    names, values = said.get("tokens"), said.get("token_logprobs")
    if not (isinstance(names, list) and isinstance(values, list)):
        return []
    tops: object = said.get("top_logprobs")
    alternatives = cast("list[object]", tops) if isinstance(tops, list) else []
    made: list[dict[str, Any]] = []
    for at, (name, value) in enumerate(zip(cast("list[object]", names), cast("list[object]", values), strict=False)):
        token: dict[str, Any] = {"token": name, "logprob": value}
        others = section(alternatives[at]) if at < len(alternatives) else {}
        if others:
            token["top_logprobs"] = [{"token": other, "logprob": chance} for other, chance in others.items()]
        made.append(token)
    return made
