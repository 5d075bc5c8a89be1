"""Tools from plain functions: what a model may call, with a schema from the types and the docstring."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic.errors import PydanticUserError
from pydantic_ai import Tool as PydanticTool
from pydantic_ai.exceptions import UserError

from agent_runtime.agents.errors import ToolDefinitionError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What OpenAI's API takes as the name of a function."""


@dataclass(frozen=True)
class Tool:
    """A function that a model may call, and how.

    A plain function does as well wherever a tool is asked for; this is for the one that needs approval, more time or
    another name.
    """

    function: Callable[..., Any]
    """Plain or ``async``; every parameter has a type. Its docstring is what the model reads."""
    name: str | None = None
    """In place of the function's own."""
    description: str | None = None
    """In place of the docstring."""
    needs_approval: bool = False
    """Whether the agent's ``approve`` is asked before each call."""
    timeout_seconds: float | None = None
    """In place of the run's ``tool_timeout_seconds``."""
    alone: bool = False
    """Whether no other tool may run beside it."""

    @property
    def called(self) -> str:
        """The name that the model knows it by."""
        return self.name or str(getattr(self.function, "__name__", ""))


AnyTool = Tool | Callable[..., Any]
"""A tool, or a function that is made one."""


def as_tools(tools: Sequence[AnyTool]) -> list[Tool]:
    """Make tools of functions and check them all.

    Raises:
        ToolDefinitionError: one has no name, a parameter without a type, takes ``*args``, or shares its name with
            another. Names every mistake that was found.
    """
    made = [tool if isinstance(tool, Tool) else Tool(tool) for tool in tools]
    mistakes = [mistake for tool in made for mistake in _mistakes(tool)]
    names = [tool.called for tool in made]
    mistakes += [
        f"{names.count(name)} tools are called {name!r}. fix: give one another name: Tool(function, name=...)"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if mistakes:
        raise ToolDefinitionError("\n".join(["the tools cannot be offered to a model:", *(f"  {m}" for m in mistakes)]))
    return made


def to_pydantic(tool: Tool) -> PydanticTool[Any]:
    """The tool as the agent loop wants it.

    Raises:
        ToolDefinitionError: no schema can be made of its parameters' types.
    """
    function = tool.function if inspect.iscoroutinefunction(tool.function) else _in_thread(tool.function)
    try:
        return PydanticTool(
            function,
            name=tool.called,
            description=tool.description,
            sequential=tool.alone,
            metadata={"needs_approval": tool.needs_approval, "timeout_seconds": tool.timeout_seconds},
        )
    except (UserError, PydanticUserError) as error:
        raise ToolDefinitionError(
            f"tool {tool.called!r}: no schema can be made of its parameters: {str(error).splitlines()[0]} "
            "fix: use types that JSON can carry"
        ) from error


def _mistakes(tool: Tool) -> list[str]:
    name = tool.called
    if not callable(tool.function):
        return [f"{tool.function!r} is no function"]
    if not _NAME.fullmatch(name):
        return [f"{name!r} is no name for a tool. fix: letters, digits, _ and -: Tool(function, name='...')"]
    if tool.timeout_seconds is not None and tool.timeout_seconds <= 0:
        return [f"tool {name!r}: timeout_seconds is {tool.timeout_seconds:g}. fix: more than 0"]
    try:
        signature = inspect.signature(tool.function)
        # A function may name types that only its own module knows.
        hints = get_type_hints(tool.function)
    except (TypeError, ValueError, NameError) as error:
        return [f"tool {name!r}: its types cannot be read: {error}. fix: annotate it with types of its own module"]
    untyped = [p.name for p in signature.parameters.values() if p.name not in hints]
    if untyped:
        return [f"tool {name!r}: no type for {', '.join(untyped)}. fix: annotate every parameter"]
    several = [p.name for p in signature.parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if several:
        return [f"tool {name!r}: takes any number of {', '.join(several)}. fix: name each parameter"]
    return []


def _in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """The plain function as a coroutine function with the same signature.

    Each call has a thread of its own, which keeps nothing alive: a tool that hangs can be left behind when its time
    is up, which a pool's thread could not.
    """

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(value: Any, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)

        def work() -> None:
            value, problem = None, None
            try:
                value = context.run(function, *args, **kwargs)
            except BaseException as error:
                problem = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            try:
                loop.call_soon_threadsafe(settle, value, problem)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return

        threading.Thread(target=work, name=f"tool-{function.__name__}", daemon=True).start()
        return await done

    return call
