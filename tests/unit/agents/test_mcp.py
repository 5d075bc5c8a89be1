"""A real MCP server over stdio as tools of an agent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent_runtime.agents import Agent
from agent_runtime.agents.errors import ToolServerError
from agent_runtime.agents.mcp import mcp_server
from fleet_spec.errors import BadInputError
from tests.scripted_model import Reply, scripted_server

SERVER = [sys.executable, str(Path(__file__).parents[2] / "mcp_server.py")]


def test_a_servers_tools_are_offered_and_called() -> None:
    script = [
        Reply(calls=[("price_of", {"article": "desk"}), ("greet", {"name": "Ada"})]),
        Reply(calls=[("price_of", {"article": "sofa"})]),
        "240 dollars.",
    ]
    with scripted_server(script) as server:
        agent = Agent("buyer", fleet=server.fleet(), mcp_servers=[mcp_server(SERVER)])
        result = agent.run_sync("What is a desk?")
    assert result.output == "240 dollars."
    offered = {tool["function"]["name"] for tool in server.requests[0]["tools"]}
    assert offered == {"price_of", "greet"}
    results = [entry["content"] for entry in result.transcript if entry["role"] == "tool"]
    assert "240" in results[0]
    assert results[1] == "Hello, Ada."
    assert "sofa" in results[2] or "rror" in results[2]


def test_a_server_that_does_not_start_is_an_error_of_the_run() -> None:
    with scripted_server(["Hi."]) as server:
        broken = mcp_server([sys.executable, "-c", "raise SystemExit(3)"])
        agent = Agent("buyer", fleet=server.fleet(), mcp_servers=[broken])
        with pytest.raises(ToolServerError, match="does not answer"):
            agent.run_sync("What is a desk?")
    assert server.requests == []


def test_a_server_needs_a_command() -> None:
    with pytest.raises(BadInputError, match="needs a command"):
        mcp_server([])
