"""What a resource type of the provider has to say: the words its methods use with the servicer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from fleet_spec.errors import PaddockError

Properties = dict[str, Any]
"""Inputs or outputs by their names in the engine, which are camelCase."""


@dataclass(frozen=True)
class Failure:
    """One input that cannot be used."""

    property_name: str
    reason: str


@dataclass(frozen=True)
class Change:
    """One property that differs."""

    kind: Literal["update", "replace"]
    of_input: bool
    """False where it is an output: something that happened on the machine."""


class PartialFailureError(PaddockError):
    """The resource is there and does not work. The engine keeps ``outputs`` and updates it the next time."""

    def __init__(self, message: str, *, resource_id: str, outputs: Properties) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.outputs = outputs


@dataclass(frozen=True)
class Session:
    """What a resource may use while it works."""

    status: Callable[[str], None] = lambda _: None
    """Shows a passing message beside the resource, such as progress."""
    warn: Callable[[str], None] = lambda _: None
    """Shows a warning that stays."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the person asked to stop: give up soon, leave nothing half done."""


class ResourceType(Protocol):
    """One type of resource. Inputs given to every method but ``check`` have passed ``check``."""

    def check(self, given: Properties, old_inputs: Properties) -> tuple[Properties, list[Failure]]:
        """Check inputs and fill in defaults; touch nothing.

        Args:
            given: As the program wrote them; values may be unknown.
            old_inputs: Those of the last update, or nothing.
        """
        ...

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:
        """The outputs that creating (no ``state``) or updating would have, unknown where only doing it tells."""
        ...

    def diff(self, state: Properties, old_inputs: Properties, inputs: Properties) -> Mapping[str, Change]:
        """What differs between the last update, the machine and ``inputs``; nothing means leave it alone."""
        ...

    def create(self, inputs: Properties, session: Session) -> tuple[str, Properties]:
        """Make it. Returns its id and its outputs."""
        ...

    def read(self, resource_id: str, state: Properties, session: Session) -> Properties | None:
        """Look again. Returns its outputs, or None where it is gone."""
        ...

    def update(self, resource_id: str, state: Properties, inputs: Properties, session: Session) -> Properties:
        """Change it in place. Returns its outputs."""
        ...

    def delete(self, resource_id: str, state: Properties, session: Session) -> None:
        """Take it away; succeed where it is gone already."""
        ...
