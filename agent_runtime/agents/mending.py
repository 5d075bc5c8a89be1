"""Mends a model's response: calls that were written as text, names and arguments that are nearly right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from pydantic_ai.messages import ModelResponse, ModelResponsePart, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters

from agent_runtime.agents.recovery import recover
from agent_runtime.agents.recovery_schema import Tools, fitted, resolve_name
from agent_runtime.agents.recovery_values import json_values


def offered(parameters: ModelRequestParameters) -> Tools:
    """The tools that a request offers, with their schemas."""
    return {tool.name: tool.parameters_json_schema for tool in [*parameters.function_tools, *parameters.output_tools]}


def mended(response: ModelResponse, tools: Tools, outputs: Sequence[str]) -> tuple[ModelResponse, list[ToolCallPart]]:
    """The response with its calls as calls.

    Args:
        response: What the model gave.
        tools: What it was offered.
        outputs: Those of the tools that take the run's result: a bare object that fits one is a call of it.

    Returns:
        The response, and the calls in it that were recovered from text.
    """
    if not tools:
        return response, []
    if any(isinstance(part, ToolCallPart) for part in response.parts):
        return replace(response, parts=[_straightened(part, tools) for part in response.parts]), []
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    found = recover(text, tools)
    calls = [ToolCallPart(call.name, json.dumps(call.arguments)) for call in found.calls]
    if not calls:
        output = _bare_output(text, tools, outputs)
        calls = [output] if output is not None else []
    if not calls:
        return response, []
    kept: list[ModelResponsePart] = [part for part in response.parts if not isinstance(part, TextPart)]
    if found.calls and found.text:
        kept.append(TextPart(found.text))
    return replace(response, parts=[*kept, *calls], finish_reason="tool_call"), calls


def _straightened(part: ModelResponsePart, tools: Tools) -> ModelResponsePart:
    """A call of the model's own, with a prefix of its name taken off and nearly right arguments put right."""
    if not isinstance(part, ToolCallPart):
        return part
    name = resolve_name(part.tool_name, tools)
    if name is None:
        return part
    arguments: object = part.args
    if isinstance(arguments, str):
        try:
            arguments = cast("object", json.loads(arguments))
        except ValueError:
            arguments = next((found.value for found in json_values(arguments)), arguments)
    fitting = fitted(arguments, tools[name])
    if name == part.tool_name and (fitting is None or fitting == part.args):
        return part
    return replace(part, tool_name=name, args=part.args if fitting is None else json.dumps(fitting))


def _bare_output(text: str, tools: Tools, outputs: Sequence[str]) -> ToolCallPart | None:
    for found in json_values(text):
        value: object = found.value
        for name in outputs:
            arguments = fitted(cast("object", value), tools[name]) if isinstance(value, dict) and value else None
            if arguments is not None:
                return ToolCallPart(name, json.dumps(arguments))
    return None
