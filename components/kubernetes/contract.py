"""The contract of a fleet on a cluster. All that it tells of the cluster is known before anything is made:
names are addresses here."""

from __future__ import annotations

from collections.abc import Iterator

from components.contract import contract_of
from components.kubernetes.manifests.engines import ENGINES
from components.kubernetes.manifests.meta import ROUTER, WEB_UI
from components.kubernetes.model import KubernetesModel, KubernetesPlan
from fleet_spec.contract import Endpoint, FleetContract, ModelEndpoints, RouterAddresses, WebUi


def build_contract(plan: KubernetesPlan, other: FleetContract | None = None) -> FleetContract:
    """The contract, with addresses inside the cluster and, where there is a way in, outside it.

    Args:
        plan: The fleet, decided.
        other: The contract of the stack that is the cloud tier, where one is.

    Raises:
        SpecError: that stack does not serve what the config asks of it, or its contract is needed and not there.
    """
    spec = plan.spec
    models = {name: entry for model in plan.models for name, entry in _entries(plan, model)}
    outside = spec.ingress if spec.ingress.enabled else None
    web_ui = None
    if spec.web_ui.enabled:
        host = outside.web_ui_host if outside is not None else None
        web_ui = WebUi(url=f"http://{plan.service_host(WEB_UI)}", external_url=_https(host))
    return contract_of(
        spec,
        plan.stack,
        models=models,
        router=RouterAddresses.at(
            f"http://{plan.service_host(ROUTER)}", _https(outside.host if outside is not None else None)
        ),
        web_ui=web_ui,
        other=other,
        open_metrics=spec.monitoring.enabled and spec.monitoring.open_metrics,
    )


def _https(host: str | None) -> str | None:
    return None if host is None else f"https://{host}"


def _entries(plan: KubernetesPlan, model: KubernetesModel) -> Iterator[tuple[str, ModelEndpoints]]:
    """A model and its adapters, which vLLM knows by their names."""
    entry = _model(plan, model)
    yield model.name, entry
    for adapter in model.adapters:
        yield adapter, entry.model_copy(update={"model": adapter, "adapter_of": model.name})


def _model(plan: KubernetesPlan, model: KubernetesModel) -> ModelEndpoints:
    # One name for all replicas: the headless Service's, which has the address of each one that is ready.
    url = f"http://{plan.service_host(model.endpoints_service)}:{ENGINES[model.engine].port}"
    return ModelEndpoints(
        model=model.served_name,
        engine=model.engine,
        tier="local",
        context_length=model.context_length,
        parallel=model.parallel,
        capabilities=model.capabilities,
        endpoints=(Endpoint(url=url, discover=True),),
        sleeps=model.replicas.sleeps,
        usd_per_hour=model.usd_per_hour,
    )
