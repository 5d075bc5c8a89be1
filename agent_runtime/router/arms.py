"""The models that a name stands for, in the fleet and beyond it, and what they can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.images import may_show_images, shows_images
from agent_runtime.router.dialects.operations import (
    Operation,
)
from agent_runtime.router.experiments.draw import Assignment, assign
from agent_runtime.router.fleet_state import FleetState, ModelState
from agent_runtime.router.model_names import forms
from fleet_spec.governance_spec import Tier


def outside_of(fleet: FleetState, name: str, arms: list[tuple[ModelState, float]]) -> dict[Tier, ModelState]:
    """What answers to a name beyond the fleet: to the name itself, or to a model that it stands for."""
    names = [*forms(name), *(model.name for model, _ in arms)]
    found: dict[Tier, ModelState] = {}
    for tier, state in fleet.tiers.items():
        model = next((state.models[one] for one in names if one in state.models), None)
        if model is not None:
            found[tier] = model
    return found


def able_arms(
    name: str, arms: list[tuple[ModelState, float]], operation: Operation, raw: bytes, body: Mapping[str, Any]
) -> tuple[list[tuple[ModelState, float]], RequestError | None]:
    """The arms that can do what is asked, or why none of them can."""
    able = [arm for arm in arms if can(arm[0], operation)]
    if not able:
        return [], inability(name, operation.name, arms[0][0]) if arms else None
    if may_show_images(raw) and shows_images(operation.dialect, body):
        seeing = [arm for arm in able if sees(arm[0])]
        return seeing, None if seeing else inability(name, "images", able[0][0])
    return able, None


def drawn_arm(
    alias: str, able: list[tuple[ModelState, float]], unit: str | None, now: float
) -> tuple[ModelState | None, Assignment | None]:
    """One of the models that a name stands for, of those that can be reached, and the arm that it is."""
    if len(able) == 1:
        model = able[0][0]
        return (model if reachable(model, now) else None), None
    models = {model.name: model for model, _ in able}
    weights = [(model.name, weight) for model, weight in able]
    assignment = assign(alias, weights, unit, lambda arm: reachable(models[arm], now))
    if assignment is None:
        return None, None
    # Several models of one name of the catalogue share its load, and are no experiment.
    return models[assignment.arm], assignment if alias else None


def can(model: ModelState, operation: Operation) -> bool:
    """Whether a model can do what is asked."""
    there = model.entry.capabilities
    # Written out: every request passes here, and a generator costs more than the look.
    for capability in operation.capabilities:  # noqa: SIM110
        if capability in there:
            return True
    return False


def sees(model: ModelState) -> bool:
    """Whether a model takes pictures."""
    # Ollama serves models that no catalogue knows: whether one of them sees, it knows best itself.
    return "vision" in model.entry.capabilities or model.entry.engine == "ollama"


def inability(name: str, what: str, model: ModelState) -> RequestError:
    """The refusal of what a model cannot do, with what it can."""
    abilities = ", ".join(model.entry.capabilities)
    return RequestError(400, f'"{name}" does not support {what}: it can {abilities}', param="model")


def reachable(model: ModelState, now: float) -> bool:
    """Whether a request for a model would be answered, if only after a while."""
    return model.answers(now) or model.may_wait(now)
