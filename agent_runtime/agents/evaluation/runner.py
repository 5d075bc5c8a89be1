"""Runs the tasks on models and scores them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_ai.models import Model

from agent_runtime.agents.agent import Agent
from agent_runtime.agents.errors import AgentError, ModelFailedError
from agent_runtime.agents.evaluation.tasks import TASKS, Task
from agent_runtime.agents.options import AgentOptions, RunLimits

if TYPE_CHECKING:
    from agent_runtime.fleet import Fleet

_INSTRUCTIONS = "You solve small tasks. Use the tools that you have. Answer briefly."
_LIMITS = RunLimits(steps=6, tool_calls=12, timeout_seconds=180.0)
_OPTIONS = AgentOptions(temperature=0.0, max_tokens=256, seed=1)
"""The likeliest answer, so that a score can be had again."""


@dataclass(frozen=True)
class Score:
    """One model on one task."""

    model: str
    task: str
    kind: str
    passed: bool
    reason: str | None
    """Why it did not pass."""
    seconds: float
    steps: int
    recovered_calls: int
    """How many tool calls it wrote as text."""
    answered: bool = True
    """Whether its server did. Where not, the score says nothing about the model."""

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data, camelCase keys."""
        return {
            "task": self.task,
            "kind": self.kind,
            "passed": self.passed,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "steps": self.steps,
            "recoveredCalls": self.recovered_calls,
            "answered": self.answered,
        }


@dataclass(frozen=True)
class Evaluation:
    """All scores."""

    scores: list[Score] = field(default_factory=list[Score])

    @property
    def models(self) -> list[str]:
        """The models that were asked."""
        return list(dict.fromkeys(score.model for score in self.scores))

    def answered(self, model: str) -> bool:
        """Whether a model's server answered in any of its tasks."""
        return any(score.answered for score in self.scores if score.model == model)

    def share_passed(self, model: str, kind: str | None = None) -> float:
        """The share of a model's tasks that it passed, of one kind or of all."""
        mine = [score for score in self.scores if score.model == model and kind in (None, score.kind)]
        return sum(score.passed for score in mine) / len(mine) if mine else 0.0

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data, camelCase keys."""
        kinds = list(dict.fromkeys(score.kind for score in self.scores))
        return {
            "models": [
                {
                    "model": model,
                    "score": round(self.share_passed(model), 4),
                    "kinds": {kind: round(self.share_passed(model, kind), 4) for kind in kinds},
                    "tasks": [score.to_mapping() for score in self.scores if score.model == model],
                }
                for model in self.models
            ]
        }


async def evaluate(
    models: Sequence[str | Model],
    *,
    fleet: Fleet | None = None,
    tasks: Sequence[Task] = TASKS,
    tell: Callable[[Score], None] | None = None,
) -> Evaluation:
    """Run every task on every model, one after another. What one model fails at does not stop the others.

    Args:
        models: Models or aliases of the fleet, or model objects.
        fleet: Where to ask.
        tasks: The suite.
        tell: Called with each score.
    """
    evaluation = Evaluation()
    for model in models:
        for task in tasks:
            score = await _score(model, task, fleet)
            evaluation.scores.append(score)
            if tell is not None:
                tell(score)
    return evaluation


async def _score(model: str | Model, task: Task, fleet: Fleet | None) -> Score:
    agent: Agent[Any] = Agent(
        "evaluated",
        _INSTRUCTIONS,
        model=model,
        fleet=fleet,
        tools=task.tools,
        output_type=task.output_type,
        options=_OPTIONS,
        limits=_LIMITS,
    )
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        result = await agent.run(task.prompt)
    except AgentError as error:
        answered = not isinstance(error, ModelFailedError)
        steps = sum(entry["role"] == "assistant" for entry in error.transcript)
        seconds = loop.time() - started
        return Score(agent.model_name, task.name, task.kind, False, str(error), seconds, steps, 0, answered)
    reason = task.check(result)
    return Score(
        agent.model_name,
        task.name,
        task.kind,
        reason is None,
        reason,
        result.seconds,
        result.steps,
        result.recovered_calls,
    )
