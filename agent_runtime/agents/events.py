"""What happens in a run, as it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.agents.result import AgentResult


@dataclass(frozen=True)
class StepStarted:
    """The model is asked once more."""

    step: int
    """Counted from 1."""


@dataclass(frozen=True)
class ModelStandsIn:
    """The fleet lacks the model that is meant, and another one answers."""

    name: str
    """What the router is asked for."""
    reason: str


@dataclass(frozen=True)
class TextDelta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """The model wants a tool called."""

    name: str
    arguments: dict[str, Any]
    call_id: str
    recovered: bool = False
    """Whether the model wrote the call as text, from which it was recovered."""


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave back, as the model sees it."""

    name: str
    call_id: str
    content: str
    is_error: bool
    seconds: float


@dataclass(frozen=True)
class MessagesLeftOut:
    """The oldest messages did not fit into the model's context window and were not sent."""

    messages: int
    tokens: int
    """About how many they are."""


@dataclass(frozen=True)
class UsageReported:
    """The tokens of one step, as the server counted them."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class RunEnded:
    """The run reached its end."""

    result: AgentResult[Any]


Event = StepStarted | ModelStandsIn | TextDelta | ToolCall | ToolResult | MessagesLeftOut | UsageReported | RunEnded
"""Anything that happens in a run."""
