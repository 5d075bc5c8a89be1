"""``paddock:keys:RandomKey``: a key that is made once, and exists nowhere but in the state."""

from __future__ import annotations

from collections.abc import Mapping

from components.local.provider.fields import Field, changed_fields, check_fields, unknown_outputs
from components.local.provider.resource import Change, Failure, Properties, Session
from fleet_spec.keys import new_key

FIELDS = {"generation": Field("integer", default=1, minimum=1, replaces=True)}


class RandomKeyType:
    """Makes a key, and leaves it alone after that."""

    def check(self, given: Properties, old_inputs: Properties) -> tuple[Properties, list[Failure]]:  # noqa: ARG002
        """See :meth:`ResourceType.check`."""
        return check_fields(FIELDS, given)

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:
        """See :meth:`ResourceType.preview`."""
        return {**inputs, **unknown_outputs("key")} if state is None else {**state, **inputs}

    def diff(self, state: Properties, old_inputs: Properties, inputs: Properties) -> Mapping[str, Change]:  # noqa: ARG002
        """See :meth:`ResourceType.diff`."""
        return changed_fields(FIELDS, old_inputs, inputs)

    def create(self, inputs: Properties, session: Session) -> tuple[str, Properties]:  # noqa: ARG002
        """See :meth:`ResourceType.create`. The id says nothing of the key, since ids are kept in plain text."""
        return f"generation-{inputs['generation']}", {**inputs, "key": new_key()}

    def read(self, resource_id: str, state: Properties, session: Session) -> Properties | None:  # noqa: ARG002
        """See :meth:`ResourceType.read`. There is nothing to look at but the state."""
        return state

    def update(self, resource_id: str, state: Properties, inputs: Properties, session: Session) -> Properties:  # noqa: ARG002
        """See :meth:`ResourceType.update`. Whatever means another key replaces the resource."""
        return {**state, **inputs}

    def delete(self, resource_id: str, state: Properties, session: Session) -> None:
        """See :meth:`ResourceType.delete`. The key goes with the state."""
