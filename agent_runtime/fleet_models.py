"""The models of a fleet as an application asks for them: by name, by what they can do, by what they are good for."""

from __future__ import annotations

from dataclasses import dataclass

from fleet_spec.contract import FleetContract, ModelEndpoints
from fleet_spec.errors import BadInputError


class NoSuchModelError(BadInputError):
    """The fleet serves nothing that meets what was asked for."""


@dataclass(frozen=True)
class FleetModel:
    """A model of the fleet."""

    name: str
    """What to ask the router for: the model's name in the fleet, or an alias."""
    model: str
    """Its name in the catalogue, such as ``llama3.1:8b``."""
    engine: str
    context_length: int
    """Tokens, prompt and reply together."""
    capabilities: tuple[str, ...]


def named(contract: FleetContract, name: str) -> FleetModel:
    """The model of that name: of the fleet, an alias, or the catalogue's name of one that the fleet has.

    Raises:
        NoSuchModelError: there is none.
    """
    if name in contract.models:
        return _fleet_model(name, contract.models[name])
    if name in contract.aliases:
        arms = [contract.models[arm] for arm in contract.aliases[name]]
        # Any arm may answer: what is said of the alias has to hold for each.
        shared = tuple(c for c in arms[0].capabilities if all(c in arm.capabilities for arm in arms))
        shortest = min(arm.context_length for arm in arms)
        return FleetModel(name, arms[0].model, arms[0].engine, shortest, shared)
    for key, model in contract.models.items():
        if model.model == name:
            return _fleet_model(key, model)
    known = ", ".join([*contract.models, *contract.aliases]) or "nothing"
    raise NoSuchModelError(f"the fleet of stack {contract.stack!r} has no model {name!r}. fix: one of {known}")


def _fleet_model(name: str, model: ModelEndpoints) -> FleetModel:
    return FleetModel(name, model.model, model.engine, model.context_length, model.capabilities)


def candidates(contract: FleetContract, capability: str | None, use_case: str | None) -> list[FleetModel]:
    """The fleet's models that meet every condition, the one with the most parameters first.

    Raises:
        NoSuchModelError: there is none.
        BadInputError: the catalogue knows no such use case.
    """
    from fleet_spec.catalogue import UnknownModelError, load_catalogue

    catalogue = load_catalogue()
    suited = {entry.name for entry in catalogue.find(use_case=use_case)} if use_case else None

    def entry_of(model: ModelEndpoints) -> tuple[str, int]:
        try:
            entry = catalogue.get(model.model)
        except UnknownModelError:
            return "", 0
        return entry.name, entry.parameters.total

    found = [
        (entry_of(model)[1], _fleet_model(name, model))
        for name, model in contract.models.items()
        if (capability is None or capability in model.capabilities) and (suited is None or entry_of(model)[0] in suited)
    ]
    if not found:
        wanted = " and ".join(
            f"{what} {value!r}" for what, value in (("capability", capability), ("use case", use_case)) if value
        )
        held = "; ".join(f"{key} ({m.model}): {', '.join(m.capabilities)}" for key, m in contract.models.items())
        raise NoSuchModelError(
            f"the fleet of stack {contract.stack!r} has no model of {wanted}. It has: {held or 'none'}. "
            "fix: add one to the stack's models and run `paddock up`"
        )
    return [model for _, model in sorted(found, key=lambda one: -one[0])]
