"""An agent that remembers its conversation, on llama3.1:8b or on what the fleet has in its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from agent_runtime.agents.agent import Agent
from agent_runtime.agents.builder_choice import SPECIALISATIONS, ModelChoice, choose_model
from agent_runtime.agents.events import ModelStandsIn, TextDelta
from agent_runtime.agents.run_state import RunState
from agent_runtime.agents.sessions import Session

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from agent_runtime.fleet import Fleet
    from agent_runtime.fleet_models import FleetModel

_GENERAL = SPECIALISATIONS["general"]


class OpenSourceAgent(Agent[str]):
    """An agent that remembers its conversation: the last 20 messages, of which 10 are sent along.

    Without a model it takes llama3.1:8b, and where the fleet has no model or alias of that name, the one that the
    catalogue holds to be closest: :attr:`choice`, the result's ``stand_in`` and the event
    :class:`agent_runtime.agents.events.ModelStandsIn` say which, and why.
    """

    def __init__(
        self,
        name: str,
        instructions: str = "",
        *,
        model: str | Model | None = None,
        session: Session | None = None,
        **options: Any,
    ) -> None:
        """As for :class:`Agent`; without a session it begins one in memory."""
        self._chooses = model is None
        self.choice: ModelChoice | None = None
        """The model that stood for llama3.1:8b in the last run; None before the first, and where one was named."""
        wanted = _GENERAL.model if model is None else model
        super().__init__(name, instructions, model=wanted, session=session or Session(), **options)

    @property
    def model_name(self) -> str:
        """The model or alias that is asked; before the first run the one that is meant."""
        return self.choice.name if self.choice is not None else super().model_name

    async def process_message(self, message: str) -> str:
        """Answer a message. Raises what :meth:`Agent.run` raises."""
        return (await self.run(message)).output

    async def stream_response(self, message: str) -> AsyncGenerator[str]:
        """Answer a message, piece by piece. Raises what :meth:`Agent.run` raises."""
        async for event in self.stream(message):
            if isinstance(event, TextDelta):
                yield event.text

    def _find(self, fleet: Fleet, state: RunState) -> FleetModel:
        contract = fleet.contract
        if not self._chooses or _GENERAL.model in contract.aliases:
            self.choice = None
            return super()._find(fleet, state)
        # Anew in each run: the fleet may have changed since.
        self.choice = choose_model(contract, _GENERAL)
        if self.choice.is_fallback:
            state.stand_in = self.choice.reason
            state.note(ModelStandsIn(self.choice.name, self.choice.reason))
        return fleet.model(self.choice.name)
