"""Agents on open models. Each name is loaded when it is asked for, because the agent loop below is slow to import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.agents.agent import Agent
    from agent_runtime.agents.builder import OpenSourceAgentBuilder
    from agent_runtime.agents.functions import Tool
    from agent_runtime.agents.open_source_agent import OpenSourceAgent
    from agent_runtime.agents.options import AgentOptions, RunLimits
    from agent_runtime.agents.result import AgentResult
    from agent_runtime.agents.sessions import Session, SessionStore
    from agent_runtime.agents.teams.team import Team

__all__ = [
    "Agent",
    "AgentOptions",
    "AgentResult",
    "OpenSourceAgent",
    "OpenSourceAgentBuilder",
    "RunLimits",
    "Session",
    "SessionStore",
    "Team",
    "Tool",
]

_HOMES = {
    "Agent": "agent",
    "AgentOptions": "options",
    "AgentResult": "result",
    "OpenSourceAgent": "open_source_agent",
    "OpenSourceAgentBuilder": "builder",
    "RunLimits": "options",
    "Session": "sessions",
    "SessionStore": "sessions",
    "Team": "teams.team",
    "Tool": "functions",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
