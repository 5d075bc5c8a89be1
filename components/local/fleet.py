"""The local target: one service per model, and the router, on the machine that runs the program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pulumi

from components.contract import contract_of
from components.local.adapters import adapter_entries, adapter_scales
from components.local.model_service import ModelService
from components.local.paths import stack_directory
from components.local.plan import LocalModel, gather_facts, plan_fleet
from components.local.router import Router, router_url
from components.local.web_ui import WebUi, require_installed, web_ui_address
from components.tier_sources import ROUTER_KEY, plainly, read_tiers
from fleet_spec.contract import Endpoint, FleetContract, ModelEndpoints, RouterAddresses
from fleet_spec.spec import FleetSpec

LOCAL_USD_PER_HOUR = 0.50
"""What one replica of the local tier is reckoned to cost where the config names no figure, in US dollars."""


def build_contract(
    spec: FleetSpec,
    stack: str,
    models: list[LocalModel],
    urls: Mapping[str, list[str]],
    other: FleetContract | None = None,
) -> FleetContract:
    """The contract of a fleet.

    Args:
        spec: The stack's config.
        stack: The stack's name.
        models: The fleet's models, decided.
        urls: The base addresses of each model's replicas, by the model's name.
        other: The contract of the stack that is the cloud tier, where one is.

    Raises:
        SpecError: that stack does not serve what the config asks of it.
    """
    served: dict[str, ModelEndpoints] = {}
    for model in models:
        entry = ModelEndpoints(
            model=model.served_name,
            engine=model.engine,
            tier="local",
            context_length=model.context_length,
            parallel=model.spec.parallel,
            capabilities=model.capabilities,
            stop=model.prompting.stop if model.prompting is not None else None,
            endpoints=tuple(Endpoint(url=url) for url in urls[model.name]),
            usd_per_hour=LOCAL_USD_PER_HOUR if model.spec.usd_per_hour is None else model.spec.usd_per_hour,
            lora=adapter_scales(model.adapters) if model.engine == "llamacpp" else (),
        )
        served[model.name] = entry
        served.update(adapter_entries(model.name, entry, model.adapters))
    return contract_of(
        spec,
        stack,
        models=served,
        router=RouterAddresses.at(router_url(spec.router)),
        web_ui=web_ui_address(spec),
        other=other,
    )


class LocalFleet(pulumi.ComponentResource):
    """A fleet of processes.

    Attributes:
        contract: The fleet's contract, known once every replica has answered.
        secrets: Its keys by name, secret.
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
        """Describe the fleet; the arguments are those of :class:`components.fleet.Fleet`."""
        super().__init__("paddock:local:LocalFleet", name, None, opts)
        catalogue = spec.catalogue
        models = plan_fleet(spec, gather_facts(catalogue), catalogue, project)
        if spec.web_ui.enabled and not pulumi.runtime.is_dry_run():
            require_installed()
        directory = stack_directory(project, stack)
        services = {
            model.name: ModelService(
                model.safe_name, model=model, directory=directory, opts=pulumi.ResourceOptions(parent=self)
            )
            for model in models
        }
        urls = pulumi.Output.all(**{model: service.urls for model, service in services.items()})
        tiers = read_tiers(spec.tiers, self)
        contract = pulumi.Output.all(urls, tiers.other).apply(
            plainly(lambda found: build_contract(spec, stack, models, found[0], found[1]))
        )
        router = Router(
            "router",
            router=spec.router,
            contract_text=contract.apply(FleetContract.to_json),
            tier_keys=tiers.keys,
            directory=directory,
            opts=pulumi.ResourceOptions(parent=self),
        )
        answering = [router.url]
        if spec.web_ui.enabled:
            page = WebUi(
                "web-ui",
                spec=spec,
                embedding_model=next((model.name for model in models if "embedding" in model.capabilities), None),
                directory=directory,
                depends_on=[router],
                opts=pulumi.ResourceOptions(parent=self),
            )
            answering.append(page.url)
        # The contract is worth exporting only once the router answers, and the page where there is one.
        self.contract = pulumi.Output.all(contract, *answering).apply(lambda found: found[0])
        self.secrets = pulumi.Output.secret(router.key.apply(lambda key: {ROUTER_KEY: key}))
        self.register_outputs({"routerUrl": router.url})
