"""What uses a fleet: the router, the code that finds a fleet through its contract, clients and agents.

Importing this package loads nothing: each part is imported where it is used, so that a program which needs
one of them does not pay for the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.agents.agent import Agent
    from agent_runtime.agents.builder import OpenSourceAgentBuilder
    from agent_runtime.agents.open_source_agent import OpenSourceAgent
    from agent_runtime.agents.teams.team import Team
    from agent_runtime.cost_optimized import CostOptimizedLLMService
    from agent_runtime.fleet import Fleet
    from agent_runtime.ollama_client import AsyncOllamaLLMClient, OllamaLLMClient

__all__ = [
    "Agent",
    "AsyncOllamaLLMClient",
    "CostOptimizedLLMService",
    "Fleet",
    "OllamaLLMClient",
    "OpenSourceAgent",
    "OpenSourceAgentBuilder",
    "Team",
]

_HOMES = {
    "Agent": "agent_runtime.agents.agent",
    "AsyncOllamaLLMClient": "agent_runtime.ollama_client",
    "CostOptimizedLLMService": "agent_runtime.cost_optimized",
    "Fleet": "agent_runtime.fleet",
    "OllamaLLMClient": "agent_runtime.ollama_client",
    "OpenSourceAgent": "agent_runtime.agents.open_source_agent",
    "OpenSourceAgentBuilder": "agent_runtime.agents.builder",
    "Team": "agent_runtime.agents.teams.team",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
