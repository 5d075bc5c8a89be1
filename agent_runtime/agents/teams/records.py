"""What a team's run leaves behind: its steps, what each member took, its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

CostSource = Literal["router", "contract", "unknown"]
"""Who said what a step cost: the router's replies, the prices in the contract, nobody."""


@dataclass(frozen=True)
class ToolUse:
    """A tool that a member called."""

    name: str
    arguments: dict[str, Any]
    result: str
    is_error: bool
    recovered: bool = False
    """Whether the member wrote the call as text."""


@dataclass(frozen=True)
class StepRecord:
    """A finished step."""

    number: int
    member: str | None
    """None where no member was asked: a search, a run of tests."""
    purpose: str
    digest: str
    """Of what was asked: a resumed run has to ask the same."""
    prompt: str
    output: str
    model: str | None = None
    tools: tuple[ToolUse, ...] = ()
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    """What a step that is no member's gave, as plain JSON data."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    cost_source: CostSource = "unknown"
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """What a reader should know: that something was cut, that the member stopped before its end."""

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_mapping` gave.

        Raises:
            KeyError: something is missing.
            TypeError: there is something that does not belong there.
        """
        tools = tuple(ToolUse(**tool) for tool in data["tools"])
        rest: dict[str, Any] = {**data, "tools": tools, "notes": tuple(data["notes"])}
        return cls(**rest)


@dataclass(frozen=True)
class MemberTotals:
    """What a member took in a run."""

    member: str
    model: str
    steps: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """None where nobody knows of any step."""
    cost_source: CostSource
    seconds: float


@dataclass(frozen=True)
class Source:
    """Where something was found."""

    location: str
    """``notes/a.md:12`` or a URL."""
    excerpt: str
    tool: str


@dataclass(frozen=True)
class Outcome:
    """What a flow comes to."""

    output: str
    """The result, as Markdown."""
    succeeded: bool
    summary: str
    """How it went, in a sentence."""
    files: dict[str, str] = field(default_factory=dict[str, str])
    """What was made: path -> text."""
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class TeamResult:
    """A run that reached its end."""

    run_id: str
    team: str
    task: str
    outcome: Outcome
    steps: tuple[StepRecord, ...]
    members: tuple[MemberTotals, ...]
    models: dict[str, dict[str, Any]]
    """Which model each member had, and why."""

    @property
    def output(self) -> str:
        """The result's text."""
        return self.outcome.output

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data, camelCase keys: the transcript for programs."""
        return {
            "runId": self.run_id,
            "team": self.team,
            "task": self.task,
            "succeeded": self.outcome.succeeded,
            "summary": self.outcome.summary,
            "output": self.outcome.output,
            "files": self.outcome.files,
            "sources": [asdict(source) for source in self.outcome.sources],
            "models": self.models,
            "members": [_camel(asdict(totals)) for totals in self.members],
            "steps": [_step(record) for record in self.steps],
        }


def totals_of(steps: Sequence[StepRecord], models: Mapping[str, str]) -> tuple[MemberTotals, ...]:
    """What each member took, in the order of the team."""
    return tuple(
        _totals(name, model, [step for step in steps if step.member == name]) for name, model in models.items()
    )


def _totals(name: str, model: str, steps: Sequence[StepRecord]) -> MemberTotals:
    known = [step.cost_usd for step in steps if step.cost_usd is not None]
    sources = {step.cost_source for step in steps if step.cost_usd is not None}
    return MemberTotals(
        member=name,
        model=model,
        steps=len(steps),
        tool_calls=sum(len(step.tools) for step in steps),
        input_tokens=sum(step.input_tokens for step in steps),
        output_tokens=sum(step.output_tokens for step in steps),
        cost_usd=sum(known) if known else None,
        # One price that was worked out makes the whole sum one that was.
        cost_source="contract" if "contract" in sources else "router" if sources else "unknown",
        seconds=sum(step.seconds for step in steps),
    )


def _step(record: StepRecord) -> dict[str, Any]:
    data = _camel(record.to_mapping())
    data["tools"] = [_camel(tool) for tool in data["tools"]]
    del data["digest"]
    return data


def _camel(data: Mapping[str, Any]) -> dict[str, Any]:
    def renamed(key: str) -> str:
        first, *rest = key.split("_")
        return first + "".join(part.capitalize() for part in rest)

    return {renamed(key): value for key, value in data.items()}
