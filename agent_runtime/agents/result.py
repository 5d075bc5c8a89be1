"""What a run gave: its output, what it took, and what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_core import to_jsonable_python

from agent_runtime.agents.errors import TranscriptEntry

Output = TypeVar("Output")


@dataclass
class Usage:
    """What a run took."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: int = 0
    cost_usd: float | None = None
    """What the router's replies say that it cost, in US dollars; None where they say nothing."""

    @property
    def total_tokens(self) -> int:
        """Prompt and reply tokens."""
        return self.input_tokens + self.output_tokens

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data, camelCase keys."""
        return {
            "requests": self.requests,
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
            "toolCalls": self.tool_calls,
            "costUsd": self.cost_usd,
        }


@dataclass(frozen=True)
class LeftOut:
    """What of the history was not sent, because the context window is too small for it."""

    messages: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class AgentResult(Generic[Output]):
    """A finished run."""

    output: Output
    """The answer's text, or an object of the type that was asked for."""
    model: str
    """What was asked for: a model or an alias."""
    usage: Usage
    messages: list[ModelMessage] = field(repr=False)
    """What was said in this run: the prompt, the calls, their results, the answer."""
    seconds: float = 0.0
    steps: int = 0
    recovered_calls: int = 0
    """How many tool calls the model wrote as text."""
    left_out: LeftOut = LeftOut()
    tools_as_text: bool = False
    """Whether the tools were described in the prompt, because the model takes none in its requests."""
    stand_in: str | None = None
    """Why another model than the one that was meant answered; None where none did."""

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output if isinstance(self.output, str) else str(to_jsonable_python(self.output))

    @property
    def cut_off(self) -> bool:
        """Whether the answer ends where the longest reply, or the window, did."""
        last = self.messages[-1] if self.messages else None
        return isinstance(last, ModelResponse) and last.finish_reason == "length"

    @property
    def transcript(self) -> list[TranscriptEntry]:
        """What was said, as plain JSON data."""
        return transcript_of(self.messages)

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data, camelCase keys."""
        output: Any = self.output
        return {
            "output": output.model_dump(mode="json") if isinstance(output, BaseModel) else to_jsonable_python(output),
            "model": self.model,
            "usage": self.usage.to_mapping(),
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "recoveredCalls": self.recovered_calls,
            "leftOut": {"messages": self.left_out.messages, "tokens": self.left_out.tokens},
            "toolsAsText": self.tools_as_text,
            "standIn": self.stand_in,
            "transcript": self.transcript,
        }


def transcript_of(messages: Sequence[ModelMessage]) -> list[TranscriptEntry]:
    """Messages as plain JSON data, in the order in which they were said."""
    entries: list[TranscriptEntry] = []
    for message in messages:
        if isinstance(message, ModelRequest):
            entries.extend(entry for part in message.parts if (entry := _request_entry(part)) is not None)
        elif isinstance(message, ModelResponse):  # pyright: ignore[reportUnnecessaryIsInstance]
            entries.append(_response_entry(message))
    return entries


def _request_entry(part: object) -> TranscriptEntry | None:
    if isinstance(part, UserPromptPart):
        content = part.content if isinstance(part.content, str) else to_jsonable_python(part.content)
        return {"role": "user", "content": content}
    if isinstance(part, SystemPromptPart):
        return {"role": "system", "content": part.content}
    if isinstance(part, ToolReturnPart):
        content = part.model_response_str()
        return {"role": "tool", "name": part.tool_name, "callId": part.tool_call_id, "content": content}
    if isinstance(part, RetryFeedbackPart):
        return {"role": "user", "content": part.model_response()}
    return None


def _response_entry(message: ModelResponse) -> TranscriptEntry:
    entry: TranscriptEntry = {
        "role": "assistant",
        "content": "".join(part.content for part in message.parts if isinstance(part, TextPart)),
    }
    calls = [
        {"name": part.tool_name, "callId": part.tool_call_id, "arguments": part.args_as_dict(raise_if_invalid=False)}
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]
    if calls:
        entry["toolCalls"] = calls
    return entry
