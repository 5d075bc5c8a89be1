"""A key that is made once and kept: the resource as a program writes it. The provider plugin makes the key."""

from __future__ import annotations

import pulumi


class RandomKey(pulumi.CustomResource):
    """256 random bits as text, in the form that :mod:`fleet_spec.keys` tells. Stays the same over updates.

    The key is a secret from the moment it is made: encrypted in the state, and shown nowhere.
    """

    def __init__(
        self, resource_name: str, *, generation: pulumi.Input[int] = 1, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Describe the key.

        Args:
            resource_name: The resource's name.
            generation: Any number from 1. Another one means another key.
            opts: Options of the resource.
        """
        hidden = pulumi.ResourceOptions(additional_secret_outputs=["key"])
        super().__init__(
            "paddock:keys:RandomKey",
            resource_name,
            {"generation": generation, "key": None},
            pulumi.ResourceOptions.merge(opts, hidden),
        )

    @property
    def key(self) -> pulumi.Output[str]:
        """The key, known once it was made."""
        return pulumi.Output.secret(self.__dict__["key"])
