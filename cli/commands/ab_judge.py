"""ab judge: the same prompts, or tasks that can be checked, to every arm of a test; the router keeps the scores."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from cli.ab.judge import Judged, demand_scores, judge_all
from cli.ab.router import ExperimentsRouter
from cli.ab.words import EFFECT_COLUMNS, effect_rows
from cli.asking import RouterAsking
from cli.console import Step, note, table, write, write_json
from cli.prompts import read_prompts
from fleet_spec.errors import BadInputError, PaddockError

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


def run(
    stack: str,
    alias: str,
    *,
    prompts: Path | None,
    judge: str | None,
    tasks: bool,
    router: str | None,
    as_json: bool,
) -> None:
    """Score the arms of a test, and print what that says of them.

    Raises:
        BadInputError: neither prompts nor tasks are given, nobody can score the answers, or there is no such test.
        PaddockError: nothing could be scored.
    """
    if (prompts is None) == (not tasks):
        raise BadInputError("one of --prompts FILE and --tasks says what to ask. fix: give one of them")
    if tasks and router is not None:
        raise BadInputError("--tasks asks the stack's own router. fix: leave --router out")
    asked = [] if prompts is None else read_prompts(prompts)
    demand_scores(asked, judge)
    with closing(ExperimentsRouter.of(stack, router)) as client:
        arms = _arms(client.experiments(), alias)
        if judge in arms:
            note(f"{judge} judges its own answers too, and models like their own best")
        found = _judge_tasks(stack, alias, arms, client) if tasks else _judge(client, alias, asked, arms, judge)
        told = client.experiments()[alias]
    scored = sum(bool(one.scores) for one in found)
    if not scored:
        reason = next((why for one in found for why in one.problems.values()), "there was no answer")
        raise PaddockError(f"none of {len(found)} could be scored: {reason}")
    problems = {one.name: one.problems for one in found if one.problems}
    if as_json:
        write_json({"alias": alias, "asked": len(found), "scored": scored, "problems": problems, **told["declared"]})
    else:
        _show(told, problems)


def _show(told: Mapping[str, Any], problems: Mapping[str, Mapping[str, str]]) -> None:
    for name, by_arm in problems.items():
        for arm, why in by_arm.items():
            note(f"{name}, {arm}: {why}")
    scores: Mapping[str, Any] = told["declared"]["scores"]
    table(("arm", "scored", "mean"), [[arm, str(one["count"]), f"{one['mean']:.3f}"] for arm, one in scores.items()])
    rows = effect_rows(told, ("score",))
    if rows:
        write()
        table(EFFECT_COLUMNS, rows)


def _arms(found: Mapping[str, Any], alias: str) -> list[str]:
    declared = found.get(alias, {}).get("declared")
    if declared is None:
        known = ", ".join(name for name, told in found.items() if "declared" in told) or "none"
        raise BadInputError(
            f"no A/B test is declared over {alias!r}. Declared over: {known}. fix: paddock ab start {alias} --arm ..."
        )
    return list(declared["weights"])


def _judge(
    client: ExperimentsRouter, alias: str, prompts: Sequence[Any], arms: Sequence[str], judge: str | None
) -> list[Judged]:
    asking = RouterAsking(client.url, api_key=client.api_key, through_proxies=client.through_proxies)
    with Step(f"judging {len(prompts)} prompts") as step:

        def tell(number: int, judged: Judged) -> None:
            step.update(f"{number} of {len(prompts)}")
            if judged.scores:
                client.note_scores(alias, judged.name, judged.scores)

        return judge_all(asking, prompts, arms, judge, tell)


def _judge_tasks(stack: str, alias: str, arms: Sequence[str], client: ExperimentsRouter) -> list[Judged]:
    """Tasks of agents, one after another, each on every arm."""
    from agent_runtime.agents.evaluation.runner import evaluate
    from agent_runtime.agents.evaluation.tasks import TASKS
    from cli.fleet_access import fleet_of

    fleet = fleet_of(stack)
    found: list[Judged] = []
    with Step(f"running {len(TASKS)} tasks") as step:
        for number, task in enumerate(TASKS):
            first = number % len(arms)
            evaluation = asyncio.run(evaluate([*arms[first:], *arms[:first]], fleet=fleet, tasks=[task]))
            scores = {score.model: float(score.passed) for score in evaluation.scores}
            judged = Judged("task-" + _NO_NAME.sub("-", task.name), scores)
            client.note_scores(alias, judged.name, judged.scores)
            found.append(judged)
            step.update(f"{number + 1} of {len(TASKS)}")
    return found
