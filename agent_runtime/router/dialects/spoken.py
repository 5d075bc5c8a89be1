"""What a message of OpenAI's says and thinks, in each of the shapes in which its many servers write that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runtime.router.dialects.replies import sections


def text_and_thinking(message: Mapping[str, Any], choice: Mapping[str, Any]) -> tuple[str, str]:
    """The text and the thinking of a message or of a piece of one.

    Mistral's reasoning models write a list of parts where others write text; a part of the kind ``thinking`` is a list
    of texts again. Thinking is ``reasoning_content`` with DeepSeek and vLLM, ``reasoning`` with Groq and OpenRouter.

    Args:
        message: the choice's ``message`` or ``delta``.
        choice: the choice, whose ``text`` it is with older completions.
    """
    content: object = message.get("content")
    thinking: str = message.get("reasoning_content") or message.get("reasoning") or ""
    if isinstance(content, list):
        parts = sections(content)  # pyright: ignore[reportUnknownArgumentType]
        text = "".join(part.get("text") or "" for part in parts)
        thinking += "".join(said.get("text") or "" for part in parts for said in sections(part.get("thinking")))
        return text, thinking
    text = message.get("content") or choice.get("text") or message.get("refusal") or ""
    return text, thinking
