"""One call brings a stack up and gives what works on it: the cost-optimised service, the research team, the addresses.

python examples/production.py [STACK] [FOLDER OF DOCUMENTS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from agent_runtime.agents.tools.catalogue import ToolSettings
from cli.one_call import deploy_production_llm_infrastructure


def main(stack: str = "dev", folder: str | None = None) -> None:
    """Bring the stack up, ask it a question, and let the team do some research."""
    settings = ToolSettings(folder=Path(folder) if folder else None)
    production = deploy_production_llm_infrastructure(stack, settings=settings)
    print(json.dumps(production.addresses, indent=2))

    answer = production.service.complete("What is the capital of Japan?", max_tokens=32, temperature=0)
    print(f"{answer.tier} tier, {answer.model}: {answer.text.strip()}")

    result = production.research_team.run_sync("How high is Mount Elbrus?")
    print(f"\n{result.output}\n")
    for one in result.members:
        print(f"{one.member}: {one.model}, {one.input_tokens} + {one.output_tokens} tokens, {one.cost_usd} USD")


if __name__ == "__main__":
    main(*sys.argv[1:])
