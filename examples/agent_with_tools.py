"""An agent on the fleet that calls a function of this program.

PADDOCK_STACK=dev python examples/agent_with_tools.py "What do 3 desks cost?"
"""

from __future__ import annotations

import sys

from agent_runtime import Agent, Fleet

PRICES_USD = {"desk": 240.0, "chair": 85.5, "lamp": 32.25}


def price_of(article: str, quantity: int = 1) -> float:
    """The price of articles of the shop, in US dollars.

    Args:
        article: The article's name: desk, chair or lamp.
        quantity: How many.
    """
    return PRICES_USD[article.lower().removesuffix("s")] * quantity


def main(question: str) -> None:
    """Let the agent answer, and tell what it did."""
    agent = Agent(
        "shop assistant",
        "Answer questions about prices in one sentence. Look prices up; never guess.",
        fleet=Fleet.from_env(),
        tools=[price_of],
    )
    result = agent.run_sync(question)
    for entry in result.transcript:
        for call in entry.get("toolCalls", []):
            sys.stderr.write(f"called {call['name']} with {call['arguments']}\n")
    sys.stdout.write(f"{result.output}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "What do 3 desks cost?")
