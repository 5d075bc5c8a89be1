"""Token counts, as the engine itself counted them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PROMPT = re.compile(rb'"(?:prompt_tokens|prompt_eval_count|input_tokens)"\s*:\s*(\d+)')
_COMPLETION = re.compile(rb'"(?:completion_tokens|eval_count|output_tokens)"\s*:\s*(\d+)')
_CACHED_N = re.compile(rb'"cache_n"\s*:\s*(\d+)')
_PROMPT_N = re.compile(rb'"prompt_n"\s*:\s*(\d+)')
_PREDICTED_N = re.compile(rb'"predicted_n"\s*:\s*(\d+)')


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


def usage_in_tail(tail: bytes) -> Usage | None:
    """The counts in the last bytes of an answer that was passed on without being decoded.

    Both dialects write them near the end. Text that a model wrote cannot pass for them: inside a JSON
    string its quotes are escaped. llama.cpp writes no ``usage`` into a stream unless asked, but always
    ``timings``.
    """
    prompt = _last(_PROMPT, tail)
    completion = _last(_COMPLETION, tail)
    if prompt is None and completion is None:
        fresh = _last(_PROMPT_N, tail)
        completion = _last(_PREDICTED_N, tail)
        if fresh is None and completion is None:
            return None
        prompt = (fresh or 0) + (_last(_CACHED_N, tail) or 0)
    return Usage(prompt or 0, completion or 0)


def usage_of_ollama(reply: Mapping[str, Any]) -> Usage:
    """The counts of a decoded last line of Ollama's."""
    return Usage(_count(reply.get("prompt_eval_count")), _count(reply.get("eval_count")))


def usage_of_openai(usage: Mapping[str, Any], timings: Mapping[str, Any]) -> Usage:
    """The counts of OpenAI's ``usage``, or of llama.cpp's ``timings`` where there is no usage."""
    if usage:
        return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    return Usage(_count(timings.get("prompt_n")) + _count(timings.get("cache_n")), _count(timings.get("predicted_n")))


def _last(pattern: re.Pattern[bytes], data: bytes) -> int | None:
    found = pattern.findall(data)
    return int(found[-1]) if found else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
