"""An agent: a model with instructions and tools that it really calls, within limits."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.toolsets import AbstractToolset, CombinedToolset, FunctionToolset
from pydantic_ai.usage import UsageLimits

from agent_runtime.agents.errors import AgentError, LimitExceededError, ModelFailedError, OutputError, TranscriptEntry
from agent_runtime.agents.events import Event, RunEnded, TextDelta
from agent_runtime.agents.functions import AnyTool, as_tools, to_pydantic
from agent_runtime.agents.guarded_model import GuardedModel
from agent_runtime.agents.guarded_tools import GuardedToolset
from agent_runtime.agents.options import AgentOptions, RunLimits
from agent_runtime.agents.result import AgentResult, transcript_of
from agent_runtime.agents.run_state import CURRENT_RUN, Approve, RunState
from agent_runtime.agents.sessions import Session
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.fleet import Fleet

Output = TypeVar("Output")
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
            tools: What it may call: typed functions, or :class:`Tool`.
            context: What it should know, sent as JSON in the system prompt.
            options: Sampling.
            limits: Where a run is stopped.
            output_type: ``str``, a pydantic model, or a JSON schema: what the answer has to be.
            session: Where its conversation is kept; by default each run stands for itself.
            approve: Asked before a tool that needs approval is called.
            mcp_servers: Further tools, from servers that speak the Model Context Protocol.
            pull_missing: Whether to pull the model where the fleet's server does not hold it.
            instrument: Whether runs are traced with OpenTelemetry.

        Raises:
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
        self._core = self._build(output_type, mcp_servers, instrument)

    async def run(
        self,
        prompt: str,
        *,
        session: Session | None = None,
        limits: RunLimits | None = None,
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
        """
        state = RunState(limits or self.limits, self._approve)
        return await self._run(prompt, session or self.session, state)

    def run_sync(
        self, prompt: str, *, session: Session | None = None, limits: RunLimits | None = None
    ) -> AgentResult[Output]:
        """As :meth:`run`, for code that is not asynchronous."""
        return asyncio.run(self.run(prompt, session=session, limits=limits))

    async def stream(
        self, prompt: str, *, session: Session | None = None, limits: RunLimits | None = None
    ) -> AsyncIterator[Event]:
        """As :meth:`run`, told as it happens; the last event is :class:`RunEnded` with the result.

        Leaving the iteration early stops the run.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        state = RunState(limits or self.limits, self._approve, tell=queue.put_nowait)

        async def work() -> None:
            try:
                result = await self._run(prompt, session or self.session, state)
                queue.put_nowait(RunEnded(result))
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
                history = await stack.enter_async_context(session.turn()) if session is not None else None
                sent = history.sent if history is not None else []
                state.new_from = len(sent)
                async with asyncio.timeout(state.limits.timeout_seconds):
                    found = await self._ask(prompt, sent, state)
                new: list[ModelMessage] = found.new_messages()
                if history is not None:
                    history.add(new)
                state.usage.tool_calls = max(state.usage.tool_calls, found.usage.tool_calls)
                return AgentResult(
                    output=cast("Output", found.output),
                    model=self.model_name,
                    usage=state.usage,
                    messages=new,
                    seconds=time.monotonic() - started,
                    steps=state.steps,
                    recovered_calls=state.recovered_calls,
                    left_out=state.left_out,
                )
        except TimeoutError as error:
            limit = state.limits.timeout_seconds or 0.0
            raise LimitExceededError("seconds", limit, _transcript(state)) from error
        finally:
            CURRENT_RUN.reset(token)

    async def _ask(self, prompt: str, history: list[ModelMessage], state: RunState) -> Any:
        try:
            return await self._core.run(
                prompt,
                model=GuardedModel(await self._pydantic_model(), state),
                message_history=history,
                deps=state,
                model_settings=_settings(self.options),
                usage_limits=_usage_limits(state.limits),
                infer_name=False,
            )
        except UsageLimitExceeded as error:
            what, limit = _limit_of(error, state.limits)
            raise LimitExceededError(what, limit, _transcript(state)) from error
        except ModelAPIError as error:
            raise _model_failure(error, self.model_name, _transcript(state)) from error
        except UnexpectedModelBehavior as error:
            raise OutputError(f"{self.model_name} gave nothing that can be used: {error}", _transcript(state)) from error

    @property
    def model_name(self) -> str:
        """The model or alias that is asked."""
        return self.model if isinstance(self.model, str) else self.model.model_name

    async def _pydantic_model(self) -> Model:
        if isinstance(self.model, Model):
            return self.model
        from agent_runtime.fleet import Fleet

        if self._fleet is None:
            self._fleet = Fleet.from_env()
        return self._fleet.pydantic_ai_model(self.model)

    def _build(
        self, output_type: Any, mcp_servers: Sequence[AbstractToolset[Any]], instrument: bool
    ) -> PydanticAgent[RunState, Any]:
        functions = FunctionToolset[RunState]([to_pydantic(tool) for tool in self.tools])
        toolset = GuardedToolset(CombinedToolset[RunState]([functions, *mcp_servers]))
        retries = self.limits.output_retries
        return PydanticAgent(
            name=self.name,
            deps_type=RunState,
            instructions=system_prompt(self.instructions, self.context),
            output_type=output_type,
            toolsets=[toolset] if self.tools or mcp_servers else [],
            retries={"tools": retries, "output": retries},
        )


def system_prompt(instructions: str, context: Mapping[str, Any]) -> str | None:
    """The instructions, and what the agent should know as JSON after them."""
    parts = [instructions.strip()] if instructions.strip() else []
    if context:
        parts.append(f"Context:\n{json.dumps(context, ensure_ascii=False, default=str)}")
    return "\n\n".join(parts) or None


def _settings(options: AgentOptions) -> ModelSettings:
    settings = ModelSettings(temperature=options.temperature, top_p=options.top_p)
    settings["extra_body"] = {"top_k": options.top_k, "repeat_penalty": options.repeat_penalty, **options.extra}
    if options.max_tokens is not None:
        settings["max_tokens"] = options.max_tokens
    if options.seed is not None:
        settings["seed"] = options.seed
    if options.stop:
        settings["stop_sequences"] = list(options.stop)
    return settings


def _usage_limits(limits: RunLimits) -> UsageLimits:
    return UsageLimits(
        request_limit=limits.steps, tool_calls_limit=limits.tool_calls, total_tokens_limit=limits.total_tokens
    )


def _limit_of(error: UsageLimitExceeded, limits: RunLimits) -> tuple[str, float]:
    named = re.search(r"(request|tool_calls|total_tokens)_limit", str(error))
    what = named[1] if named else "request"
    return {
        "request": ("steps", float(limits.steps or 0)),
        "tool_calls": ("tool calls", float(limits.tool_calls or 0)),
        "total_tokens": ("tokens", float(limits.total_tokens or 0)),
    }[what]


def _model_failure(error: ModelAPIError, model: str, transcript: list[TranscriptEntry]) -> AgentError:
    status = f" with {error.status_code}" if isinstance(error, ModelHTTPError) else ""
    return ModelFailedError(f"model {model!r} failed{status}: {error.message}", transcript)


def _transcript(state: RunState) -> list[TranscriptEntry]:
    return transcript_of(state.messages[state.new_from :])


class OpenSourceAgent(Agent[str]):
    """An agent that remembers its conversation: the last 20 messages, of which 10 are sent along."""

    def __init__(self, name: str, instructions: str = "", *, session: Session | None = None, **options: Any) -> None:
        """As for :class:`Agent`; without a session it begins one in memory."""
        super().__init__(name, instructions, session=session or Session(), **options)

    async def process_message(self, message: str) -> str:
        """Answer a message. Raises what :meth:`Agent.run` raises."""
        return (await self.run(message)).output

    async def stream_response(self, message: str) -> AsyncIterator[str]:
        """Answer a message, piece by piece. Raises what :meth:`Agent.run` raises."""
        async for event in self.stream(message):
            if isinstance(event, TextDelta):
                yield event.text
