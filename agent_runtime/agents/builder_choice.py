"""What agents are made for, and which model of a fleet is best for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet_spec.catalogue import CatalogueModel, UnknownModelError, load_catalogue
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from fleet_spec.contract import FleetContract, ModelEndpoints


@dataclass(frozen=True)
class Specialisation:
    """What an agent can be made for."""

    name: str
    model: str
    """The model of the catalogue that is meant for it."""
    use_cases: tuple[str, ...]
    """What the catalogue calls it, the closest first: models of these stand in for the one that is meant."""
    instructions: str
    tools: tuple[str, ...] = ()
    temperature: float = 0.7


SPECIALISATIONS: Mapping[str, Specialisation] = {
    made.name: made
    for made in (
        Specialisation(
            "general",
            "llama3.1:8b",
            ("general", "research", "agents"),
            "You are a careful assistant. Answer from what you are given; say so where you do not know.",
        ),
        Specialisation(
            "code",
            "codellama:13b",
            ("code", "agents"),
            "You are a software engineer. You write short, correct, readable Python and say what you assumed.",
            tools=("code_analysis",),
            temperature=0.2,
        ),
        Specialisation(
            "math",
            "mathstral:7b",
            ("math", "reasoning", "science"),
            "You are a mathematician. You work in steps and let the tool calculation do every computation.",
            tools=("calculation",),
            temperature=0.2,
        ),
        Specialisation(
            "science",
            "llama3.1:70b",
            ("science", "research", "reasoning"),
            "You are a scientist. You weigh evidence, name contradictions, and tell what is known from what is likely.",
            temperature=0.4,
        ),
        Specialisation(
            "creative",
            "mistral:7b",
            ("creative", "general"),
            "You are a writer. You turn notes into clear, lively text for people who are new to a subject.",
            temperature=0.8,
        ),
    )
}


@dataclass(frozen=True)
class ModelChoice:
    """Which model of a fleet stands for a specialisation, and why."""

    name: str
    """What to ask the router for."""
    model: str
    """Its name in the catalogue."""
    wanted: str
    """The model that was meant."""
    reason: str
    context_length: int

    @property
    def is_fallback(self) -> bool:
        """Whether another model than the one that was meant answers."""
        return self.model != self.wanted

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data, camelCase keys."""
        return {"name": self.name, "model": self.model, "wanted": self.wanted, "reason": self.reason}


def specialisation_named(name: str) -> Specialisation:
    """The specialisation of that name.

    Raises:
        BadInputError: there is none. Says which there are.
    """
    found = SPECIALISATIONS.get(name)
    if found is None:
        raise BadInputError(f"there is no specialisation {name!r}. fix: one of {', '.join(SPECIALISATIONS)}")
    return found


def choose_model(contract: FleetContract, specialisation: Specialisation) -> ModelChoice:
    """The model of a fleet that is best for a specialisation.

    The one that is meant, where the fleet has it. Else a model that chats: first those that the catalogue knows for
    the same use, the closest use first, then the others; among equals the one whose size comes nearest.

    Raises:
        BadInputError: the fleet has no model that chats.
    """
    wanted = specialisation.model
    chatting = {name: model for name, model in contract.models.items() if "chat" in model.capabilities}
    if not chatting:
        held = ", ".join(f"{name} ({model.model})" for name, model in contract.models.items()) or "nothing"
        raise BadInputError(
            f"the fleet of stack {contract.stack!r} has no model that chats; it has {held}. "
            f"fix: add one such as {wanted} to the stack's models and run `paddock up`"
        )
    for name, model in chatting.items():
        entry = _entry(model)
        if wanted in (model.model, entry.name if entry else None):
            return ModelChoice(name, model.model, model.model, f"{wanted} is in the fleet", model.context_length)
    size = load_catalogue().get(wanted).parameters.total
    name, model = min(chatting.items(), key=lambda one: (_distance(one[1], specialisation.use_cases, size), one[0]))
    use = next((use for use in specialisation.use_cases if use in _use_cases(model)), None)
    why = f"the catalogue names it for {use}" if use else "nothing in the fleet is made for it, and this chats"
    if len(chatting) == 1:
        why = "it is the only model of the fleet that chats"
    reason = f"{wanted} is not in the fleet; {name} ({model.model}) stands in: {why}"
    return ModelChoice(name, model.model, wanted, reason, model.context_length)


def _distance(model: ModelEndpoints, uses: Sequence[str], size: int) -> tuple[int, float]:
    """How far a model is from what is meant: in use, then in size (the ratio of the parameters, as a logarithm)."""
    known = _use_cases(model)
    use = next((rank for rank, use in enumerate(uses) if use in known), len(uses))
    entry = _entry(model)
    return use, abs(math.log(entry.parameters.total / size)) if entry else math.inf


def _use_cases(model: ModelEndpoints) -> tuple[str, ...]:
    entry = _entry(model)
    if entry is not None:
        return entry.use_cases
    return tuple(use for use in ("code", "math") if use in model.capabilities)


def _entry(model: ModelEndpoints) -> CatalogueModel | None:
    try:
        return load_catalogue().get(model.model)
    except UnknownModelError:
        return None
