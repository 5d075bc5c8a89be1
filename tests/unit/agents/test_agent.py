"""An agent against a scripted server: tools that are really called, limits, structured output, events."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel
from pydantic_ai.models import instrumented

from agent_runtime.agents import Agent, AgentOptions, AgentResult, OpenSourceAgent, RunLimits, Session, Tool
from agent_runtime.agents.errors import (
    ContextWindowError,
    LimitExceededError,
    ModelFailedError,
    OutputError,
    SchemaError,
    ToolDefinitionError,
)
from agent_runtime.agents.events import (
    Event,
    MessagesLeftOut,
    ModelStandsIn,
    RunEnded,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageReported,
)
from agent_runtime.fleet import Fleet
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from tests.scripted_model import Reply, Script, ScriptedServer, scripted_server
from tests.scripted_ollama import scripted_ollama


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


def run(script: Script, prompt: str = "Go.", **options: Any) -> tuple[Any, ScriptedServer]:
    capabilities = options.pop("capabilities", ("chat", "tools"))
    context = options.pop("context_length", 2048)
    with scripted_server(script) as server:
        agent = Agent("tester", fleet=server.fleet(capabilities=capabilities, context=context), **options)
        return agent.run_sync(prompt), server


def events_of(script: Script, **options: Any) -> list[Event]:
    async def collect(agent: Agent[Any]) -> list[Event]:
        return [event async for event in agent.stream("Go.")]

    with scripted_server(script) as server:
        fleet = server.fleet()

        async def work() -> list[Event]:
            try:
                return await collect(Agent("tester", fleet=fleet, **options))
            finally:
                await fleet.aclose()

        return asyncio.run(work())


def test_a_tool_is_called_and_its_result_goes_back_to_the_model() -> None:
    result, server = run([Reply(calls=[("add", {"a": 2, "b": 3})]), "It is 5."], tools=[add])
    assert result.output == "It is 5."
    assert (result.steps, result.usage.tool_calls, result.recovered_calls) == (2, 1, 0)
    assert server.requests[1]["messages"][-1]["content"] == "5"
    assert [entry["role"] for entry in result.transcript] == ["user", "assistant", "tool", "assistant"]


def test_the_request_carries_instructions_context_options_and_schemas() -> None:
    _, server = run(["Hi."], instructions="Be brief.", context={"user": "Ada"}, tools=[add])
    body = server.requests[0]
    assert body["messages"][0]["role"] == "system"
    assert body["messages"][0]["content"] == 'Be brief.\n\nContext:\n{"user": "Ada"}'
    asked = {key: body[key] for key in ("temperature", "top_p", "top_k", "repeat_penalty")}
    assert asked == {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "repeat_penalty": 1.1}
    function = body["tools"][0]["function"]
    assert function["description"] == "Add two numbers."
    assert function["parameters"]["properties"]["a"] == {"type": "integer", "description": "The first."}


def test_other_options_reach_the_server() -> None:
    options = AgentOptions(temperature=0, max_tokens=9, seed=4, stop=("Q:",), extra={"min_p": 0.1})
    _, server = run(["Hi."], options=options)
    body = server.requests[0]
    assert (body["temperature"], body["max_tokens"], body["seed"], body["min_p"]) == (0, 9, 4, 0.1)
    assert body["stop"] == ["Q:"]


def test_a_call_that_was_written_as_text_is_made_all_the_same() -> None:
    result, _ = run(['```json\n{"name": "add", "arguments": {"a": "2", "b": 3}}\n```', "5."], tools=[add])
    assert (result.output, result.recovered_calls, result.usage.tool_calls) == ("5.", 1, 1)


def test_a_call_with_a_prefixed_name_and_broken_json_is_put_right() -> None:
    result, _ = run([Reply(calls=[("functions.add", "{'a': 2, 'b': 3,}")]), "5."], tools=[add])
    assert result.transcript[2]["content"] == "5"


def test_a_model_without_tools_gets_them_described_in_the_prompt() -> None:
    answer = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
    result, server = run([answer, "5."], tools=[add], capabilities=("chat",))
    assert result.tools_as_text
    assert all("tools" not in body for body in server.requests)
    assert '"name": "add"' in server.requests[0]["messages"][0]["content"]
    assert server.requests[1]["messages"][-1] == {"role": "user", "content": "<tool_response>\n5\n</tool_response>"}


def test_a_server_that_refuses_tools_gets_them_described_from_then_on() -> None:
    refusal = Reply(status=400, error="registry/gemma3:270m does not support tools")
    result, server = run([refusal, "It is 5."], tools=[add])
    assert result.tools_as_text
    assert ["tools" in body for body in server.requests] == [True, False]


def test_an_error_in_a_tool_is_told_to_the_model() -> None:
    result, server = run([Reply(calls=[("fail", {"reason": "no disk"})]), "Sorry."], tools=[fail])
    assert result.output == "Sorry."
    assert "ValueError: no disk" in server.requests[1]["messages"][-1]["content"]


def test_wrong_arguments_are_told_to_the_model_which_may_put_them_right() -> None:
    script = [Reply(calls=[("add", {"a": "two", "b": 3})]), Reply(calls=[("add", {"a": 2, "b": 3})]), "5."]
    result, server = run(script, tools=[add])
    assert result.output == "5."
    assert "valid integer" in server.requests[1]["messages"][-1]["content"]


def test_independent_calls_run_beside_each_other() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def meet(name: str) -> str:
        """Wait for the other."""
        meeting.wait()
        return name

    result, _ = run([Reply(calls=[("meet", {"name": "a"}), ("meet", {"name": "b"})]), "Met."], tools=[meet])
    assert [entry["content"] for entry in result.transcript if entry["role"] == "tool"] == ["a", "b"]


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_tool_that_hangs_is_left_behind_when_its_time_is_up(kind: str) -> None:
    released = threading.Event()

    def plain() -> str:
        """Hang."""
        released.wait(60)
        return "late"

    async def asynchronous() -> str:
        """Hang."""
        await asyncio.sleep(60)
        return "late"

    tool = Tool(plain if kind == "plain" else asynchronous, name="hang", timeout_seconds=0.1)
    try:
        result, server = run([Reply(calls=[("hang", {})]), "Gave up."], tools=[tool])
    finally:
        released.set()
    assert result.output == "Gave up."
    assert "did not finish in 0.1 s" in server.requests[1]["messages"][-1]["content"]


def test_a_result_of_megabytes_is_cut_in_its_middle() -> None:
    def dump() -> str:
        """Give much."""
        return "a" * 3_000_000 + "THE END"

    limits = RunLimits(tool_output_chars=1000)
    _, server = run([Reply(calls=[("dump", {})]), "Much."], tools=[dump], limits=limits)
    told = server.requests[1]["messages"][-1]["content"]
    assert len(told) < 1100
    assert "2999007 of 3000007 characters left out" in told
    assert told.endswith("THE END")


@pytest.mark.parametrize(
    ("approve", "told"),
    [
        (None, "nobody is there to give it"),
        (lambda name, arguments: "too much", "not approved: too much"),
        (lambda name, arguments: False, "not approved"),
        (lambda name, arguments: True, "5"),
    ],
    ids=["nobody to ask", "refused with a reason", "refused", "approved"],
)
def test_a_tool_that_needs_approval_is_called_only_with_it(approve: Any, told: str) -> None:
    script = [Reply(calls=[("add", {"a": 2, "b": 3})]), "Done."]
    _, server = run(script, tools=[Tool(add, needs_approval=True)], approve=approve)
    assert told in server.requests[1]["messages"][-1]["content"]


def test_an_endless_loop_is_stopped_with_its_transcript() -> None:
    with pytest.raises(LimitExceededError, match="limit of 3 steps") as stopped:
        run([Reply(calls=[("add", {"a": 1, "b": 1})])], tools=[add], limits=RunLimits(steps=3))
    assert [entry["role"] for entry in stopped.value.transcript] == ["user", *["assistant", "tool"] * 3]


def test_a_run_is_stopped_at_its_tool_calls_tokens_and_time() -> None:
    loop = [Reply(calls=[("add", {"a": 1, "b": 1})], prompt_tokens=400)]
    with pytest.raises(LimitExceededError, match="limit of 2 tool calls"):
        run(loop, tools=[add], limits=RunLimits(tool_calls=2))
    with pytest.raises(LimitExceededError, match="limit of 1000 tokens"):
        run(loop, tools=[add], limits=RunLimits(total_tokens=1000))
    with pytest.raises(LimitExceededError, match=r"limit of 0\.2 seconds"):
        run([Reply("late", seconds=20)], limits=RunLimits(timeout_seconds=0.2))


class City(BaseModel):
    name: str
    people: int


def test_a_schema_goes_to_the_engine_as_the_format_of_the_reply() -> None:
    result, server = run(['{"name": "Oslo", "people": 700000}'], output_type=City)
    assert result.output == City(name="Oslo", people=700000)
    asked = server.requests[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"]["required"] == ["name", "people"]


def test_with_tools_the_result_is_one_more_tool_and_a_bare_object_counts() -> None:
    called, _ = run([Reply(calls=[("final_result", {"name": "Oslo", "people": 1})])], output_type=City, tools=[add])
    written, _ = run(['{"name": "Oslo", "people": "1"}'], output_type=City, tools=[add])
    assert called.output == written.output == City(name="Oslo", people=1)


def test_a_json_schema_gives_plain_data() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    result, _ = run(['{"n": 3}'], output_type=schema)
    assert result.output == {"n": 3}


def test_answers_that_never_follow_the_schema_are_an_error() -> None:
    with pytest.raises(OutputError, match="nothing that can be used") as failed:
        run(['{"name": "Oslo"}'], output_type=City)
    assert failed.value.transcript[0] == {"role": "user", "content": "Go."}


def test_an_answer_that_was_cut_off_is_no_context_error() -> None:
    with pytest.raises(OutputError, match="longest answer it may give, not by its context window"):
        run([Reply('{"name": "Os', finish="length")], output_type=City)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]}, "a has an empty enum"),
        ({"type": "object", "properties": {"a": {"type": "int"}}, "required": ["a"]}, "a has the type 'int'"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "a is false"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "requires a, which it does not allow"),
        (
            {"type": "object", "properties": {"a": {"minimum": 5, "maximum": 1}}, "required": ["a"]},
            "minimum 5 above maximum 1",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "required": ["a"]}, "is not there"),
        (
            {
                "$defs": {"b": {"type": "object", "properties": {"next": {"$ref": "#/$defs/b"}}, "required": ["next"]}},
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/b"}},
                "required": ["a"],
            },
            "without an end",
        ),
        ({"type": "string"}, "fix: an object"),
    ],
)
def test_a_schema_that_nothing_can_follow_is_refused(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(SchemaError, match="schema") as refused:
        Agent("tester", output_type=schema)
    assert told in str(refused.value)


def untyped(a, b: int) -> int:  # type: ignore[no-untyped-def]
    return a + b


def starred(*numbers: int) -> int:
    return sum(numbers)


def test_tools_that_cannot_be_offered_are_refused_all_at_once() -> None:
    with pytest.raises(ToolDefinitionError) as refused:
        Agent("tester", tools=[untyped, starred, add, Tool(fail, name="add"), Tool(fail, name="so what?")])
    for told in (
        "'untyped': no type for a",
        "any number of numbers",
        "2 tools are called 'add'",
        "'so what?' is no name",
    ):
        assert told in str(refused.value)


def test_events_tell_a_run_as_it_happens() -> None:
    events = events_of([Reply(calls=[("add", {"a": 2, "b": 3})]), "The sum is 5."], tools=[add])
    kinds = [type(event) for event in events if not isinstance(event, TextDelta)]
    assert kinds == [StepStarted, UsageReported, ToolCall, ToolResult, StepStarted, UsageReported, RunEnded]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "The sum is 5."
    assert len([event for event in events if isinstance(event, TextDelta)]) > 1
    call = next(event for event in events if isinstance(event, ToolCall))
    assert (call.name, call.arguments, call.recovered) == ("add", {"a": 2, "b": 3}, False)


def test_a_streamed_call_in_text_is_made_and_not_shown() -> None:
    events = events_of(['<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>', "5."], tools=[add])
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "5."
    assert next(event for event in events if isinstance(event, ToolCall)).recovered


def test_a_streamed_answer_that_only_began_like_a_call_is_shown_whole() -> None:
    events = events_of(["[1, 2, 3] is the list."], tools=[add])
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "[1, 2, 3] is the list."


def test_leaving_a_stream_early_stops_the_run() -> None:
    async def leave(server: ScriptedServer) -> None:
        fleet = server.fleet()
        stream = Agent("tester", fleet=fleet, tools=[add]).stream("Go.")
        async for event in stream:
            if isinstance(event, ToolResult):
                break
        await stream.aclose()
        await fleet.aclose()

    with scripted_server([Reply(calls=[("add", {"a": 2, "b": 3})]), Reply("Late.", seconds=600)]) as server:
        asyncio.run(leave(server))


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with pytest.raises((ModelFailedError, OutputError)):
        events_of([Reply("A long answer that never comes to its end.", cut_off=True)])


@pytest.mark.parametrize(("status", "told"), [(404, "failed with 404: refused"), (500, "failed with 500")])
def test_a_server_that_fails_is_told_apart(status: int, told: str) -> None:
    with pytest.raises(ModelFailedError, match=told):
        run([Reply(status=status)])


def test_a_server_that_is_gone_is_told_apart() -> None:
    with scripted_server(["Hi."]) as server:
        fleet = server.fleet()
    with pytest.raises(ModelFailedError, match="could not be asked"):
        Agent("tester", fleet=fleet).run_sync("Go.")


def test_what_replies_cost_is_added_up() -> None:
    script = [
        Reply(calls=[("add", {"a": 2, "b": 3})], cost_usd=0.25, prompt_tokens=11),
        Reply("5.", cost_usd=0.5, prompt_tokens=11),
    ]
    result, _ = run(script, tools=[add])
    assert result.usage.cost_usd == 0.75
    assert result.to_mapping()["usage"]["inputTokens"] == 22


def test_the_oldest_turns_are_left_out_where_the_window_is_small_and_it_is_said() -> None:
    session = Session()
    with scripted_server(["An answer. " + "word " * 100]) as server:
        agent = Agent("tester", fleet=server.fleet(context=700), session=session, options=AgentOptions(max_tokens=100))
        results = [agent.run_sync(f"Question {number}. " + "word " * 60) for number in range(5)]
    assert results[0].left_out.messages == 0
    assert results[-1].left_out.messages > 0
    contents = [message["content"] for message in server.requests[-1]["messages"]]
    assert contents[-1].startswith("Question 4.")
    assert server.requests[-1]["messages"][0]["role"] == "user"
    assert not any(content.startswith("Question 0.") for content in contents)


def test_a_prompt_larger_than_the_window_is_an_error_with_both_numbers() -> None:
    with pytest.raises(ContextWindowError, match=r"needs \d+ tokens and the model's window leaves 192") as refused:
        run(["Hi."], "word " * 500, context_length=256)
    assert refused.value.needed_tokens > refused.value.window_tokens == 192
    assert refused.value.exit_code == 2


def test_messages_that_are_left_out_are_an_event() -> None:
    def long() -> str:
        """Give much."""
        return "word " * 150

    script = [*[Reply(calls=[("long", {})])] * 4, "Done."]
    options = AgentOptions(max_tokens=64)
    with scripted_server(script) as server:
        fleet = server.fleet(context=900)

        async def work() -> list[Event]:
            agent = Agent("tester", fleet=fleet, tools=[long], options=options)
            try:
                return [event async for event in agent.stream("Go on and on.")]
            finally:
                await fleet.aclose()

        events = asyncio.run(work())
    assert any(isinstance(event, MessagesLeftOut) for event in events)
    last = server.requests[-1]["messages"]
    assert last[0]["content"] == "Go on and on."
    asked = {call["id"] for message in last for call in message.get("tool_calls") or []}
    answered = {message["tool_call_id"] for message in last if message["role"] == "tool"}
    assert asked == answered != set()


def test_a_session_remembers_and_sends_its_newest_messages() -> None:
    with scripted_server(lambda body: f"Answer {len(body['messages'])}") as server:
        agent = OpenSourceAgent("tester", fleet=server.fleet())
        answers = [agent.run_sync(f"Question {number}").output for number in range(8)]
    assert answers[:2] == ["Answer 1", "Answer 3"]
    assert len(server.requests[-1]["messages"]) == 11
    assert server.requests[-1]["messages"][0]["content"] == "Question 2"


def test_the_references_names_work() -> None:
    async def work(server: ScriptedServer) -> tuple[str, str]:
        fleet = server.fleet()
        agent = OpenSourceAgent("tester", "Be brief.", fleet=fleet)
        said = await agent.process_message("Hello?")
        streamed = "".join([piece async for piece in agent.stream_response("And?")])
        await fleet.aclose()
        return said, streamed

    with scripted_server(["Hello.", "And so on."]) as server:
        assert asyncio.run(work(server)) == ("Hello.", "And so on.")


def fleet_with(server: ScriptedServer, model: str, alias: str) -> Fleet:
    """A fleet of one model, which an alias names too."""
    contract = server.contract()
    contract["models"]["assistant"]["model"] = model
    return Fleet(FleetContract.from_mapping({**contract, "aliases": {alias: {"assistant": 1.0}}}))


def test_the_references_model_is_asked_where_the_fleet_has_it() -> None:
    with scripted_server(["Hello."]) as server:
        agent = OpenSourceAgent("tester", fleet=server.fleet())
        assert agent.model_name == "llama3.1:8b"
        result = agent.run_sync("Hello?")
    assert (result.model, result.stand_in) == ("assistant", None)


def test_where_the_fleet_lacks_it_another_stands_in_and_it_is_said() -> None:
    with scripted_server(["Hello."]) as server:
        fleet = fleet_with(server, "gemma3:270m", "default")

        async def work() -> list[Event]:
            try:
                return [event async for event in OpenSourceAgent("tester", fleet=fleet).stream("Hello?")]
            finally:
                await fleet.aclose()

        events = asyncio.run(work())
    told = next(event for event in events if isinstance(event, ModelStandsIn))
    assert told.reason.startswith("llama3.1:8b is not in the fleet; assistant (gemma3:270m) stands in")
    ended = next(event for event in events if isinstance(event, RunEnded))
    assert ended.result.to_mapping()["standIn"] == told.reason


def test_an_alias_of_the_references_model_counts_as_the_model() -> None:
    with scripted_server(["Hello."]) as server:
        result = OpenSourceAgent("tester", fleet=fleet_with(server, "gemma3:270m", "llama3.1:8b")).run_sync("Hello?")
        assert server.requests[0]["model"] == "llama3.1:8b"
    assert result.stand_in is None


def test_a_model_that_is_named_is_taken_as_it_is() -> None:
    with scripted_server(["Hello."]) as server:
        result = OpenSourceAgent("tester", model="default", fleet=server.fleet()).run_sync("Hello?")
    assert (result.model, result.stand_in) == ("default", None)


def test_an_agent_refuses_what_makes_no_sense() -> None:
    with pytest.raises(BadInputError, match="needs a name"):
        Agent(" ")
    with pytest.raises(BadInputError, match="prompt is empty"):
        run(["Hi."], " ")
    with scripted_server(["Hi."]) as server, pytest.raises(BadInputError, match="no model 'gpt'"):
        Agent("tester", model="gpt", fleet=server.fleet()).run_sync("Go.")


def test_the_transcript_is_plain_json() -> None:
    result, _ = run([Reply(calls=[("add", {"a": 2, "b": 3})]), "5."], tools=[add])
    assert json.loads(json.dumps(result.to_mapping()))["transcript"][1]["toolCalls"][0]["arguments"] == {"a": 2, "b": 3}


def test_a_missing_model_is_pulled_where_that_is_asked_for() -> None:
    with scripted_server(["Hi."]) as server, scripted_ollama(set()) as ollama:
        document = server.contract()
        document["models"]["assistant"] |= {"engine": "ollama", "endpoints": [{"url": ollama.url}]}
        fleet = Fleet(FleetContract.from_mapping(document))
        assert Agent("tester", fleet=fleet).run_sync("Go.").output == "Hi."
        assert ollama.held == set()
        assert Agent("tester", fleet=fleet, pull_missing=True).run_sync("Go.").output == "Hi."
        assert ollama.held == {"llama3.1:8b"}


def test_runs_are_traced_without_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(instrumented, "get_tracer_provider", lambda: provider)
    script = [Reply(calls=[("add", {"a": 2, "b": 3})]), "The secret sum."]
    run(script, "My secret.", tools=[add], instrument=True)
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} == {"chat default", "execute_tool add", "invoke_agent tester"}
    assert "secret" not in str([dict(span.attributes or {}) for span in spans])
    exporter.clear()
    run(script, "My secret.", tools=[add])
    assert exporter.get_finished_spans() == ()


def test_two_agents_may_run_at_once_and_one_within_another() -> None:
    def reply(body: dict[str, Any]) -> Reply | str:
        last = body["messages"][-1]
        if last["content"] == "Outer.":
            return Reply(calls=[("ask_other", {"question": "Inner."})], cost_usd=1.0)
        return Reply(f"Said to {last['role']}: {last['content']}", cost_usd=1.0)

    with scripted_server(reply) as server:
        fleet = server.fleet()
        other: Agent[str] = Agent("other", fleet=fleet)

        async def ask_other(question: str) -> str:
            """Ask another agent."""
            return (await other.run(question)).output

        outer: Agent[Any] = Agent("outer", fleet=fleet, tools=[ask_other])

        async def work() -> tuple[AgentResult[Any], AgentResult[str]]:
            try:
                return await asyncio.gather(outer.run("Outer."), other.run("Alone."))
            finally:
                await fleet.aclose()

        asked, alone = asyncio.run(work())
    assert asked.output == "Said to tool: Said to user: Inner."
    assert (asked.usage.cost_usd, alone.usage.cost_usd) == (2.0, 1.0)
    assert [entry["role"] for entry in asked.transcript] == ["user", "assistant", "tool", "assistant"]


def test_the_synchronous_way_says_where_it_cannot_be_taken() -> None:
    async def work(agent: Agent[Any]) -> None:
        with pytest.raises(BadInputError, match="fix: await agent"):
            agent.run_sync("Go.")

    with scripted_server(["Hi."]) as server:
        asyncio.run(work(Agent("tester", fleet=server.fleet())))
