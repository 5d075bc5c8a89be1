"""demo: everything comes up in one call, and each part of it is asked something small."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent_runtime.agents.teams.errors import TeamRunError
from agent_runtime.agents.teams.records import TeamResult
from agent_runtime.agents.tools.catalogue import ToolSettings
from agent_runtime.cost_optimized import Completion, CompletionError
from cli.asking import Asking, Question, Reply, RouterAsking
from cli.commands.lifecycle import require_consent
from cli.commands.team import TeamProgress
from cli.console import Step, note, table, write, write_json
from cli.one_call import ProductionInfrastructure, deploy_production_llm_infrastructure
from cli.preflight import check_stack
from cli.project import command_name, find_project
from fleet_spec.contract import FleetContract
from fleet_spec.errors import PaddockError

QUESTION = "What is the capital of Japan?"
RESEARCH_QUESTION = "Which model does the fleet serve?"
MAX_TOKENS = 32


@dataclass(frozen=True)
class Demonstration:
    """What each part answered, or why it did not."""

    replies: dict[str, Reply]
    """Of each model's own service, by the model's name in the fleet."""
    completion: Completion | PaddockError
    """Of the cost-optimised service."""
    research: TeamResult | PaddockError
    costs: dict[str, Any] | PaddockError
    """The router's cost report."""

    @property
    def succeeded(self) -> bool:
        """Whether every part answered."""
        answered = all(reply.problem is None for reply in self.replies.values())
        worked = not any(isinstance(part, PaddockError) for part in (self.completion, self.research, self.costs))
        return answered and worked and isinstance(self.research, TeamResult) and self.research.outcome.succeeded


def run(stack: str, *, yes: bool, as_json: bool) -> None:
    """Bring a stack up in one call, ask each part something, and say where everything is.

    Raises:
        SpecError: the stack's config has mistakes; nothing was touched.
        BadInputError: there is no such stack, or nobody can be asked whether it may come up.
        PaddockError: the answer was no, or the stack did not come up.
        SystemExit: with 1, where a part did not answer.
    """
    project = find_project()
    started = time.monotonic()
    if check_stack(project, stack).target != "local":
        require_consent(yes, f"Bring stack {stack!r} up? It may cost money.")
    with TemporaryDirectory(prefix="paddock-demo-") as folder:
        settings = ToolSettings(folder=Path(folder))
        production = deploy_production_llm_infrastructure(stack, project=project, settings=settings)
        (Path(folder) / "fleet.md").write_text(description(production.contract), encoding="utf-8")
        shown = demonstrate(production, _asking(production))
    seconds = time.monotonic() - started
    if as_json:
        write_json(document(production, shown, seconds))
    else:
        _show(production, shown, seconds)
    if not shown.succeeded:
        raise SystemExit(1)


def demonstrate(production: ProductionInfrastructure, asking: Asking) -> Demonstration:
    """Ask each part something small, whatever the others did."""
    replies: dict[str, Reply] = {}
    for name, model in production.contract.models.items():
        with Step(f"asking {name} ({model.model})"):
            replies[name] = asking.ask(name, _question(model.capabilities))
    return asyncio.run(_demonstrated(production, replies))


async def _demonstrated(production: ProductionInfrastructure, replies: dict[str, Reply]) -> Demonstration:
    completion: Completion | PaddockError
    research: TeamResult | PaddockError
    costs: dict[str, Any] | PaddockError
    async with production.service as service:
        with Step("asking the cost-optimised service"):
            try:
                completion = await service.get_completion(
                    QUESTION, production.fleet.model().name, MAX_TOKENS, temperature=0
                )
            except PaddockError as error:
                completion = error
        with TeamProgress() as progress:
            try:
                research = await production.research_team.run(RESEARCH_QUESTION, tell=progress.tell)
            except TeamRunError as error:
                research = error
            finally:
                await production.research_team.aclose()
        try:
            costs = await service.get_cost_report()
        except CompletionError as error:
            costs = error
    return Demonstration(replies, completion, research, costs)


def description(contract: FleetContract) -> str:
    """The fleet in words: what the research team finds out about."""
    models = [
        f"The fleet serves the model {model.model} as {name}: engine {model.engine}, "
        f"context window {model.context_length} tokens, {len(model.endpoints)} endpoints."
        for name, model in contract.models.items()
    ]
    head = f"The fleet of the stack {contract.stack} runs on the target {contract.target}."
    return "\n\n".join([head, *models, f"The router answers at {contract.router.url}."]) + "\n"


def document(production: ProductionInfrastructure, shown: Demonstration, seconds: float) -> dict[str, Any]:
    """What happened as plain JSON data, camelCase keys."""
    return {
        "stack": production.contract.stack,
        "succeeded": shown.succeeded,
        "seconds": round(seconds, 3),
        "changes": dict(production.changes),
        "addresses": production.addresses,
        "question": QUESTION,
        "models": {
            name: {
                "answer": reply.text.strip(),
                "problem": reply.problem,
                "endpoint": reply.endpoint,
                "ttftSeconds": reply.ttft_seconds,
                "seconds": round(reply.seconds, 3),
            }
            for name, reply in shown.replies.items()
        },
        "service": _completion_document(shown.completion),
        "research": _part(shown.research),
        "costs": _part(shown.costs),
    }


def _completion_document(completion: Completion | PaddockError) -> dict[str, Any]:
    if isinstance(completion, PaddockError):
        return _part(completion)
    return {
        "answer": completion.text.strip(),
        "model": completion.model,
        "tier": completion.tier,
        "reason": completion.reason,
        "usd": completion.usd,
        "cached": completion.cached,
        "seconds": round(completion.seconds, 3),
    }


def _part(part: TeamResult | dict[str, Any] | PaddockError) -> dict[str, Any]:
    if isinstance(part, PaddockError):
        return {"problem": str(part)}
    return part.to_mapping() if isinstance(part, TeamResult) else part


def _asking(production: ProductionInfrastructure) -> Asking:
    fleet = production.fleet
    through_proxies = fleet.url == production.contract.router.external_url
    return RouterAsking(fleet.url, api_key=fleet.api_key, through_proxies=through_proxies)


def _question(capabilities: tuple[str, ...]) -> Question:
    embedding = "embedding" in capabilities and "chat" not in capabilities
    return Question(QUESTION, max_tokens=MAX_TOKENS, embedding=embedding)


def _show(production: ProductionInfrastructure, shown: Demonstration, seconds: float) -> None:
    contract, addresses = production.contract, production.addresses
    write("Where everything is")
    rows = [["router", "OpenAI API", addresses["openai"]], ["router", "Ollama API", addresses["ollama"]]]
    rows += [["router", "metrics", addresses["metrics"]]]
    rows += [["web UI", "", addresses["webUi"]]] if addresses["webUi"] else []
    rows += [
        [name, f"{model.model} on {model.engine}", endpoint.url]
        for name, model in contract.models.items()
        for endpoint in model.endpoints
    ]
    table(["name", "what", "address"], rows)

    write(f"\nThe models, asked {QUESTION!r}")
    for name, reply in shown.replies.items():
        said = _line(reply.text) if reply.problem is None else f"FAILED: {reply.problem}"
        write(f"  {name}: {said}  ({reply.seconds:.1f} s)")

    write("\nThe cost-optimised service, asked the same")
    write(f"  {_completion_line(shown.completion)}")

    write(f"\nThe research team, asked {RESEARCH_QUESTION!r}")
    research = shown.research
    write(_indented(f"FAILED: {research}" if isinstance(research, PaddockError) else research.output or "(no answer)"))
    if isinstance(research, TeamResult):
        write(f"  ({research.outcome.summary})")

    write(f"\nThis month's costs\n  {_costs_line(shown.costs)}\n")
    paddock, flag = command_name(), "" if contract.stack == "dev" else f" --stack {contract.stack}"
    write(f'next: {paddock} agent "What is 12 % of 340?" --tool calculation{flag}')
    write(f"      {paddock} team research QUESTION --sources FOLDER{flag}")
    write(f"      {paddock} destroy{flag}")
    note(f"{'everything answered' if shown.succeeded else 'not everything answered'} ({seconds:.1f} s in all)")


def _completion_line(completion: Completion | PaddockError) -> str:
    if isinstance(completion, PaddockError):
        return f"FAILED: {completion}"
    usd = ", kept from before" if completion.cached else ""
    usd += "" if completion.usd is None else f", {completion.usd:.6f} USD"
    why = "" if completion.reason is None else f"; {completion.reason}"
    return f"{_line(completion.text)}  ({completion.tier} tier, {completion.model}{usd}{why})"


def _costs_line(costs: dict[str, Any] | PaddockError) -> str:
    if isinstance(costs, PaddockError):
        return f"FAILED: {costs}"
    total = costs["total"]
    return (
        f"{total['requests']} requests, {total['promptTokens']} + {total['completionTokens']} tokens: "
        f"{total['usd']:.4f} USD; commercially {total['commercialUsd']:.4f} USD"
    )


def _line(text: str) -> str:
    return " ".join(text.split()) or "(nothing)"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
