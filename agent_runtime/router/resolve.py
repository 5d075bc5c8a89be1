"""From the name that a client asks for to the models that may answer."""

from __future__ import annotations

from agent_runtime.router.fleet_state import FleetState, ModelState
from agent_runtime.router.model_names import forms


def alias_of(fleet: FleetState, name: str) -> str:
    """The alias that a name is, or nothing where it is none."""
    return next((form for form in forms(name) if form in fleet.aliases), "")


def candidates(fleet: FleetState, name: str) -> list[tuple[ModelState, float]]:
    """The models that a name stands for, with their weights; empty where it stands for none.

    An alias comes before a name of the fleet, and that before a name of the catalogue. As in Ollama, a
    name without a tag and the same name with ``:latest`` are one.
    """
    written = forms(name)
    for form in written:
        arms = fleet.aliases.get(form)
        if arms is not None:
            found = [(fleet.models[model], weight) for model, weight in arms.items() if weight > 0]
            if found:
                return found
    for form in written:
        model = fleet.models.get(form)
        if model is not None:
            return [(model, 1.0)]
    for form in written:
        found = [(model, 1.0) for model in fleet.models.values() if model.entry.model == form]
        if found:
            return found
    return []
