"""A swap before it begins: what is to come, whether it can, and what it changes about sizes and costs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cli.plan.build import ModelPlan, Plan, build_plan
from cli.project import Project
from cli.stack_changes import arms_of, at, load, section
from cli.swap.journal import Journal, Settings
from cli.swap.names import adapters_of, model_behind, name_for_candidate, name_for_new, served, turned_adapters
from components.catalogues import fetch_catalogues
from components.local.preflight import local_problems
from fleet_spec.contract import FleetContract
from fleet_spec.cost import rounded
from fleet_spec.errors import BadInputError, Problem, SpecError
from fleet_spec.loading import load_spec
from fleet_spec.sizing.estimate import GIB
from fleet_spec.spec import FleetSpec
from fleet_spec.stack_file import read_stack_file, stack_file_path

OF_THE_WEIGHTS = ("weights", "quantization", "adapters")
"""Settings that belong to a model's weights. Another model does not take them over; everything else it does."""


@dataclass(frozen=True)
class Wanted:
    """What a person asks for."""

    asked: str
    model: str
    engine: str | None = None
    quantization: str | None = None
    context_length_tokens: int | None = None
    weights: str | None = None
    sha256: str | None = None
    new_name: str | None = None


@dataclass(frozen=True)
class Outlook:
    """What a swap leads to: the stack's plan before it, in the middle of it and after it."""

    before: Plan
    during: Plan
    after: Plan

    def to_mapping(self, journal: Journal) -> dict[str, Any]:
        """As plain JSON data."""
        old, new = _model(self.before, journal.old), _model(self.during, journal.new)
        costs = {name: getattr(self, name).total("most_usd") for name in ("before", "during", "after")}
        return {
            "replicaMemoryBytes": {"old": _memory_bytes(old), "new": _memory_bytes(new)},
            "monthlyUsd": {name: rounded(usd) for name, usd in costs.items()},
        }


def propose(wanted: Wanted, text: str, settings: Settings) -> Journal:
    """Decide a swap, from a stack's file.

    Raises:
        BadInputError: there is no such model, it is an adapter, it is under an A/B test, nothing would change, it has
            adapters that the new one cannot take over, or the file is laid out in a way that cannot be changed.
    """
    if (wanted.weights is None) != (wanted.sha256 is None):
        raise BadInputError("--weights and --sha256 belong together. fix: `sha256sum FILE` prints what --sha256 wants")
    data = load(text)
    models, aliases = at(data, section("models")) or {}, at(data, section("aliases")) or {}
    taken = served(models)
    old = model_behind(wanted.asked, taken, aliases)
    if taken.get(old, old) != old:
        raise BadInputError(
            f"{old!r} is an adapter of {taken[old]!r}. fix: name another file below paddock:models.{taken[old]}."
            f"adapters.{old}, then paddock up: the new server comes beside the old one"
        )
    if old not in models:
        raise BadInputError(
            f"{wanted.asked!r} leads to {old!r}, which is no model of this fleet. fix: correct the alias"
        )
    for alias in at(data, section("experiments")) or {}:
        for arm in arms_of(aliases.get(alias)):
            if taken.get(arm) == old:
                raise BadInputError(
                    f"{arm!r} is an arm of the A/B test on {alias!r}. fix: paddock ab end {alias} --keep {arm}"
                )
    new = wanted.new_name or name_for_new(old, taken, aliases)
    if new in taken or (new in aliases and wanted.new_name is not None):
        raise BadInputError(f"--as {new!r} is taken in this fleet. fix: choose another name, or leave --as out")
    before: Any = models[old]
    present = cast("dict[str, Any]", {"model": before} if isinstance(before, str) else before)
    entry = _entry(present, wanted)
    if entry == present:
        raise BadInputError(f"{wanted.asked!r} is {wanted.model} with these settings already. fix: name another model")
    adapters = turned_adapters(old, new, models, aliases)
    if adapters:
        if "adapters" not in entry:
            raise BadInputError(
                f"{old!r} has adapters that were made for {present['model']}, and {wanted.model} cannot take over: "
                f"{', '.join(one.old for one in adapters)}. fix: take them out of paddock:models.{old}.adapters (an "
                f"alias of each name to {old} below paddock:aliases keeps clients answered), paddock up, then swap"
            )
        names = {one.old: one.new for one in adapters}
        entry = {**entry, "adapters": {names[name]: said for name, said in adapters_of(entry).items()}}
    journal = Journal(
        asked=wanted.asked,
        old=old,
        new=new,
        candidate=name_for_candidate(new, taken, aliases),
        entry=entry,
        adapters=adapters,
        original=text,
        settings=settings,
    )
    journal.edits.texts  # noqa: B018 - refuses a layout that cannot be changed, now
    return journal


def examine(
    journal: Journal,
    project: Project,
    stack: str,
    contract: FleetContract,
    *,
    machine_memory_bytes: int | None,
    progress: Callable[[str], None],
) -> Outlook:
    """Find everything that stands in the way of a swap, and what it changes.

    Args:
        journal: The swap.
        project: The checkout.
        stack: The stack.
        contract: What runs now.
        machine_memory_bytes: What this machine has, for a local stack.
        progress: Told what is being read, where a file of weights takes a while.

    Raises:
        BadInputError: the stack's file and what runs are not the same models, or the new one does not fit.
        SpecError: the stack's config would have mistakes, or this machine cannot serve the new model.
    """
    texts = journal.edits.texts
    specs = {stage: spec_of(texts[stage], project, stack) for stage in ("original", "beside", "turned", "final")}
    models = specs["original"].models
    in_file = {*models, *(adapter for model in models.values() for adapter in model.adapters)}
    if in_file != set(contract.models):
        raise BadInputError(
            f"stack {stack!r} runs {', '.join(sorted(contract.models))}, and its file has "
            f"{', '.join(sorted(in_file))}. fix: paddock up --stack {stack}, then swap"
        )
    beside = specs["beside"]
    problems: list[Problem] = []
    if beside.target == "local":
        problems += local_problems(beside, project.directory, stack, progress=progress)
    if problems:
        raise SpecError(problems, stack_file_path(project.directory, stack).name)
    plans = {
        stage: build_plan(
            specs[stage], stack, specs[stage].catalogue, project.directory, machine_memory_bytes=machine_memory_bytes
        )
        for stage in ("original", "beside", "final")
    }
    new = _model(plans["beside"], journal.new)
    if new.fits is False:
        told = "; ".join(f"{one.message}, fix: {one.fix}" for one in new.problems) or new.size.reason
        raise BadInputError(
            f"{journal.entry['model']} does not fit beside {journal.old}: {told}. fix: a smaller model, context or "
            "quantization, or more room"
        )
    return Outlook(plans["original"], plans["beside"], plans["final"])


def spec_of(text: str, project: Project, stack: str) -> FleetSpec:
    """The fleet that a stack's file of this text describes.

    Raises:
        SpecError: with every mistake.
    """
    with tempfile.TemporaryDirectory(prefix="paddock-") as directory:
        stack_file_path(Path(directory), stack).write_text(text, encoding="utf-8")
        file = read_stack_file(Path(directory), stack)
    fetch_catalogues(file.raw, project.directory)
    return load_spec(
        file.raw,
        source=stack_file_path(project.directory, stack).name,
        secret_keys=file.secret_keys,
        directory=project.directory,
    )


def lines(journal: Journal, outlook: Outlook, contract: FleetContract) -> list[str]:
    """The steps of a swap and what it changes, for a person."""
    old, new = _model(outlook.before, journal.old), _model(outlook.during, journal.new)
    settings = journal.settings
    going = {one.old for one in journal.every}
    names = sorted({*going, *(alias for alias, arms in contract.aliases.items() if going & set(arms))})
    checks = f"the prompts in {settings.prompts}" if settings.prompts is not None else "the built-in prompts"
    limit = f", first token within {settings.max_ttft_seconds:g} s" if settings.max_ttft_seconds is not None else ""
    said = [
        f"swap {journal.asked}: {old.model} on {old.size.engine} ({journal.old}) "
        f"-> {new.model} on {new.size.engine} ({journal.new})",
        f"  1. deploy  {journal.new} beside {journal.old}, which goes on serving: it {new.size.reason}",
        f"  2. warm    every replica of {journal.new} loads and answers"
        + (", and so does every adapter" if journal.adapters else ""),
        f"  3. check   {checks}; at most {settings.max_error_rate:.0%} may fail{limit}",
        f"  4. turn    {', '.join(names)} to {', '.join(one.new for one in journal.every)}; "
        "from here on clients get " + ("these" if journal.adapters else "it"),
        f"  5. drain   {journal.old} until its last request has ended, for at most {settings.drain_seconds:g} s",
        f"  6. remove  {journal.old}; its name stays, as an alias of {journal.new}"
        + "".join(f", and {one.old} as one of {one.new}" for one in journal.adapters),
        "  what fails before 6 puts everything back as it was",
        f"memory of a replica: {_gib(old)} -> {_gib(new)}",
        f"at most a month: {_usd(outlook.before)} -> {_usd(outlook.after)}; while both are up, at the rate of "
        f"{_usd(outlook.during)}",
    ]
    experiments = [alias for alias in names if len(contract.aliases.get(alias, {})) > 1]
    said += [
        f"note: {alias} shares its requests out; {one.old}'s share goes to {one.new}"
        for alias in experiments
        for one in journal.every
        if one.old in contract.aliases[alias]
    ]
    if old.model != new.model:
        said.append(f"note: who asks for {old.model!r} itself, and for none of the fleet's names, finds it no more")
    if contract.target == "kubernetes":
        said.append(f"note: the Service of {journal.old} goes with it; the router's names stay")
    return said


def _entry(present: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    same = present["model"] == wanted.model
    kept = {key: value for key, value in present.items() if same or key not in OF_THE_WEIGHTS}
    weights = None if wanted.weights is None else {"path": wanted.weights, "sha256": wanted.sha256}
    asked = {
        "model": wanted.model,
        "engine": wanted.engine,
        "quantization": wanted.quantization,
        "contextLength": wanted.context_length_tokens,
        "weights": weights,
    }
    return {**kept, **{key: value for key, value in asked.items() if value is not None}}


def _model(plan: Plan, name: str) -> ModelPlan:
    return next(model for model in plan.models if model.name == name)


def _memory_bytes(model: ModelPlan) -> int | None:
    return model.size.memory.total_bytes if model.size.memory is not None else None


def _gib(model: ModelPlan) -> str:
    known = _memory_bytes(model)
    return "not known" if known is None else f"{known / GIB:.2f} GiB"


def _usd(plan: Plan) -> str:
    known = plan.total("most_usd")
    return "not known" if known is None else f"{known:.2f} USD"
