"""A server of tools whose failure to start is told as what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic_ai.toolsets import WrapperToolset

from agent_runtime.agents.errors import ToolServerError


@dataclass
class ToolServer(WrapperToolset[Any]):
    """The tools of one server."""

    name: str
    """Its program or address."""

    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()
        except Exception as error:
            raise ToolServerError(
                f"the MCP server {self.name!r} does not answer: {error}. fix: run it by hand"
            ) from error
        return self
