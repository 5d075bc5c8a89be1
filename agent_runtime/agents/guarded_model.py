"""The model as one run asks it: within the context window, with tools it understands, and with its calls recovered."""

from __future__ import annotations

import re

from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from agent_runtime.agents.asking import transcript
from agent_runtime.agents.errors import LimitExceededError
from agent_runtime.agents.events import MessagesLeftOut, StepStarted, TextDelta, UsageReported
from agent_runtime.agents.mending import mended, offered
from agent_runtime.agents.recovery import may_become_call
from agent_runtime.agents.recovery_schema import Tools
from agent_runtime.agents.run_state import RunState
from agent_runtime.agents.text_tools import described
from agent_runtime.agents.window import ContextWindow

_NO_TOOLS = re.compile(
    r"does not support tools|tools? (?:param|use|choice)?.*(?:requires? --jinja|not supported)", re.I
)
"""How servers say that a model takes no tools: Ollama, llama.cpp, vLLM."""


class GuardedModel(WrapperModel):
    """A model for one run. Made anew for each, because it keeps that run's state."""

    def __init__(self, wrapped: Model, state: RunState, window: ContextWindow | None) -> None:
        super().__init__(wrapped)
        self._state = state
        self._window = window
        self._tools: Tools = {}
        self._outputs: list[str] = []

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask once. Raises what the wrapped model raises, ContextWindowError, and LimitExceededError."""
        state = self._state
        most = state.limits.total_tokens
        # Looked at before a step and not after: an answer that is there is not thrown away.
        if most is not None and state.usage.total_tokens >= most:
            raise LimitExceededError("tokens", most, transcript(state))
        state.steps += 1
        state.note(StepStarted(state.steps))
        self._tools = offered(model_request_parameters)
        self._outputs = [tool.name for tool in model_request_parameters.output_tools]
        response = await self._with_tools(messages, model_settings, model_request_parameters)
        state.usage.requests += 1
        state.usage.input_tokens += response.usage.input_tokens
        state.usage.output_tokens += response.usage.output_tokens
        state.note(UsageReported(response.usage.input_tokens, response.usage.output_tokens))
        response, recovered = mended(response, self._tools, self._outputs)
        state.recovered_calls += len(recovered)
        state.recovered_ids.update(call.tool_call_id for call in recovered)
        return response

    async def _with_tools(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> ModelResponse:
        if not self._tools or not self._state.tools_as_text:
            try:
                return await self._fitting(messages, settings, parameters)
            except ModelHTTPError as error:
                if not self._tools or not _NO_TOOLS.search(f"{error.message} {error.body}"):
                    raise
                self._state.tools_as_text = True
        said, without_tools = described(messages, parameters)
        return await self._fitting(said, settings, without_tools)

    async def _fitting(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        if self._window is None:
            return await self._ask(messages, settings, parameters)
        kept, left_out = await self._window.fit(messages, parameters, (settings or {}).get("max_tokens"))
        if left_out.messages:
            if left_out != self._state.left_out:
                self._state.note(MessagesLeftOut(left_out.messages, left_out.tokens))
            self._state.left_out = left_out
        response = await self._ask(kept, settings, parameters)
        self._window.learn(kept, parameters, response.usage.input_tokens)
        return response

    async def _ask(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        if self._state.tell is None:
            return await self.wrapped.request(messages, settings, parameters)
        held, holding = "", bool(self._tools)
        async with self.wrapped.request_stream(messages, settings, parameters) as stream:
            async for event in stream:
                held += _text(event)
                # What may turn out to be a call that is written as text is no part of the answer.
                if held and not (holding and may_become_call(held)):
                    self._state.note(TextDelta(held))
                    held, holding = "", False
            response = stream.get()
        # A text that did not turn out to be a call is told as late as this.
        if held and not mended(response, self._tools, self._outputs)[1]:
            self._state.note(TextDelta(held))
        return response


def _text(event: object) -> str:
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    return ""
