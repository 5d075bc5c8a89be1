"""A plan as JSON."""

from __future__ import annotations

from typing import Any

from cli.plan.against import Comparison
from cli.plan.build import Plan
from cli.plan.model_plan import ModelPlan
from fleet_spec.cost import rounded, total
from fleet_spec.fleet_cost import PartCost


def document(plan: Plan, comparison: Comparison | None) -> dict[str, Any]:
    """Everything that a plan says."""
    return {
        "stack": plan.stack,
        "target": plan.target,
        "ok": not plan.blocked,
        "models": [_model(model) for model in plan.models],
        "parts": [_part(part) for part in plan.parts],
        "totals": {
            "leastUsd": rounded(plan.total("least_usd")),
            "expectedUsd": rounded(plan.total("expected_usd")),
            "mostUsd": rounded(plan.total("most_usd")),
            "leastGpus": sum(model.least_gpus for model in plan.models),
            "mostGpus": sum(model.most_gpus for model in plan.models),
            "leastStorageGib": sum(model.storage_gib[0] for model in plan.models),
            "mostStorageGib": sum(model.storage_gib[1] for model in plan.models),
            "partsUsd": rounded(total(part.cost.most_usd for part in plan.parts)),
        },
        **({"host": plan.host_memory.to_mapping()} if plan.host_memory is not None else {}),
        "prices": {
            "provider": plan.provider,
            "figures": [figure.to_mapping() for figure in plan.figures],
            "unconfirmed": sum(not figure.confirmed for figure in plan.figures),
        },
        "budget": {"monthlyUsd": plan.budget_usd, "covers": "tiers beyond the fleet"},
        "ceiling": {"monthlyUsd": plan.ceiling_usd},
        "findings": [verdict.to_mapping() for verdict in plan.verdicts],
        **({"against": comparison.to_mapping()} if comparison is not None else {}),
    }


def _part(one: PartCost) -> dict[str, Any]:
    part = one.part
    return {
        "name": part.name,
        "replicas": {"least": part.least_replicas, "most": part.most_replicas},
        "cpusPerReplica": part.cpus,
        "memoryGibPerReplica": part.memory_gib,
        "storageGib": part.storage_gib,
        "loadBalancers": part.load_balancers,
        "monthlyUsd": one.cost.to_mapping(),
    }


def _model(model: ModelPlan) -> dict[str, Any]:
    size, occupation = model.size, model.occupation
    price, tokens = occupation.price, model.tokens
    return {
        "name": model.name,
        "model": model.model,
        "engine": size.engine,
        "quantization": size.quantization,
        "contextLength": size.context_length,
        "fits": model.fits,
        "reason": size.reason,
        "problems": [{"key": one.key, "message": one.message, "fix": one.fix} for one in model.problems],
        "cheapest": None
        if model.cheapest is None
        else {
            "type": model.cheapest.gpu,
            "count": model.cheapest.gpus,
            "usdPerHour": round(model.cheapest.price.usd, 4),
            "source": model.cheapest.price.source,
        },
        "memory": size.memory.to_mapping() if size.memory is not None else None,
        "gpu": model.gpu,
        "gpusPerReplica": model.gpus_per_replica,
        "replicas": {"least": occupation.least_replicas, "most": occupation.most_replicas},
        "gpus": {"least": model.least_gpus, "most": model.most_gpus},
        "storageGib": {"least": model.storage_gib[0], "most": model.storage_gib[1]},
        "replicaUsdPerHour": round(price.usd, 6) if price is not None else None,
        "priceSource": price.source if price is not None else None,
        "priceConfirmed": price.confirmed if price is not None else None,
        "monthlyUsd": model.cost.to_mapping(),
        "tokensPerSecondBound": round(size.throughput_bound, 1) if size.throughput_bound is not None else None,
        "tokensPerSecondPlanned": (
            round(occupation.capacity.tokens_per_second, 1) if occupation.capacity is not None else None
        ),
        "overloadedHours": model.overloaded_hours,
        "tokens": None
        if tokens is None
        else {
            "usdPerMillionWhenBusy": round(tokens.usd_per_million_when_busy, 4),
            "usdPerMillionExpected": (
                None if tokens.usd_per_million_expected is None else round(tokens.usd_per_million_expected, 4)
            ),
            "comparedWith": tokens.commercial.name,
            "commercialUsdPerMillion": round(tokens.commercial_usd_per_million, 4),
            "breakEvenRequestsPerHour": (
                None if tokens.break_even_requests_per_hour is None else round(tokens.break_even_requests_per_hour, 1)
            ),
        },
    }
