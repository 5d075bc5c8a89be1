"""The contract of a fleet on a Docker host. Names are addresses here, so all of it is known before anything is made."""

from __future__ import annotations

from components.contract import contract_of
from components.docker.model import DockerModel, DockerPlan, WeightsFile
from fleet_spec.contract import Endpoint, FleetContract, ModelEndpoints, RouterAddresses, WebUi

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is published everywhere answers here too


def build_contract(plan: DockerPlan, other: FleetContract | None = None) -> FleetContract:
    """The contract: model servers by their names in the fleet's network, router and web UI by the host's ports.

    Args:
        plan: The fleet, decided.
        other: The contract of the stack that is the cloud tier, where one is.

    Raises:
        SpecError: that stack does not serve what the config asks of it, or its contract is needed and not there.
    """
    spec = plan.spec
    models = {model.name: _model(model) for model in plan.models}
    return contract_of(
        spec,
        plan.stack,
        models=models,
        router=RouterAddresses.at(host_url(spec.router.host, spec.router.port)),
        web_ui=WebUi(url=host_url(spec.router.host, spec.web_ui.port)) if spec.web_ui.enabled else None,
        other=other,
    )


def host_url(host: str, port: int) -> str:
    """Where a published port answers the host itself."""
    near = _EVERYWHERE.get(host, host)
    return f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"


def _model(model: DockerModel) -> ModelEndpoints:
    prompting = model.source.prompting if isinstance(model.source, WeightsFile) else None
    return ModelEndpoints(
        model=model.served_name,
        engine=model.engine,
        tier="local",
        context_length=model.context_length,
        parallel=model.parallel,
        capabilities=model.capabilities,
        stop=prompting.stop if prompting is not None else None,
        endpoints=tuple(Endpoint(url=model.url(replica)) for replica in range(len(model.gpus))),
        usd_per_hour=model.spec.usd_per_hour,
    )
