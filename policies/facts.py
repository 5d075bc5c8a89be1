"""What rules need to know of a stack beside its manifests, from its config."""

from __future__ import annotations

from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.spec import FleetSpec
from policies.rules.rule import Facts, ModelFacts


def facts_of(spec: FleetSpec, stack: str, catalogue: Catalogue, most_monthly_usd: float | None) -> Facts:
    """The facts of a stack.

    Args:
        spec: Its config.
        stack: Its name.
        catalogue: Where models' licences are known from.
        most_monthly_usd: What the fleet costs with every replica; None where a price is not known.
    """
    policies = spec.policies
    return Facts(
        production=spec.protects(stack),
        registries=policies.registries,
        licences=policies.licences,
        storage_classes=policies.storage_classes,
        ceiling_monthly_usd=policies.monthly_usd,
        most_monthly_usd=most_monthly_usd,
        models=tuple(_model_facts(name, spec, catalogue) for name in spec.models),
    )


def _model_facts(name: str, spec: FleetSpec, catalogue: Catalogue) -> ModelFacts:
    model = spec.models[name]
    gpu = model.gpu.type if model.gpu is not None else None
    try:
        entry = catalogue.get(model.model)
    except UnknownModelError:
        return ModelFacts(name, model.model, None, None, gpu, model.replicas.max)
    use = catalogue.licence_of(entry).commercial_use
    return ModelFacts(name, entry.name, entry.licence, use, gpu, model.replicas.max)
