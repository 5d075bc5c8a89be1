"""What a person should know of the models that a stack runs."""

from __future__ import annotations

from collections.abc import Iterator

from fleet_spec.catalogue import UnknownModelError
from fleet_spec.spec import FleetSpec


def deprecation_notes(spec: FleetSpec) -> Iterator[str]:
    """A sentence for each model of a stack that its catalogue holds for deprecated, with the model's name."""
    for name, model in spec.models.items():
        try:
            entry = spec.catalogue.get(model.model)
        except UnknownModelError:
            continue  # weights of somebody's own
        if entry.deprecated is not None:
            yield f"models.{name}: {entry.deprecated.sentence(entry.name)}"
