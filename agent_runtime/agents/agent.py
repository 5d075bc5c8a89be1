"""An agent: a model with instructions and tools that it really calls, within limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Generic, cast

from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import InstrumentationSettings, capture_run_messages
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.toolsets import AbstractToolset, CombinedToolset, FunctionToolset

from agent_runtime.agents.asking import model_settings, system_prompt, told, transcript, usage_limits
from agent_runtime.agents.errors import AgentError, LimitExceededError
from agent_runtime.agents.events import Event, RunEnded
from agent_runtime.agents.functions import AnyTool, as_tools, to_pydantic
from agent_runtime.agents.guarded_model import GuardedModel
from agent_runtime.agents.guarded_tools import GuardedToolset
from agent_runtime.agents.options import AgentOptions, RunLimits
from agent_runtime.agents.result import AgentResult, Output
from agent_runtime.agents.run_state import CURRENT_RUN, Approve, RunState
from agent_runtime.agents.sessions import Session
from agent_runtime.agents.structured import output_spec
from agent_runtime.agents.window import ContextWindow, llamacpp_counter
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.fleet import Fleet
    from agent_runtime.fleet_models import FleetModel

DEFAULT_MODEL = "default"


class Agent(Generic[Output]):
    """A model of the fleet with instructions, tools and limits.

    ::

        agent = Agent("helper", "Answer in one sentence.", tools=[weather], fleet=Fleet.from_stack("dev"))
        result = agent.run_sync("Do I need an umbrella in Oslo?")
        print(result.output)
    """

    def __init__(
        self,
        name: str,
        instructions: str = "",
        *,
        model: str | Model = DEFAULT_MODEL,
        fleet: Fleet | None = None,
        tools: Sequence[AnyTool] = (),
        context: Mapping[str, Any] | None = None,
        options: AgentOptions | None = None,
        limits: RunLimits | None = None,
        output_type: Any = str,
        session: Session | None = None,
        approve: Approve | None = None,
        mcp_servers: Sequence[AbstractToolset[Any]] = (),
        pull_missing: bool = False,
        instrument: bool = False,
    ) -> None:
        """Make an agent.

        Args:
            name: What it is called in logs, traces and transcripts.
            instructions: What it is to do: the system prompt.
            model: A model or alias of the fleet, or a model object of pydantic-ai.
            fleet: Where to ask; by default the one that the environment names.
            tools: What it may call: typed functions, or :class:`agent_runtime.agents.Tool`.
            context: What it should know, sent as JSON in the system prompt.
            options: Sampling.
            limits: Where a run is stopped.
            output_type: ``str``, a pydantic model, or a JSON schema: what the answer has to be.
            session: Where its conversation is kept; by default each run stands for itself.
            approve: Asked before a tool that needs approval is called.
            mcp_servers: Further tools: :func:`agent_runtime.agents.mcp.mcp_server`.
            pull_missing: Whether to pull the model where the fleet's Ollama server does not hold it.
            instrument: Whether runs are traced with OpenTelemetry; prompts and answers are left out of the traces.

        Raises:
            BadInputError: it has no name.
            ToolDefinitionError: a tool cannot be offered.
            SchemaError: no answer can follow the schema.
        """
        if not name.strip():
            raise BadInputError("an agent needs a name. fix: Agent('helper', ...)")
        self.name = name
        self.instructions = instructions
        self.model = model
        self.tools = as_tools(tools)
        self.context = dict(context or {})
        self.options = options or AgentOptions()
        self.limits = limits or RunLimits()
        self.session = session
        self._fleet = fleet
        self._approve = approve
        self._pull_missing = pull_missing
        self._windows: dict[tuple[str, int], ContextWindow] = {}
        self._core = self._build(output_type, mcp_servers)
        if instrument:
            # What is said may be private; how long it took and what it cost is not.
            self._core.instrument = InstrumentationSettings(include_content=False)

    def __repr__(self) -> str:
        tools = [tool.called for tool in self.tools]
        return f"Agent({self.name!r}, model={self.model_name!r}, tools={tools})"

    @property
    def model_name(self) -> str:
        """The model or alias that is asked."""
        return self.model if isinstance(self.model, str) else self.model.model_name

    async def run(
        self, prompt: str, *, session: Session | None = None, limits: RunLimits | None = None
    ) -> AgentResult[Output]:
        """Work on a prompt to the end.

        Args:
            prompt: The user's turn.
            session: In place of the agent's own.
            limits: In place of the agent's own.

        Raises:
            LimitExceededError: a limit was reached; carries the transcript.
            ContextWindowError: the prompt does not fit into the model's window.
            OutputError: the model did not give what was asked for.
            ModelFailedError: its server refused or failed.
            SessionCorruptError: the session cannot be read.
            BadInputError: the prompt is empty, or the fleet has no such model.
        """
        return await self._run(prompt, session or self.session, RunState(limits or self.limits, self._approve))

    def run_sync(
        self, prompt: str, *, session: Session | None = None, limits: RunLimits | None = None
    ) -> AgentResult[Output]:
        """As :meth:`run`, for code that is not asynchronous. Raises BadInputError within an event loop, too."""
        if _within_loop():
            raise BadInputError("run_sync was called within an event loop. fix: await agent.run(...)")

        async def alone() -> AgentResult[Output]:
            try:
                return await self.run(prompt, session=session, limits=limits)
            finally:
                if self._fleet is not None:
                    await self._fleet.aclose()

        return asyncio.run(alone())

    async def stream(
        self, prompt: str, *, session: Session | None = None, limits: RunLimits | None = None
    ) -> AsyncGenerator[Event]:
        """As :meth:`run`, told as it happens; the last event is :class:`RunEnded` with the result.

        Leaving the iteration early stops the run.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        state = RunState(limits or self.limits, self._approve, tell=queue.put_nowait)

        async def work() -> None:
            try:
                queue.put_nowait(RunEnded(await self._run(prompt, session or self.session, state)))
            finally:
                queue.put_nowait(None)

        task = asyncio.create_task(work())
        try:
            while (event := await queue.get()) is not None:
                yield event
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, prompt: str, session: Session | None, state: RunState) -> AgentResult[Output]:
        if not prompt.strip():
            raise BadInputError("the prompt is empty. fix: say what the agent is to do")
        started = time.monotonic()
        token = CURRENT_RUN.set(state)
        try:
            async with AsyncExitStack() as stack:
                turn = await stack.enter_async_context(session.turn()) if session is not None else None
                history = turn.sent if turn is not None else []
                state.new_from = len(history)
                found = await self._ask(prompt, history, state)
                new: list[ModelMessage] = found.new_messages()
                if turn is not None:
                    turn.add(new)
        finally:
            CURRENT_RUN.reset(token)
        return AgentResult(
            output=cast("Output", found.output),
            model=self.model_name,
            usage=state.usage,
            messages=new,
            seconds=time.monotonic() - started,
            steps=state.steps,
            recovered_calls=state.recovered_calls,
            left_out=state.left_out,
            tools_as_text=state.tools_as_text,
            stand_in=state.stand_in,
        )

    async def _ask(self, prompt: str, history: list[ModelMessage], state: RunState) -> Any:
        timed = asyncio.timeout(state.limits.timeout_seconds)
        try:
            with capture_run_messages() as said:
                state.messages = said
                async with timed:
                    return await self._core.run(
                        prompt,
                        model=await self._guarded_model(state),
                        message_history=history,
                        deps=state,
                        model_settings=model_settings(self.options),
                        usage_limits=usage_limits(state.limits),
                        infer_name=False,
                    )
        except AgentError:
            raise
        except TimeoutError as error:
            if not timed.expired():
                raise
            raise LimitExceededError("seconds", state.limits.timeout_seconds or 0.0, transcript(state)) from error
        except UserError as error:
            raise BadInputError(f"agent {self.name!r} cannot begin: {error.message}") from error
        except Exception as error:
            problem = told(error, self.model_name, state)
            if problem is None:
                raise
            raise problem from error

    async def _guarded_model(self, state: RunState) -> GuardedModel:
        if isinstance(self.model, Model):
            length = self.model.context_window
            return GuardedModel(self.model, state, self._window(self.model_name, length) if length else None)
        if self._fleet is None:
            from agent_runtime.fleet import Fleet

            self._fleet = Fleet.from_env()
        found = self._find(self._fleet, state)
        if self._pull_missing and found.engine == "ollama":
            await self._fleet.pull_missing(found)
        # A model whose server takes no tools gets them described in the prompt.
        state.tools_as_text = "tools" not in found.capabilities
        window = self._window(found.name, found.context_length)
        if window.count is None and found.engine == "llamacpp" and not window.asked:
            url = self._fleet.direct_url(found)
            window.count, window.asked = llamacpp_counter(url) if url else None, True
        return GuardedModel(self._fleet.pydantic_ai_model(found.name), state, window)

    def _find(self, fleet: Fleet, state: RunState) -> FleetModel:
        """The model of the fleet that is asked. Notes in the state where another stands in for it."""
        del state
        return fleet.model(self.model_name)

    def _window(self, name: str, tokens: int) -> ContextWindow:
        return self._windows.setdefault((name, tokens), ContextWindow(tokens))

    def _build(self, output_type: Any, mcp_servers: Sequence[AbstractToolset[Any]]) -> PydanticAgent[RunState, Any]:
        own = FunctionToolset[RunState]([to_pydantic(tool) for tool in self.tools])
        # Each layer of toolsets is walked through in every step.
        offered = CombinedToolset[RunState]([own, *mcp_servers]) if mcp_servers else own
        has_tools = bool(self.tools or mcp_servers)
        retries = self.limits.output_retries
        return PydanticAgent(
            name=self.name,
            deps_type=RunState,
            instructions=system_prompt(self.instructions, self.context),
            output_type=output_spec(output_type, as_tool=has_tools or not self._takes_schemas()),
            toolsets=[GuardedToolset(offered)] if has_tools else [],
            retries={"tools": retries, "output": retries},
        )

    def _takes_schemas(self) -> bool:
        """Whether the server takes a JSON schema as the reply's format: the fleet's engines do."""
        return isinstance(self.model, str) or bool(self.model.profile.get("supports_json_schema_output"))


def _within_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
