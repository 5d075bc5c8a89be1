"""Tools for models whose server takes none: described in the prompt, called in text, answered in text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    RetryFeedbackPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

_HOW = (
    "You can call these tools. To call one, answer with nothing but\n"
    '<tool_call>\n{{"name": "the tool\'s name", "arguments": {{"the parameter\'s name": "its value"}}}}\n</tool_call>\n'
    "You then get its result between <tool_response> and </tool_response>. {end}\n\nTools:\n{tools}"
)
_END_WITH_TEXT = "When you know enough, answer in plain text."
_END_WITH_TOOL = "When you know enough, call {names} with the answer."


def described(
    messages: Sequence[ModelMessage], parameters: ModelRequestParameters
) -> tuple[list[ModelMessage], ModelRequestParameters]:
    """What to send to a model that takes no tools, in place of messages and tools."""
    tools = [*parameters.function_tools, *parameters.output_tools]
    said = [_as_text(message) for message in messages]
    if not tools:
        return said, parameters
    outputs = " or ".join(tool.name for tool in parameters.output_tools)
    end = _END_WITH_TEXT if not outputs else _END_WITH_TOOL.format(names=outputs)
    how = _HOW.format(end=end, tools="\n".join(_line(tool) for tool in tools))
    parts = parameters.instruction_parts
    if not parts:
        last = next((message for message in reversed(said) if isinstance(message, ModelRequest)), None)
        instructions = last.instructions if last is not None else None
        parts = [InstructionPart(instructions)] if instructions else []
    return said, replace(
        parameters,
        function_tools=[],
        output_tools=[],
        output_mode="text",
        allow_text_output=True,
        instruction_parts=[*parts, InstructionPart(how)],
    )


def _line(tool: ToolDefinition) -> str:
    return json.dumps(
        {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters_json_schema}
    )


def _as_text(message: ModelMessage) -> ModelMessage:
    if isinstance(message, ModelRequest):
        return replace(message, parts=[_asked(part) for part in message.parts])
    if isinstance(message, ModelResponse):  # pyright: ignore[reportUnnecessaryIsInstance]
        return replace(message, parts=[_said(part) for part in message.parts])
    return message


def _asked(part: ModelRequestPart) -> ModelRequestPart:
    if isinstance(part, ToolReturnPart):
        return UserPromptPart(f"<tool_response>\n{part.model_response_str()}\n</tool_response>")
    if isinstance(part, RetryFeedbackPart):
        return UserPromptPart(part.model_response())
    return part


def _said(part: ModelResponsePart) -> ModelResponsePart:
    if isinstance(part, ToolCallPart):
        call = {"name": part.tool_name, "arguments": part.args_as_dict(raise_if_invalid=False)}
        return TextPart(f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>")
    return part
