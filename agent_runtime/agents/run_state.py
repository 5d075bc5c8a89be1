"""What one run knows about itself while it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from pydantic_ai.messages import ModelMessage

from agent_runtime.agents.events import Event
from agent_runtime.agents.options import RunLimits
from agent_runtime.agents.result import LeftOut, Usage

Approve = Callable[[str, dict[str, object]], "bool | str | Awaitable[bool | str]"]
"""Asked before a tool that needs approval is called, with its name and arguments: True lets it, False or a reason
does not, and the model is told."""


@dataclass
class RunState:
    """One run: its limits, whom to tell, and what it took so far."""

    limits: RunLimits
    approve: Approve | None = None
    tell: Callable[[Event], None] | None = None
    """Called with each event, where somebody follows the run."""
    steps: int = 0
    recovered_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    left_out: LeftOut = field(default_factory=LeftOut)
    messages: list[ModelMessage] = field(default_factory=list[ModelMessage])
    """What was said, history first: the transcript where a run ends before its time."""
    new_from: int = 0
    """How many of the first messages are history from before this run."""
    tools_as_text: bool = False
    """Whether tools are described in the prompt, because the model's server takes none."""
    stand_in: str | None = None
    """Why another model than the one that is meant answers; None where none does."""
    recovered_ids: set[str] = field(default_factory=set[str])
    """The calls of this run that were recovered from text."""

    def note(self, event: Event) -> None:
        """Tell whoever follows the run."""
        if self.tell is not None:
            self.tell(event)

    def add_cost(self, usd: float) -> None:
        """Count what a reply cost."""
        self.usage.cost_usd = (self.usage.cost_usd or 0.0) + usd


CURRENT_RUN: ContextVar[RunState | None] = ContextVar("paddock_agent_run", default=None)
"""The run that the current task works for: the HTTP client books the costs of its replies there."""
