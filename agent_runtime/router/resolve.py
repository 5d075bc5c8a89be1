"""From the name that a client asks for to the models that may answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from agent_runtime.router.fleet_state import FleetState, ModelState

_LATEST = ":latest"

Draw = Callable[[Sequence[float]], int]
"""Chooses one of several weights, and gives its place."""


def draw(weights: Sequence[float]) -> int:
    """A weighted choice by chance."""
    return random.choices(range(len(weights)), weights)[0]  # noqa: S311 - balance, not secrecy


def forms(name: str) -> tuple[str, str]:
    """The ways to write a name: as in Ollama, one without a tag and the same with ``:latest`` are one."""
    return name, name.removesuffix(_LATEST) if name.endswith(_LATEST) else name + _LATEST


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


def choose(
    arms: Sequence[tuple[ModelState, float]], usable: Callable[[ModelState], bool], draw: Draw = draw
) -> ModelState | None:
    """One of the models by weight, among those that are usable."""
    left = [(model, weight) for model, weight in arms if usable(model)]
    if len(left) <= 1:
        return left[0][0] if left else None
    return left[draw([weight for _, weight in left])][0]
