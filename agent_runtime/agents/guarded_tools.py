"""Calls tools within limits: approval, time, size of the result, errors told to the model, events."""

from __future__ import annotations

import asyncio
import inspect
import time
from dataclasses import dataclass
from typing import Any, cast

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.toolsets import ToolsetTool, WrapperToolset
from pydantic_core import to_json

from agent_runtime.agents.events import ToolCall, ToolResult
from agent_runtime.agents.run_state import RunState


@dataclass
class GuardedToolset(WrapperToolset[RunState]):
    """Any tools, plain functions or an MCP server's, called within the run's limits."""

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[RunState], tool: ToolsetTool[RunState]
    ) -> Any:
        """Call one tool; what goes wrong in it comes back as a failed result, which the model reads."""
        state, call_id = ctx.deps, ctx.tool_call_id or ""
        state.usage.tool_calls += 1
        state.note(ToolCall(name, tool_args, call_id, recovered=call_id in state.recovered_ids))
        started = time.monotonic()
        try:
            result = await self._within_limits(name, tool_args, ctx, tool)
        except ToolFailed as failed:
            state.note(ToolResult(name, call_id, str(failed.message), True, time.monotonic() - started))
            raise
        except ModelRetry as retry:
            state.note(ToolResult(name, call_id, str(retry.message), True, time.monotonic() - started))
            raise
        state.note(ToolResult(name, call_id, result, False, time.monotonic() - started))
        return result

    async def _within_limits(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[RunState], tool: ToolsetTool[RunState]
    ) -> str:
        metadata = tool.tool_def.metadata or {}
        limits = ctx.deps.limits
        if metadata.get("needs_approval"):
            await _approved(ctx.deps, name, tool_args)
        timeout_seconds = metadata.get("timeout_seconds") or limits.tool_timeout_seconds
        timed = asyncio.timeout(timeout_seconds)
        try:
            async with timed:
                result = await super().call_tool(name, tool_args, ctx, tool)
        except (ModelRetry, ToolFailed):
            raise
        except TimeoutError as error:
            if timed.expired():
                raise ToolFailed(f"{name} did not finish in {timeout_seconds:g} s") from error
            raise ToolFailed(_told(error, limits.tool_output_chars)) from error
        except Exception as error:
            raise ToolFailed(_told(error, limits.tool_output_chars)) from error
        return bounded(_as_text(result), limits.tool_output_chars)


async def _approved(state: RunState, name: str, arguments: dict[str, Any]) -> None:
    if state.approve is None:
        raise ToolFailed(f"{name} was not called: it needs approval, and nobody is there to give it")
    answer = state.approve(name, arguments)
    if inspect.isawaitable(answer):
        answer = await answer
    if answer is not True:
        reason = f": {answer}" if isinstance(answer, str) and answer else ""
        raise ToolFailed(f"{name} was not called: it was not approved{reason}")


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    return to_json(cast("object", result), fallback=str).decode()


def _told(error: BaseException, most: int) -> str:
    return bounded(f"{type(error).__name__}: {error}", most)


def bounded(text: str, most: int) -> str:
    """The text, with its middle cut out where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    head = most * 3 // 4
    tail = most - head
    return f"{text[:head]}\n[... {len(text) - most} of {len(text)} characters left out ...]\n{text[len(text) - tail :]}"
