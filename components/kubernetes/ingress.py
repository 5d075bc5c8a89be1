"""The way in from outside."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import ingress_stages
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages


class Ingress(pulumi.ComponentResource):
    """What leads in from outside."""

    def __init__(
        self,
        name: str,
        *,
        plan: KubernetesPlan,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the way in of a plan, to be made after ``depends_on``."""
        super().__init__("paddock:kubernetes:Ingress", name, None, opts)
        register_stages(self, name, ingress_stages(plan), depends_on=depends_on)
        self.register_outputs({"host": plan.spec.ingress.host})
