"""How much of an answer a request asks for at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agent_runtime.router.dialects.errors import Dialect
from agent_runtime.router.dialects.replies import section


def longest_answer_tokens(dialect: Dialect, body: Mapping[str, Any]) -> int | None:
    """The most tokens that one answer may have, as far as the request says; None where it does not."""
    if dialect == "ollama":
        return _positive(section(body.get("options")).get("num_predict"))
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens")  # the last is that of /v1/responses
    return next((found for name in names if (found := _positive(body.get(name)))), None)


def choices(body: Mapping[str, Any]) -> int:
    """How many answers a request in OpenAI's dialect asks for: ``n`` for each of its prompts."""
    prompt: object = body.get("prompt")
    prompts = cast("list[object]", prompt) if isinstance(prompt, list) else []
    # A list of numbers is one prompt, in tokens.
    several = len(prompts) if prompts and not isinstance(prompts[0], int) else 1
    return several * (_positive(body.get("n")) or 1)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
