"""The Kubernetes target: every part of a fleet in a namespace of a cluster that exists."""

from __future__ import annotations

from pathlib import Path

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
from components.router_image import RouterImage
from components.tier_sources import ROUTER_KEY, plainly, read_tiers
from fleet_spec.contract import FleetContract
from fleet_spec.spec import FleetSpec


class KubernetesFleet(pulumi.ComponentResource):
    """A fleet on a cluster.

    Attributes:
        contract: The fleet's contract, known once the router answers.
        secrets: Its keys by name, secret; those of Secrets of the user's own are not among them.
    """

    contract: pulumi.Output[FleetContract]
    secrets: pulumi.Output[dict[str, str]]

    def __init__(
        self,
        name: str,
        *,
        spec: FleetSpec,
        stack: str,
        project: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the fleet.

        Args:
            name: The resource's name.
            spec: What to build.
            stack: The stack's name, which the contract and every object's labels carry.
            project: The project's directory, from which the router's image is built where the config has it so.
            opts: Options of the component.

        Raises:
            SpecError: with everything that keeps the fleet from the cluster.
            BadInputError: a package that the config makes necessary is not installed.
        """
        super().__init__("paddock:kubernetes:KubernetesFleet", name, None, opts)
        plan = plan_fleet(spec, stack, spec.catalogue)
        provider = cluster_provider(f"{name}-cluster", self)

        def child() -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, providers=[provider])

        tiers = read_tiers(spec.tiers, self)
        namespace = Namespace("namespace", plan=plan, tier_keys=tiers.keys, opts=child())
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
        contract = pulumi.Output.from_input(tiers.other).apply(plainly(lambda other: build_contract(plan, other)))
        build = spec.router.build
        below = pulumi.ResourceOptions(parent=self)
        image = RouterImage("router-image", build=build, project=project, opts=below) if build is not None else None
        router = Router(
            "router",
            plan=plan,
            contract_text=contract.apply(FleetContract.to_json),
            image=image.reference if image is not None else None,
            depends_on=[*namespace.ready, *valkey.ready, *(one for model in models for one in model.ready)],
            opts=child(),
        )
        web_ui = WebUi("web-ui", plan=plan, depends_on=router.ready, opts=child())
        Ingress("ingress", plan=plan, depends_on=[*router.ready, *web_ui.ready], opts=child())
        # The contract is worth exporting only once the router answers.
        self.contract = pulumi.Output.all(contract, *(one.urn for one in router.ready)).apply(lambda found: found[0])
        key = namespace.router_key
        made = pulumi.Output.from_input(key).apply(lambda found: {} if found is None else {ROUTER_KEY: found})
        self.secrets = pulumi.Output.secret(made)
        self.register_outputs({"namespace": plan.namespace})
