"""The router on a cluster: the contract in a ConfigMap, the replicas that follow it, their address."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import router_stages
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages


class Router(pulumi.ComponentResource):
    """Runs the router.

    Attributes:
        ready: What is there when every replica of the router answers by the contract.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        *,
        plan: KubernetesPlan,
        contract_text: pulumi.Input[str],
        image: pulumi.Input[str] | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the router.

        Args:
            name: The resource's name; children take theirs from it.
            plan: The fleet that it stands in front of.
            contract_text: The fleet's contract as JSON. A change of it reaches the replicas without a restart.
            image: In place of the config's, where the stack builds one.
            depends_on: What must be there first: the models and Valkey.
            opts: Options of the component.
        """
        super().__init__("paddock:kubernetes:Router", name, None, opts)
        stages = router_stages(plan, contract_text, image)
        first = max(1, plan.spec.router.replicas.min)
        self.ready = register_stages(self, name, stages, depends_on=depends_on, first_replicas=first)
        self.register_outputs({"service": name})
