"""Pictures in requests, which not every model can look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runtime.router.dialects.errors import Dialect
from agent_runtime.router.dialects.replies import sections


def may_show_images(raw: bytes) -> bool:
    """Whether a request's bytes could show any: a look that costs next to nothing, for most that show none.

    Every field that carries pictures has "image" in its name, unless its letters are written as escapes.
    """
    return b"image" in raw or b"\\u" in raw


def shows_images(dialect: Dialect, body: Mapping[str, Any]) -> bool:
    """Whether the model is to look at pictures."""
    turns = sections(body.get("messages"))
    if dialect == "ollama":
        return bool(body.get("images")) or any(turn.get("images") for turn in turns)
    turns += sections(body.get("input"))  # of /v1/responses
    return any(part.get("type") in _IMAGES for turn in turns for part in sections(turn.get("content")))


_IMAGES = ("image_url", "input_image")
