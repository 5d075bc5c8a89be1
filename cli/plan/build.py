"""The plan of a stack: sizes, costs, findings and totals, from its config alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.plan.figures import Figure, figures
from cli.plan.host_memory import HostMemory
from cli.plan.model_plan import ModelPlan
from cli.plan.objects import objects_of
from cli.plan.sizes import capacity, cheapest_holders, size
from cli.plan.together import in_main_memory, on_gpus
from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.cost import Commercial, day_of, monthly_cost, token_cost, total
from fleet_spec.errors import Problem
from fleet_spec.fleet_cost import FleetCosts, PartCost
from fleet_spec.governance_spec import TokenPrice
from fleet_spec.prices.table import load_price_table
from fleet_spec.prices.unit_prices import UnitPrice
from fleet_spec.spec import FleetSpec
from policies.facts import facts_of
from policies.judgement import Verdict, judge


@dataclass(frozen=True)
class Plan:
    """A whole stack."""

    stack: str
    target: str
    provider: str | None
    models: tuple[ModelPlan, ...]
    parts: tuple[PartCost, ...]
    """What the fleet's own parts cost."""
    storage_price: UnitPrice | None
    verdicts: tuple[Verdict, ...]
    budget_usd: float
    """What may be spent on tiers beyond the fleet; it comes on top of the fleet's own cost."""
    has_outer_tiers: bool
    ceiling_usd: float | None
    host_memory: HostMemory | None = None
    """For a Docker host: what its main memory is asked for."""

    def total(self, what: str) -> float | None:
        """The sum of ``least_usd``, ``expected_usd`` or ``most_usd``; None where a part is not known."""
        costs: list[float | None] = [getattr(model.cost, what) for model in self.models]
        return total([*costs, *(getattr(part.cost, what) for part in self.parts)])

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every price that the plan rests on, each once."""
        return figures(self.models, self.parts, self.storage_price)

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
        machine_memory_bytes: What the machine of a local stack or the Docker host has; None where that is not known.

    Raises:
        SpecError: the config has mistakes beyond models that do not fit.
    """
    costs = FleetCosts(spec)
    objects = objects_of(spec, stack, catalogue, project, machine_memory_bytes)
    models = tuple(
        _model(name, spec, catalogue, project, costs, machine_memory_bytes, objects.misfits.get(name, ()))
        for name in spec.models
    )
    if spec.target != "kubernetes" and machine_memory_bytes is not None:
        models = in_main_memory(models, machine_memory_bytes)
    if spec.target == "docker":
        models = on_gpus(models, spec)
    parts = costs.parts()
    most_usd = total(one.cost.most_usd for one in (*models, *parts))
    facts = facts_of(spec, stack, catalogue, most_usd)
    return Plan(
        stack=stack,
        target=spec.target,
        provider=costs.prices.provider,
        models=models,
        parts=parts,
        storage_price=costs.storage_price,
        verdicts=tuple(judge(objects.manifests, facts, spec.policies)),
        budget_usd=spec.budget.monthly_usd,
        has_outer_tiers=spec.tiers.cloud is not None or spec.tiers.commercial is not None,
        ceiling_usd=spec.policies.monthly_usd,
        host_memory=objects.host_memory,
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
