"""The plan of a stack: sizes, costs, findings and totals, from its config alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cli.plan.sizes import Size, capacity, cheapest_holders, size
from components.kubernetes.groups import fleet_groups
from components.kubernetes.plan import plan_fleet
from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.cost import Commercial, MonthlyCost, Occupation, TokenCost, day_of, monthly_cost, token_cost, total
from fleet_spec.errors import Problem, SpecError
from fleet_spec.fleet_cost import FleetCosts
from fleet_spec.governance_spec import TokenPrice
from fleet_spec.prices.advice import Holding
from fleet_spec.prices.table import load_price_table
from fleet_spec.sizing.estimate import GIB
from fleet_spec.spec import FleetSpec
from policies.facts import facts_of
from policies.judgement import Verdict, judge
from policies.rules.rule import Manifest

_FIT_KEYS = (".gpu", ".resources.limits.memory")
"""Where the plan of a cluster says that a model does not fit."""


@dataclass(frozen=True)
class ModelPlan:
    """One model, sized and priced."""

    name: str
    model: str
    size: Size
    gpu: str | None
    gpus_per_replica: int
    occupation: Occupation
    cost: MonthlyCost
    tokens: TokenCost | None
    overloaded_hours: int
    """Hours of the expected day in which more replicas are wanted than there may be."""
    problems: tuple[Problem, ...] = ()
    """Why it does not fit, where a cluster's plan says so."""
    cheapest: Holding | None = None
    """For a model that does not fit its GPUs: the cheapest of the price table that hold it."""

    @property
    def fits(self) -> bool | None:
        """Whether a replica fits; None where that is not known."""
        return False if self.problems else self.size.fits

    @property
    def most_gpus(self) -> int:
        """GPUs of every replica that it may have."""
        return self.gpus_per_replica * self.occupation.most_replicas

    @property
    def least_gpus(self) -> int:
        """GPUs of the fewest replicas."""
        return self.gpus_per_replica * self.occupation.least_replicas

    @property
    def storage_gib(self) -> tuple[float, float]:
        """Of the fewest replicas, and of the most."""
        one, shared = self.occupation.storage_gib_per_replica, self.occupation.storage_gib_shared
        return shared + one * self.occupation.least_replicas, shared + one * self.occupation.most_replicas


@dataclass(frozen=True)
class Plan:
    """A whole stack."""

    stack: str
    target: str
    provider: str | None
    models: tuple[ModelPlan, ...]
    rest: MonthlyCost
    """What the fleet's own parts cost."""
    verdicts: tuple[Verdict, ...]
    budget_usd: float
    """What may be spent on tiers beyond the fleet; it comes on top of the fleet's own cost."""
    has_outer_tiers: bool
    ceiling_usd: float | None

    def total(self, what: str) -> float | None:
        """The sum of ``least_usd``, ``expected_usd`` or ``most_usd``; None where a part is not known."""
        costs: list[float | None] = [getattr(model.cost, what) for model in self.models]
        return total([*costs, getattr(self.rest, what)])

    @property
    def misfits(self) -> tuple[ModelPlan, ...]:
        """The models that do not fit."""
        return tuple(model for model in self.models if model.fits is False)

    @property
    def blocked(self) -> bool:
        """Whether the stack must not go up: a model does not fit, or a mandatory rule is broken."""
        return bool(self.misfits) or any(verdict.blocks for verdict in self.verdicts)


def build_plan(
    spec: FleetSpec, stack: str, catalogue: Catalogue, project: Path, *, machine_memory_bytes: int | None = None
) -> Plan:
    """Plan a stack. Starts nothing, and asks nobody.

    Args:
        spec: Its config, checked.
        stack: Its name.
        catalogue: The models to know.
        project: The project's directory, for files of weights.
        machine_memory_bytes: What this machine has, for a local stack.

    Raises:
        SpecError: the config has mistakes beyond models that do not fit.
    """
    costs = FleetCosts(spec)
    manifests, misfits = _manifests(spec, stack, catalogue)
    models = tuple(
        _model(name, spec, catalogue, project, costs, machine_memory_bytes, misfits.get(name, ()))
        for name in spec.models
    )
    if spec.target == "local" and machine_memory_bytes is not None:
        models = _together(models, machine_memory_bytes)
    facts = facts_of(spec, stack, catalogue, total([*(one.cost.most_usd for one in models), costs.rest().most_usd]))
    return Plan(
        stack=stack,
        target=spec.target,
        provider=costs.prices.provider,
        models=models,
        rest=costs.rest(),
        verdicts=tuple(judge(manifests, facts, spec.policies)),
        budget_usd=spec.budget.monthly_usd,
        has_outer_tiers=spec.tiers.cloud is not None or spec.tiers.commercial is not None,
        ceiling_usd=spec.policies.monthly_usd,
    )


def _model(
    name: str,
    spec: FleetSpec,
    catalogue: Catalogue,
    project: Path,
    costs: FleetCosts,
    machine_memory_bytes: int | None,
    problems: Sequence[Problem],
) -> ModelPlan:
    model = spec.models[name]
    sized = size(name, spec, catalogue, project, machine_memory_bytes)
    occupation = costs.occupation(name, capacity(name, spec, sized))
    day = day_of(occupation)
    cheapest = cheapest_holders(name, spec, sized, catalogue, project) if problems and model.gpu is not None else []
    return ModelPlan(
        name=name,
        model=_full_name(model.model, catalogue),
        size=sized,
        gpu=model.gpu.type if model.gpu is not None else None,
        gpus_per_replica=model.gpu.count if model.gpu is not None else 0,
        occupation=occupation,
        cost=monthly_cost(occupation),
        tokens=token_cost(occupation, _commercial(name, spec)),
        overloaded_hours=day.overloaded_hours if day is not None else 0,
        problems=tuple(problems),
        cheapest=cheapest[0] if cheapest else None,
    )


def _together(models: tuple[ModelPlan, ...], machine_memory_bytes: int) -> tuple[ModelPlan, ...]:
    """The models of one machine, none of which fits where all of them together do not."""
    taken_bytes = sum(
        model.size.memory.total_bytes * model.occupation.most_replicas
        for model in models
        if model.size.memory is not None
    )
    if taken_bytes <= machine_memory_bytes:
        return models
    reason = f"takes, with all replicas of the fleet, {taken_bytes / GIB:.1f} of {machine_memory_bytes / GIB:.1f} GiB"
    return tuple(
        model if model.fits is False else replace(model, size=replace(model.size, fits=False, reason=reason))
        for model in models
    )


def _full_name(name: str, catalogue: Catalogue) -> str:
    try:
        return catalogue.get(name).name
    except UnknownModelError:
        return name


def _commercial(name: str, spec: FleetSpec) -> Commercial:
    """The commercial model to compare with: the tier's own for this one where its price is known, else the config's."""
    tier = spec.tiers.commercial
    if tier is not None and name in tier.models:
        over_there = tier.models[name]
        if over_there in tier.prices:
            return Commercial(over_there, tier.prices[over_there])
        known = load_price_table().commercial.models.get(over_there)
        if known is not None:
            return Commercial(over_there, known)
        if tier.usd_per_thousand_tokens is not None:
            flat = tier.usd_per_thousand_tokens * 1000
            price = TokenPrice.model_validate({"inputUsdPerMillion": flat, "outputUsdPerMillion": flat})
            return Commercial(over_there, price)
    chosen = spec.prices.compare_with
    return Commercial(chosen, load_price_table().commercial.models[chosen])


def _manifests(spec: FleetSpec, stack: str, catalogue: Catalogue) -> tuple[list[Manifest], Mapping[str, list[Problem]]]:
    """A cluster's manifests, those of models that do not fit left out, and why each of these does not."""
    if spec.target != "kubernetes":
        return [], {}
    misfits: dict[str, list[Problem]] = {}
    try:
        planned = plan_fleet(spec, stack, catalogue)
    except SpecError as error:
        for problem in error.problems:
            name = _misfit(problem, spec)
            if name is None:
                raise
            misfits.setdefault(name, []).append(problem)
        rest = _without(spec, misfits)
        if not rest.models:
            return [], misfits
        planned = plan_fleet(rest, stack, catalogue)
    return [manifest for group in fleet_groups(planned) for manifest in group.manifests], misfits


def _misfit(problem: Problem, spec: FleetSpec) -> str | None:
    """The model that a problem says does not fit; None where it says something else."""
    for name in spec.models:
        if problem.key in {f"models.{name}{key}" for key in _FIT_KEYS}:
            return name
    return None


def _without(spec: FleetSpec, names: Mapping[str, object]) -> FleetSpec:
    models = {name: model for name, model in spec.models.items() if name not in names}
    aliases = {
        alias: kept
        for alias, arms in spec.aliases.items()
        if (kept := {name: weight for name, weight in arms.items() if name not in names})
    }
    return spec.model_copy(update={"models": models, "aliases": aliases})
