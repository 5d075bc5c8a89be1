"""The model as one run asks it: within the context window, with tools it understands, and with its calls recovered."""

from __future__ import annotations

from dataclasses import replace

from pydantic_ai.messages import ModelMessage, ModelResponse, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from agent_runtime.agents.events import StepStarted, TextDelta, UsageReported
from agent_runtime.agents.run_state import RunState


class GuardedModel(WrapperModel):
    """A model for one run. Made anew for each, because it keeps that run's state."""

    def __init__(self, wrapped: Model, state: RunState) -> None:
        super().__init__(wrapped)
        self._state = state

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask once. Raises what the wrapped model raises, and ContextWindowError."""
        state = self._state
        state.messages = messages
        state.steps += 1
        state.note(StepStarted(state.steps))
        response = await self._ask(messages, model_settings, model_request_parameters)
        state.usage.requests += 1
        state.usage.input_tokens += response.usage.input_tokens
        state.usage.output_tokens += response.usage.output_tokens
        state.note(UsageReported(response.usage.input_tokens, response.usage.output_tokens))
        state.messages = [*messages, response]
        return response

    async def _ask(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> ModelResponse:
        if self._state.tell is None:
            return await self.wrapped.request(messages, settings, parameters)
        async with self.wrapped.request_stream(messages, settings, parameters) as stream:
            async for event in stream:
                if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                    self._state.note(TextDelta(event.part.content))
                elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                    self._state.note(TextDelta(event.delta.content_delta))
            return replace(stream.get())
