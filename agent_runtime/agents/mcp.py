"""Servers that speak the Model Context Protocol, as tools of an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from pydantic_ai.toolsets import AbstractToolset

_START_TIMEOUT_SECONDS = 30.0


def mcp_server(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    start_timeout_seconds: float = _START_TIMEOUT_SECONDS,
) -> AbstractToolset[Any]:
    """A server that is started as a process and spoken to over its standard streams.

    The process runs while an agent's run needs it.

    Args:
        command: The program and its arguments.
        env: The process's whole environment; by default a small one, without this program's secrets.
        cwd: Where it runs.
        start_timeout_seconds: How long it may take to answer for the first time.

    Raises:
        BadInputError: there is no command, or the extra ``agents`` is not installed.
    """
    if not command:
        raise BadInputError("an MCP server needs a command. fix: mcp_server(['uvx', 'mcp-server-time'])")
    toolset, stdio = _client()
    program, *arguments = command
    transport = stdio(
        command=program,
        args=arguments,
        env=dict(env) if env is not None else None,
        cwd=str(cwd) if cwd is not None else None,
        keep_alive=False,
    )
    return _named(toolset(transport, init_timeout=start_timeout_seconds), program)


def mcp_url(url: str, *, headers: Mapping[str, str] | None = None) -> AbstractToolset[Any]:
    """A server that answers at an address, by streamable HTTP.

    Args:
        url: Such as ``https://mcp.example.com/mcp``.
        headers: Sent with each request, such as an Authorization.

    Raises:
        BadInputError: the extra ``agents`` is not installed.
    """
    toolset, _ = _client()
    return _named(toolset(url, headers=dict(headers or {})), url)


def _named(toolset: AbstractToolset[Any], name: str) -> AbstractToolset[Any]:
    from agent_runtime.agents.tool_server import ToolServer

    return ToolServer(toolset, name)


def _client() -> tuple[Any, Any]:
    try:
        from fastmcp.client.transports import StdioTransport
        from pydantic_ai.mcp import MCPToolset
    except ImportError as error:
        raise BadInputError("MCP servers need a further package. fix: pip install 'paddock[agents]'") from error
    return MCPToolset, StdioTransport
