"""Calls that a model wrote as text are found, and texts that are no calls are left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.agents.recovery import may_become_call, recover
from agent_runtime.agents.recovery_schema import fitted, resolve_name
from agent_runtime.agents.recovery_values import MAX_CHARS

DATA = Path(__file__).parents[2] / "data"
LEAST_RECOVERED = 0.95


def tool(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
TOOLS = {
    "get_weather": tool(["city"], city=TEXT, unit={"enum": ["celsius", "fahrenheit"], "type": "string"}),
    "search_web": tool(["query"], query=TEXT, limit=WHOLE),
    "read_file": tool(["path"], path=TEXT),
    "write_file": tool(["path", "content"], path=TEXT, content=TEXT),
    "add": tool(["a", "b"], a=WHOLE, b=WHOLE),
    "calculator": tool(["expression"], expression=TEXT),
    "list_tables": tool([]),
    "run_command": tool(["command"], command={"type": "array", "items": TEXT}),
}


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def calls_in(text: str) -> list[dict[str, Any]]:
    return [{"name": call.name, "arguments": call.arguments} for call in recover(text, TOOLS).calls]


def test_calls_of_every_shape_that_was_seen_in_public_threads_are_recovered() -> None:
    cases = lines("malformed_calls.jsonl")
    missed = [case["shape"] for case in cases if calls_in(case["text"]) != case["calls"]]
    assert len({case["shape"] for case in cases}) >= 25
    assert all(case["seen"].startswith("https://") for case in cases)
    assert len(missed) <= len(cases) * (1 - LEAST_RECOVERED), missed


def test_no_plain_text_is_taken_for_a_call() -> None:
    texts = [case["text"] for case in lines("plain_texts.jsonl")]
    assert len(set(texts)) >= 200
    assert [text for text in texts if recover(text, TOOLS).calls] == []


def test_a_text_without_a_call_comes_back_as_it_is() -> None:
    found = recover("Paris is warm.", TOOLS)
    assert (found.text, found.calls) == ("Paris is warm.", [])


def test_what_was_said_before_a_call_is_kept() -> None:
    found = recover('I will look.\n<tool_call>{"name": "list_tables", "arguments": {}}</tool_call>', TOOLS)
    assert found.text == "I will look."


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "get_weather", "arguments": {}}',
        '{"name": "get_weather", "arguments": {"city": "Paris", "mood": "sunny"}}',
        '{"name": "get_weather", "arguments": {"city": "Paris", "unit": "kelvin"}}',
        '{"name": "add", "arguments": {"a": "one", "b": "two"}}',
    ],
    ids=["a parameter is missing", "one is unknown", "not one of the choices", "no number"],
)
def test_a_call_that_does_not_fit_the_schema_is_no_call(text: str) -> None:
    assert calls_in(text) == []


def test_without_tools_nothing_is_a_call() -> None:
    assert recover('{"name": "add", "arguments": {"a": 1, "b": 2}}', {}).calls == []


FURTHER_SHAPES = [
    '<get_weather>{"city":"Paris"}</get_weather>',
    "<get_weather>\n<city>Paris</city>\n</get_weather>",
    '{"tool": "get_weather", "city": "Paris"}',
    "Sure! ```python\nget_weather(city='Paris')\n```",
    'I should call the weather tool now:\n\n{"name": "get_weather", "arguments": {"city": "Paris"}}',
    'I would use the tool.\n<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>',
    '{"function_call": {"name": "get_weather", "arguments": "{\\"city\\":\\"Paris\\"}"}}',
    '<tool_call>\nget_weather\n{"city":"Paris"}\n</tool_call>',
    'Function call: get_weather(city="Paris")',
    '✿FUNCTION✿: get_weather\n✿ARGS✿: {"city":"Paris"}',
    '<|action_start|><|plugin|>{"name": "get_weather", "parameters": {"city": "Paris"}}<|action_end|>',
    '<function_calls>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</function_calls>',
    '<minimax:tool_call>\n<invoke name="get_weather"><parameter name="city">Paris</parameter></invoke>',
    'Tool: get_weather\nInput: {"city": "Paris"}',
    'get_weather: {"city": "Paris"}',
    'get_weather {"city": "Paris"}',
    '{"name":"get_weather","arguments":{"city":"Paris"}}<|im_end|>',
    '```\n{"name":"get_weather","arguments":{"city":"Paris"}}\n```<|eot_id|>',
    '<|tool_call_start|>[get_weather(city="Paris")]<|tool_call_end|>',
    'Let me check the weather.\n\n```json\n{\n"name": "get_weather",\n"arguments": {\n"city": "Paris"\n}\n}\n```',
    '{"tool_calls":[{"type":"function","function":{"name":"get_weather","arguments":{"city": "Paris"}}}]}',
    '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</TOOLCALL>',
    'Thought: need weather\nAction: get_weather[{"city": "Paris"}]',
    'Action: get_weather(city="Paris")',
    "Action: get_weather\nAction Input: Paris",
    '<tool_use><name>get_weather</name><arguments>{"city": "Paris"}</arguments></tool_use>',
    '{"name": "get_weather", "arguments": {"city": "Paris"',
]


@pytest.mark.parametrize("text", FURTHER_SHAPES)
def test_further_shapes_of_one_call_are_recovered(text: str) -> None:
    assert calls_in(text) == [{"name": "get_weather", "arguments": {"city": "Paris"}}]


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "{",
        "[{",
        "<think>",
        "<tool_call>",
        "<get_weather>",
        "<|end|>",
        "<>",
        "```",
        "Action: ",
        "add(",
        "'\"{",
        "a",
    ],
)
@pytest.mark.timeout(30)
def test_a_model_in_a_loop_does_not_hold_the_run_up(piece: str) -> None:
    assert recover(piece * (MAX_CHARS // len(piece)), TOOLS).calls == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("functions.get_weather", "get_weather"),
        ("Get-Weather", "get_weather"),
        ("tools.add:0", "add"),
        ("subtract", None),
        (None, None),
    ],
)
def test_names_are_resolved_with_their_usual_decoration(written: object, meant: str | None) -> None:
    assert resolve_name(written, TOOLS) == meant


def test_arguments_take_the_types_of_the_schema() -> None:
    schema = tool(
        ["n", "x", "flag", "items"], n=WHOLE, x={"type": "number"}, flag={"type": "boolean"}, items={"type": "array"}
    )
    written = {"n": "3", "x": "1.5", "flag": "True", "items": "[1, 2]"}
    assert fitted(written, schema) == {"n": 3, "x": 1.5, "flag": True, "items": [1, 2]}


def test_an_optional_parameter_may_be_null() -> None:
    schema = tool(["a"], a=TEXT, b={"anyOf": [WHOLE, {"type": "null"}]})
    assert fitted({"a": "x", "b": None}, schema) == {"a": "x"}
    assert fitted({"a": "x", "b": 4}, schema) == {"a": "x", "b": 4}


@pytest.mark.parametrize(
    ("begun", "held"),
    [("", True), ('{"na', True), ("<tool", True), ("```js", True), ("Action", True), ("The sum", False), ("Hi", False)],
)
def test_a_text_that_may_become_a_call_is_held_back(begun: str, held: bool) -> None:
    assert may_become_call(begun) is held
