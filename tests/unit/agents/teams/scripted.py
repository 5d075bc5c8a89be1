"""A model that says what a test wrote down for each member of a team."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.usage import RequestUsage

from agent_runtime.agents.builder import SPECIALISATIONS, OpenSourceAgentBuilder
from agent_runtime.agents.teams import research, software
from agent_runtime.agents.tools.catalogue import ToolSettings

ROLES = {
    "gatherer": (research.GATHERER, research.GATHERER_WITHOUT_TOOLS),
    "analyzer": (research.ANALYZER,),
    "synthesizer": (research.SYNTHESIZER,),
    "architect": (software.ARCHITECT,),
    "developer": (software.DEVELOPER,),
    "tester": (software.TESTER,),
    "reviewer": (software.REVIEWER,),
}


@dataclass(frozen=True)
class Call:
    """A tool call, in place of an answer."""

    name: str
    arguments: dict[str, Any]


Reply = str | Call
Say = Reply | Callable[[str], Reply]


@dataclass
class Script:
    """What each member says, in turn. The last reply is said again and again."""

    replies: dict[str, Sequence[Say]]
    roles: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(ROLES))
    prompts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Who was asked what, tool results among it."""

    def builder(self, settings: ToolSettings | None = None) -> OpenSourceAgentBuilder:
        """A builder all of whose agents read from this script."""
        model = FunctionModel(self._reply, stream_function=self._stream, model_name="scripted")
        return OpenSourceAgentBuilder(models=dict.fromkeys(SPECIALISATIONS, model), settings=settings)

    def asked(self, member: str) -> list[str]:
        """What a member was asked."""
        return [prompt for name, prompt in self.prompts if name == member]

    def _next(self, messages: list[ModelMessage], info: AgentInfo) -> Reply:
        instructions = info.instructions or ""
        member = next(name for name, texts in self.roles.items() if any(text in instructions for text in texts))
        prompt = _last_said(messages)
        said = len(self.asked(member))
        self.prompts.append((member, prompt))
        replies = self.replies[member]
        reply = replies[min(said, len(replies) - 1)]
        return reply(prompt) if callable(reply) else reply

    async def _reply(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        reply = self._next(messages, info)
        part = TextPart(reply) if isinstance(reply, str) else ToolCallPart(reply.name, reply.arguments)
        return ModelResponse([part], usage=RequestUsage(input_tokens=10, output_tokens=5))

    async def _stream(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        reply = self._next(messages, info)
        if isinstance(reply, str):
            for start in range(0, len(reply), 200):
                yield reply[start : start + 200]
        else:
            import json

            yield {0: DeltaToolCall(name=reply.name, json_args=json.dumps(reply.arguments), tool_call_id="call-1")}


def _last_said(messages: list[ModelMessage]) -> str:
    request = messages[-1]
    assert isinstance(request, ModelRequest)
    texts = [str(part.content) for part in request.parts if isinstance(part, UserPromptPart | ToolReturnPart)]
    return "\n".join(texts)
