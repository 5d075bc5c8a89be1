"""How an agent asks its model, and how far a run may go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT_MESSAGES = 20
SENT_MESSAGES = 10


@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """Sampling, in the terms that open models' servers use."""

    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40
    repeat_penalty: float = 1.1
    max_tokens: int | None = None
    """The longest answer, in tokens; None leaves it to the server."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further fields of the request's body, as the engine names them."""


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """Where a run is stopped. None lifts a limit."""

    steps: int | None = 12
    """How many times the model may be asked."""
    tool_calls: int | None = 40
    total_tokens: int | None = 200_000
    """Prompt and reply tokens of all steps together."""
    timeout_seconds: float | None = 600.0
    tool_timeout_seconds: float = 30.0
    """How long one tool may take, unless it says otherwise."""
    tool_output_chars: int = 16_000
    """What of a tool's result the model gets to see; the rest is cut out of the middle."""
    output_retries: int = 2
    """How often the model may put a wrong answer or wrong arguments right."""
