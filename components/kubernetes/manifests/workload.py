"""A model's Deployment or StatefulSet, and the Job that fills a shared store."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests import pods
from components.kubernetes.manifests.drain import grace_seconds, pre_stop
from components.kubernetes.manifests.engines import ENGINES
from components.kubernetes.manifests.engines.engine import STORE, Loading
from components.kubernetes.manifests.meta import (
    INSTANCE,
    REPLACE_UNREADY,
    Manifest,
    manifest,
    model_labels,
    part_labels,
    part_selector,
    workload_selector,
)
from components.kubernetes.manifests.storage import WEIGHTS, claim_template, pod_volume
from components.kubernetes.model import KubernetesModel, KubernetesPlan

LOADER = "loader"
CLAIM = "gpu"
_LOADER_RESOURCES = {
    "requests": {"cpu": "500m", "memory": "1Gi"},
    "limits": {"cpu": "2", "memory": "4Gi"},
}
"""Fetching takes network and disk. It ends before the server starts, so this adds nothing to what the pod takes."""


def workload(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """What runs a model's replicas. It names their number only where nothing else decides it."""
    spec: dict[str, Any] = {
        "selector": {"matchLabels": workload_selector(model)},
        "template": _pod_template(plan, model),
        "revisionHistoryLimit": 3,
    }
    if model.replicas.fixed is not None:
        spec["replicas"] = model.replicas.fixed
    if model.workload_kind == "StatefulSet":
        spec |= {
            "serviceName": model.endpoints_service,
            # Replicas have nothing to do with each other: none waits for another.
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "volumeClaimTemplates": [claim_template(plan, model)],
            # A replica that comes back finds its weights; those of a fleet that is gone can be fetched again.
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
        }
    else:
        rolling = {"maxSurge": 1, "maxUnavailable": 0} if model.surge else {"maxSurge": 0, "maxUnavailable": 1}
        spec |= {
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "progressDeadlineSeconds": plan.spec.kubernetes.load_timeout_seconds + 300,
        }
    return manifest(
        "apps/v1",
        model.workload_kind,
        model.workload,
        {"spec": spec},
        labels=model_labels(plan, model),
        namespace=plan.namespace,
    )


def _pod_template(plan: KubernetesPlan, model: KubernetesModel) -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": model_labels(plan, model)}
    annotations = {"kubectl.kubernetes.io/default-container": "server", **_scraping(plan, model), **model.annotations}
    metadata["annotations"] = annotations
    drain_seconds = plan.spec.kubernetes.drain_seconds
    spec: dict[str, Any] = {
        **pods.base_pod(),
        **pods.placement(model.placement, workload_selector(model)),
        **pods.classes(model),
        "terminationGracePeriodSeconds": grace_seconds(drain_seconds),
        "initContainers": _init_containers(plan, model),
        "containers": [_server(plan, model, drain_seconds)],
        "volumes": [*pod_volume(plan, model), *pods.scratch_volumes(), *_shared_memory_volume(model)],
    }
    if not spec["initContainers"]:
        del spec["initContainers"]
    if model.gpu is not None and model.gpu.device_class is not None:
        spec["resourceClaims"] = [{"name": CLAIM, "resourceClaimTemplateName": claim_template_name(model)}]
    return {"metadata": metadata, "spec": spec}


def _scraping(plan: KubernetesPlan, model: KubernetesModel) -> dict[str, str]:
    engine = ENGINES[model.engine]
    monitoring = plan.spec.monitoring
    if not (monitoring.enabled and not monitoring.operator and engine.serves_metrics):
        return {}
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(engine.port),
        "prometheus.io/path": "/metrics",
    }


def _server(plan: KubernetesPlan, model: KubernetesModel, drain_seconds: int) -> dict[str, Any]:
    engine = ENGINES[model.engine]
    resources: dict[str, Any] = {"requests": dict(model.requests), "limits": dict(model.limits)}
    if model.gpu is not None and model.gpu.resource is not None:
        # Extended resources cannot be overcommitted: both sides are the same.
        resources["requests"][model.gpu.resource] = str(model.gpu.count)
        resources["limits"][model.gpu.resource] = str(model.gpu.count)
    elif model.gpu is not None:
        resources["claims"] = [{"name": CLAIM}]
    return {
        "name": "server",
        "image": model.image,
        "imagePullPolicy": "IfNotPresent",
        "command": engine.command(model),
        "env": pods.environment({**engine.environment(plan, model), **model.environment}),
        "ports": [{"name": "http", "containerPort": engine.port, "protocol": "TCP"}],
        "resources": resources,
        "volumeMounts": [*_mounts(model), *_shared_memory_mount(model)],
        "securityContext": dict(pods.CONTAINER_SECURITY),
        "lifecycle": pre_stop(engine.port, drain_seconds),
        **engine.probes(model, plan.spec.kubernetes.load_timeout_seconds),
    }


def _mounts(model: KubernetesModel) -> list[dict[str, Any]]:
    weights: dict[str, Any] = {"name": WEIGHTS, "mountPath": STORE}
    if model.storage.mode == "image":
        weights["readOnly"] = True
    return [weights, *pods.scratch_mounts()]


def _init_containers(plan: KubernetesPlan, model: KubernetesModel) -> list[dict[str, Any]]:
    engine = ENGINES[model.engine]
    if model.storage.mode == "image":
        return []
    if model.storage.mode == "shared":
        return [_loader(model, "wait-for-weights", engine.waiting(plan, model))]
    return [_loader(model, "load-weights", engine.loading(plan, model))]


def _loader(model: KubernetesModel, name: str, loading: Loading) -> dict[str, Any]:
    return {
        "name": name,
        "image": model.image,
        "imagePullPolicy": "IfNotPresent",
        "command": loading.command,
        "env": pods.environment(loading.environment),
        "resources": {side: dict(amounts) for side, amounts in _LOADER_RESOURCES.items()},
        "volumeMounts": _mounts(model),
        "securityContext": dict(pods.CONTAINER_SECURITY),
    }


def _shared_memory_volume(model: KubernetesModel) -> list[dict[str, Any]]:
    if model.engine != "vllm":
        return []
    return [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": model.vllm.shared_memory}}]


def _shared_memory_mount(model: KubernetesModel) -> list[dict[str, Any]]:
    return [{"name": "shm", "mountPath": "/dev/shm"}] if model.engine == "vllm" else []  # noqa: S108


def loader_selector(model: KubernetesModel) -> dict[str, str]:
    """What selects the pods of a model's load Job."""
    return {**part_selector(LOADER), INSTANCE: model.safe_name}


def load_job(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """The Job that fetches a model's weights into the store that its replicas share."""
    labels = {**part_labels(plan, LOADER), **loader_selector(model)}
    where = {key: value for key, value in pods.placement(model.placement, labels).items() if key == "tolerations"}
    pod = {
        **pods.base_pod(),
        **where,
        "restartPolicy": "OnFailure",
        "containers": [_loader(model, "load-weights", ENGINES[model.engine].loading(plan, model))],
        "volumes": [*pod_volume(plan, model), *pods.scratch_volumes()],
    }
    spec = {
        "backoffLimit": 6,
        "activeDeadlineSeconds": plan.spec.kubernetes.load_timeout_seconds,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return manifest(
        "batch/v1",
        "Job",
        f"{model.workload}-load",
        {"spec": spec},
        labels=labels,
        namespace=plan.namespace,
        annotations=REPLACE_UNREADY,
    )


def claim_template_name(model: KubernetesModel) -> str:
    """The name of the template for the replicas' GPU claims."""
    return f"{model.workload}-{CLAIM}"


def gpu_claim_template(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """What each replica claims under dynamic resource allocation."""
    assert model.gpu is not None, "only models with GPUs claim them"  # noqa: S101
    exactly = {
        "deviceClassName": model.gpu.device_class,
        "allocationMode": "ExactCount",
        "count": model.gpu.count,
    }
    devices = {"requests": [{"name": CLAIM, "exactly": exactly}]}
    return manifest(
        "resource.k8s.io/v1",
        "ResourceClaimTemplate",
        claim_template_name(model),
        {"spec": {"spec": {"devices": devices}}},
        labels=model_labels(plan, model),
        namespace=plan.namespace,
    )
