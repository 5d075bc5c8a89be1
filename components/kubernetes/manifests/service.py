"""How a model is reached: one stable address, and a name that has the address of every ready replica."""

from __future__ import annotations

from components.kubernetes.manifests.engines import ENGINES
from components.kubernetes.manifests.meta import SKIP_AWAIT, Manifest, manifest, model_labels, workload_selector
from components.kubernetes.model import KubernetesModel, KubernetesPlan


def service(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """The Service on port 80, for people and for whatever does without the router."""
    port = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    return _service(plan, model, model.safe_name, {"type": "ClusterIP", "ports": [port]})


def endpoints_service(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """The headless Service, through which the router finds every replica."""
    port = {"name": "http", "port": ENGINES[model.engine].port, "targetPort": "http", "protocol": "TCP"}
    return _service(plan, model, model.endpoints_service, {"clusterIP": "None", "ports": [port]})


def _service(plan: KubernetesPlan, model: KubernetesModel, name: str, spec: dict[str, object]) -> Manifest:
    # The selector names the generation: a change of source makes new pods beside the old, and the Service on port 80
    # turns from these to those in one step, when the new ones are ready.
    return manifest(
        "v1",
        "Service",
        name,
        {"spec": {**spec, "selector": workload_selector(model)}},
        labels=model_labels(plan, model),
        namespace=plan.namespace,
        annotations=SKIP_AWAIT if model.replicas.sleeps else None,
    )
