"""What makes two requests belong together: a session, or the same beginning of a conversation.

An engine keeps what it has computed for a prompt, and a later one with the same beginning starts from there. A
conversation begins with its system prompt and its first message, and they stay as it goes on; so do the
instructions that an application puts before every question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from agent_runtime.router.balancing.ring import position

_BEGINNING_CHARACTERS: Final = 1024
"""Two prompts that are the same up to here are one to the balance: about 250 tokens, which are worth keeping."""


def session_key(session: str) -> int:
    """The key of a session."""
    return position(f"session\0{session}")


def prompt_key(body: Mapping[str, Any]) -> int | None:
    """The key of what a prompt begins with, in either dialect; None where there is no prompt to speak of."""
    beginning = _conversation(body.get("messages")) or _text(body.get("system")) + _text(body.get("prompt"))
    return position(f"prompt\0{beginning[:_BEGINNING_CHARACTERS]}") if beginning else None


def _conversation(messages: object) -> str:
    """System messages and the first of the others: what the next turn of the same conversation begins with too."""
    if not isinstance(messages, list):
        return ""
    found: list[str] = []
    size = 0
    for message in cast("list[object]", messages):
        if not isinstance(message, dict):
            break
        fields = cast("dict[str, object]", message)
        text = _text(fields.get("content"))
        found.append(text)
        size += len(text)
        if fields.get("role") not in ("system", "developer") or size >= _BEGINNING_CHARACTERS:
            break
    return "\0".join(found)


def _text(content: object) -> str:
    """Text as it is, or the beginnings of what a list is made of."""
    if isinstance(content, str):
        return content[:_BEGINNING_CHARACTERS]
    if not isinstance(content, list):
        return ""
    found: list[str] = []
    for part in cast("list[object]", content)[:8]:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict):
            fields = cast("dict[str, object]", part)
            found.append(str(fields.get("text") or fields.get("image_url") or ""))
    return "\0".join(found)[:_BEGINNING_CHARACTERS]
