"""The Kubernetes target: every part of a fleet in a namespace of a cluster that exists."""

from __future__ import annotations

import pulumi

from components.kubernetes.contract import build_contract
from components.kubernetes.gpu_pools import GpuPools
from components.kubernetes.ingress import Ingress
from components.kubernetes.model_service import ModelService
from components.kubernetes.monitoring import Monitoring
from components.kubernetes.namespace import Namespace
from components.kubernetes.plan import plan_fleet
from components.kubernetes.provider import cluster_provider
from components.kubernetes.router import Router
from components.kubernetes.valkey import Valkey
from components.kubernetes.web_ui import WebUi
from fleet_spec.catalogue import load_catalogue
from fleet_spec.contract import FleetContract
from fleet_spec.spec import FleetSpec


class KubernetesFleet(pulumi.ComponentResource):
    """A fleet on a cluster.

    Attributes:
        contract: The fleet's contract, known once the router answers.
    """

    contract: pulumi.Output[FleetContract]

    def __init__(
        self,
        name: str,
        *,
        spec: FleetSpec,
        stack: str,
        router_image: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the fleet.

        Args:
            name: The resource's name.
            spec: What to build.
            stack: The stack's name, which the contract and every object's labels carry.
            router_image: In place of the config's, where the stack builds one.
            opts: Options of the component.

        Raises:
            SpecError: with everything that keeps the fleet from the cluster.
        """
        super().__init__("paddock:kubernetes:KubernetesFleet", name, None, opts)
        plan = plan_fleet(spec, stack, load_catalogue())
        provider = cluster_provider(f"{name}-cluster", self)

        def child() -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, providers=[provider])

        namespace = Namespace("namespace", plan=plan, opts=child())
        pools = GpuPools("gpu-pools", plan=plan, opts=child())
        Monitoring("monitoring", plan=plan, depends_on=namespace.ready, opts=child())
        valkey = Valkey("valkey", plan=plan, depends_on=namespace.ready, opts=child())
        models = [
            ModelService(
                model.safe_name,
                plan=plan,
                model=model,
                depends_on=[*namespace.ready, *pools.ready],
                opts=child(),
            )
            for model in plan.models
        ]
        contract = build_contract(plan)
        router = Router(
            "router",
            plan=plan,
            contract_text=contract.to_json(),
            image=router_image,
            depends_on=[*namespace.ready, *valkey.ready, *(one for model in models for one in model.ready)],
            opts=child(),
        )
        web_ui = WebUi("web-ui", plan=plan, depends_on=router.ready, opts=child())
        Ingress("ingress", plan=plan, depends_on=[*router.ready, *web_ui.ready], opts=child())
        # The contract is worth exporting only once the router answers.
        self.contract = pulumi.Output.all(*(one.urn for one in router.ready)).apply(lambda _: contract)
        self.register_outputs({"namespace": plan.namespace})
