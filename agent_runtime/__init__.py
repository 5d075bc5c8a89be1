"""What uses a fleet: the router, and the code that finds a fleet through its contract.

Importing this package loads nothing: each part is imported where it is used, so that a program which needs
one of them does not pay for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.cost_optimized import CostOptimizedLLMService

__all__ = ["CostOptimizedLLMService"]


def __getattr__(name: str) -> Any:
    if name == "CostOptimizedLLMService":
        from agent_runtime.cost_optimized import CostOptimizedLLMService

        return CostOptimizedLLMService
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
