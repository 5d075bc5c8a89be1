"""What a plan changes about what runs, or about another stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.plan.build import Plan
from fleet_spec.contract import FleetContract
from fleet_spec.cost import rounded, total
from fleet_spec.prices.table import HOURS_PER_MONTH

Facts = Mapping[str, Any]
"""What is compared of a model, by name."""


@dataclass(frozen=True)
class Change:
    """What becomes of a model."""

    name: str
    kind: str
    """``added``, ``removed`` or ``changed``."""
    fields: Mapping[str, tuple[Any, Any]]
    """What changes about it: field -> (before, after)."""


@dataclass(frozen=True)
class Comparison:
    """A plan beside what it is held against."""

    source: str
    changes: tuple[Change, ...]
    differences_usd: Mapping[str, float | None]
    """What a month costs more than before (``leastUsd``, ``expectedUsd``, ``mostUsd``); None where one side is not
    known. Against a contract: more than what runs of the models costs (``leastUsd``, ``mostUsd``)."""
    not_counted: tuple[str, ...] = ()
    """What the differences leave out, and why."""

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "source": self.source,
            "changes": [
                {
                    "name": change.name,
                    "kind": change.kind,
                    "fields": {
                        field: {"before": before, "after": after} for field, (before, after) in change.fields.items()
                    },
                }
                for change in self.changes
            ],
            "differencesUsd": dict(self.differences_usd),
            "notCounted": list(self.not_counted),
        }


def against_plan(plan: Plan, other: Plan, source: str) -> Comparison:
    """Compare with another plan.

    Args:
        plan: What is to be.
        other: What it is held against.
        source: What to call that.
    """
    kinds = {"leastUsd": "least_usd", "expectedUsd": "expected_usd", "mostUsd": "most_usd"}
    differences = {name: _difference(plan.total(field), other.total(field)) for name, field in kinds.items()}
    return Comparison(source, _changes(_facts(plan), _facts(other)), differences)


def against_contract(plan: Plan, contract: FleetContract, source: str) -> Comparison:
    """Compare with the contract of what runs. It tells of models, engines and contexts, and of no GPUs.

    What a model costs there is known where the contract has its price and its replicas one by one. A cluster's has
    their common name, behind which there may be any number. The models that this is not known of are left out of the
    differences, on both sides.
    """
    before = {
        name: {
            "model": model.model,
            "engine": model.engine,
            "contextLength": model.context_length,
            **({"usdPerHour": model.usd_per_hour} if model.usd_per_hour is not None else {}),
        }
        for name, model in contract.models.items()
        if model.adapter_of is None
    }
    after = {
        name: {field: value for field, value in facts.items() if field in ("model", "engine", "contextLength")}
        for name, facts in _facts(plan).items()
    }
    for name, facts in before.items():
        price = next((one.occupation.price for one in plan.models if one.name == name), None)
        if "usdPerHour" in facts and price is not None and name in after:
            after[name]["usdPerHour"] = round(price.usd, 6)
    differences, not_counted = _running_differences(plan, contract)
    return Comparison(source, _changes(after, before), differences, not_counted)


def _running_differences(plan: Plan, contract: FleetContract) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """What the planned models cost more than those that run, and what could not be reckoned."""
    running: dict[str, float] = {}
    left_out: list[str] = []
    for name, model in contract.models.items():
        if model.adapter_of is not None:
            continue
        if any(endpoint.discover for endpoint in model.endpoints):
            left_out.append(f"{name}: the contract does not tell how many replicas run")
        elif model.usd_per_hour is None:
            left_out.append(f"{name}: the contract has no price of it; it has one where the stack named usdPerHour")
        else:
            running[name] = len(model.endpoints) * model.usd_per_hour * HOURS_PER_MONTH
    planned = [one for one in plan.models if one.name in running or one.name not in contract.models]
    if plan.parts:
        left_out.append(f"{', '.join(one.part.name for one in plan.parts)}: the contract does not tell their cost")
    if not planned and not running:
        return {}, tuple(left_out)
    now = sum(running.values())
    return {
        "leastUsd": _difference(total(one.cost.least_usd for one in planned), now),
        "mostUsd": _difference(total(one.cost.most_usd for one in planned), now),
    }, tuple(left_out)


def _facts(plan: Plan) -> dict[str, dict[str, Any]]:
    return {
        model.name: {
            "model": model.model,
            "engine": model.size.engine,
            "quantization": model.size.quantization,
            "contextLength": model.size.context_length,
            "gpu": model.gpu,
            "gpusPerReplica": model.gpus_per_replica,
            "leastReplicas": model.occupation.least_replicas,
            "mostReplicas": model.occupation.most_replicas,
            "storageGib": model.storage_gib[1],
            "mostUsd": rounded(model.cost.most_usd),
        }
        for model in plan.models
    }


def _changes(after: Mapping[str, Facts], before: Mapping[str, Facts]) -> tuple[Change, ...]:
    found = [Change(name, "added", {}) for name in after if name not in before]
    found += [Change(name, "removed", {}) for name in before if name not in after]
    for name, facts in after.items():
        old = before.get(name)
        fields = {} if old is None else {key: (old.get(key), facts.get(key)) for key in {**old, **facts}}
        differing = {key: pair for key, pair in fields.items() if pair[0] != pair[1]}
        if differing:
            found.append(Change(name, "changed", differing))
    return tuple(found)


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else rounded(after - before)
