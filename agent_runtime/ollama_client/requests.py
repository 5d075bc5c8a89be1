"""What the synchronous and the asynchronous client share: names of types, limits, the steps of a pull."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import httpx
from ollama import ListResponse

Message = Mapping[str, Any]
"""``{"role": "user", "content": "..."}``, with ``images`` or ``tool_calls`` where there are any."""
ToolSpec = Mapping[str, Any] | Callable[..., Any]
"""A tool as Ollama's API takes it, or a typed function that is described from its docstring."""
Format = Literal["json"] | Mapping[str, Any] | None
"""What a reply has to be: any JSON, or what follows a JSON schema."""
Think = bool | Literal["low", "medium", "high"] | None
Options = Mapping[str, Any] | None
"""``temperature``, ``top_p``, ``top_k``, ``repeat_penalty``, ``num_ctx``, ``num_predict``, ``seed``, ``stop`` ..."""
KeepAlive = float | str | None
"""How long the model stays loaded: seconds, or text such as ``10m``; -1 for good, 0 not at all."""

CONNECT_TIMEOUT_SECONDS = 5.0
REPLY_TIMEOUT_SECONDS = 600.0
"""Longest silence while a reply is awaited: a cold model may take minutes to load."""
READ_ATTEMPTS = 3
"""How often something is asked that changes nothing."""
PULL_ATTEMPTS = 5
"""How often a pull that broke off is taken up again; the server goes on where it was."""
FIRST_PAUSE_SECONDS = 0.2


def timeout(seconds: float) -> httpx.Timeout:
    """The longest silence, and a short time for the connection itself."""
    return httpx.Timeout(seconds, connect=min(CONNECT_TIMEOUT_SECONDS, seconds))


def pause_seconds(attempt: int) -> float:
    """How long to wait before the next attempt, the first being 0."""
    return FIRST_PAUSE_SECONDS * 2**attempt


def names_of(listed: ListResponse) -> list[str]:
    """The names of the models that a server holds."""
    return [str(model.model) for model in listed.models]


def holds(names: Sequence[str], wanted: str) -> bool:
    """Whether a model is among the names; no tag means ``latest``."""
    full = wanted if ":" in wanted.rsplit("/", 1)[-1] else f"{wanted}:latest"
    return full in names or wanted in names
