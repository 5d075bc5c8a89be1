"""Token counts, as the engine itself counted them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_NUMBER = re.compile(rb"\s*:\s*(\d+)")
_NAMES = (
    (b'"prompt_tokens"', b'"completion_tokens"'),
    (b'"prompt_eval_count"', b'"eval_count"'),
    (b'"input_tokens"', b'"output_tokens"'),
)
"""What counts are called: by OpenAI's chat and completions, by Ollama, by OpenAI's responses."""


@dataclass(slots=True)
class Usage:
    """What one request took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Those of the prompt that the engine had computed before. APIs paid by the token may ask less for them."""


def usage_in_tail(tail: bytes) -> Usage | None:
    """The counts in the last bytes of an answer that was passed on without being decoded.

    Both dialects write them near the end. Text that a model wrote cannot pass for them: inside a JSON
    string its quotes are escaped. llama.cpp writes no ``usage`` into a stream unless asked, but always
    ``timings``.
    """
    for asked, made in _NAMES:
        prompt, completion = _last(asked, tail), _last(made, tail)
        if prompt is not None or completion is not None:
            return Usage(prompt or 0, completion or 0, _last(b'"cached_tokens"', tail) or 0)
    fresh, completion = _last(b'"prompt_n"', tail), _last(b'"predicted_n"', tail)
    if fresh is None and completion is None:
        return None
    cached = _last(b'"cache_n"', tail) or 0
    return Usage((fresh or 0) + cached, completion or 0, cached)


def usage_of_ollama(reply: Mapping[str, Any]) -> Usage:
    """The counts of a decoded last line of Ollama's."""
    return Usage(_count(reply.get("prompt_eval_count")), _count(reply.get("eval_count")))


def usage_of_openai(usage: Mapping[str, Any], timings: Mapping[str, Any]) -> Usage:
    """The counts of OpenAI's ``usage``, or of llama.cpp's ``timings`` where there is no usage."""
    if usage:
        details: object = usage.get("prompt_tokens_details")
        cached: object = cast("Mapping[str, Any]", details).get("cached_tokens") if isinstance(details, dict) else None
        return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached))
    reused = _count(timings.get("cache_n"))
    return Usage(_count(timings.get("prompt_n")) + reused, _count(timings.get("predicted_n")), reused)


def _last(name: bytes, data: bytes) -> int | None:
    """The number behind the last place where a name stands with one."""
    at = data.rfind(name)
    while at >= 0:
        found = _NUMBER.match(data, at + len(name))
        if found is not None:
            return int(found[1])
        at = data.rfind(name, 0, at)
    return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
