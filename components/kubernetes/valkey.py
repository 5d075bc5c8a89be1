"""A Valkey of the fleet's own."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import valkey_stages
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages


class Valkey(pulumi.ComponentResource):
    """What the router's replicas share.

    Attributes:
        ready: What is there when it answers.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        *,
        plan: KubernetesPlan,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the Valkey of a plan, to be made after ``depends_on``."""
        super().__init__("paddock:kubernetes:Valkey", name, None, opts)
        self.ready = register_stages(self, name, valkey_stages(plan), depends_on=depends_on)
        self.register_outputs({"mode": plan.spec.valkey.mode})
