"""What moves a model's replicas: an HPA on the router's count of requests and on the GPUs' load, or KEDA."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.meta import ROUTER, Manifest, manifest, model_labels, part_labels
from components.kubernetes.model import KubernetesModel, KubernetesPlan
from fleet_spec.kubernetes_spec import AutoscalingSpec

ACTIVE_REQUESTS = "ollama_active_requests"
"""Requests in flight and waiting, from the router; through the adapter a metric of the model's Service."""
GPU_UTILIZATION = "gpu_utilization_percent"
"""Through the adapter a metric of the pods, made from what DCGM reports."""


def scaler(plan: KubernetesPlan, model: KubernetesModel) -> Manifest | None:
    """The one owner of a model's replicas; None where their number is fixed."""
    scaling = model.replicas.scaling
    if scaling is None:
        return None
    return _hpa(plan, model, scaling) if scaling.kind == "hpa" else _scaled_object(plan, model, scaling)


def watches_gpus(model: KubernetesModel, scaling: AutoscalingSpec) -> bool:
    """Whether the GPUs' load counts: DCGM reports it for whole NVIDIA GPUs, and pods that sleep have none."""
    return (
        scaling.target_gpu_utilization is not None
        and model.gpu is not None
        and model.gpu.vendor == "nvidia"
        and model.gpu.whole
        and not (scaling.scale_to_zero and scaling.kind == "hpa")
    )


def _target(model: KubernetesModel) -> dict[str, str]:
    return {"apiVersion": "apps/v1", "kind": model.workload_kind, "name": model.workload}


def _behavior(scaling: AutoscalingSpec) -> dict[str, Any]:
    """Up at once and by doubling, since a queue grows while a replica loads; down slowly, one by one."""
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 60},
                {"type": "Pods", "value": 2, "periodSeconds": 60},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": scaling.scale_down_stabilization_seconds,
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        },
    }


def _least(model: KubernetesModel, scaling: AutoscalingSpec) -> int:
    if scaling.scale_to_zero:
        return 0
    return max(1, model.replicas.min)


def _hpa(plan: KubernetesPlan, model: KubernetesModel, scaling: AutoscalingSpec) -> Manifest:
    metrics: list[dict[str, Any]] = [
        {
            "type": "Object",
            "object": {
                "describedObject": {"apiVersion": "v1", "kind": "Service", "name": model.safe_name},
                "metric": {"name": ACTIVE_REQUESTS},
                "target": {"type": "AverageValue", "averageValue": str(scaling.target_active_requests)},
            },
        }
    ]
    if watches_gpus(model, scaling):
        value = {"type": "AverageValue", "averageValue": str(scaling.target_gpu_utilization)}
        metrics.append({"type": "Pods", "pods": {"metric": {"name": GPU_UTILIZATION}, "target": value}})
    spec = {
        "scaleTargetRef": _target(model),
        "minReplicas": _least(model, scaling),
        "maxReplicas": model.replicas.max,
        "metrics": metrics,
        "behavior": _behavior(scaling),
    }
    return manifest(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        model.workload,
        {"spec": spec},
        labels=model_labels(plan, model),
        namespace=plan.namespace,
    )


def _scaled_object(plan: KubernetesPlan, model: KubernetesModel, scaling: AutoscalingSpec) -> Manifest:
    address = plan.spec.monitoring.prometheus_url
    name = model.name.replace("\\", "\\\\").replace('"', '\\"')
    requests = f'sum({ACTIVE_REQUESTS}{{namespace="{plan.namespace}",model="{name}"}})'
    triggers: list[dict[str, Any]] = [
        {
            "type": "prometheus",
            "name": "requests",
            "metricType": "AverageValue",
            "metadata": {
                "serverAddress": address,
                "query": requests,
                "threshold": str(scaling.target_active_requests),
                # One request wakes a model that sleeps.
                "activationThreshold": "0",
            },
        }
    ]
    if watches_gpus(model, scaling):
        pods = f"{model.workload}-.*"
        load = f'avg(DCGM_FI_DEV_GPU_UTIL{{exported_namespace="{plan.namespace}",exported_pod=~"{pods}"}})'
        here = f'avg(DCGM_FI_DEV_GPU_UTIL{{namespace="{plan.namespace}",pod=~"{pods}"}})'
        triggers.append(
            {
                "type": "prometheus",
                "name": "gpu",
                "metricType": "Value",
                "metadata": {
                    "serverAddress": address,
                    "query": f"{load} or {here}",
                    "threshold": str(scaling.target_gpu_utilization),
                    # The load of a GPU that nobody uses says nothing: it never wakes a model.
                    "activationThreshold": "100",
                    "ignoreNullValues": "true",
                },
            }
        )
    target = _target(model)
    spec: dict[str, Any] = {
        "scaleTargetRef": target,
        "pollingInterval": scaling.polling_interval_seconds,
        "cooldownPeriod": scaling.cooldown_seconds,
        "minReplicaCount": _least(model, scaling),
        "maxReplicaCount": model.replicas.max,
        "triggers": triggers,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(scaling)}},
    }
    if scaling.scale_to_zero and model.replicas.min > 1:
        # Awake with no less than the promised replicas, or asleep.
        spec |= {"minReplicaCount": model.replicas.min, "idleReplicaCount": 0}
    return manifest(
        "keda.sh/v1alpha1",
        "ScaledObject",
        model.workload,
        {"spec": spec},
        labels=model_labels(plan, model),
        namespace=plan.namespace,
    )


def router_scaler(plan: KubernetesPlan) -> Manifest | None:
    """The router's own HPA, on CPU; None where its replicas are a fixed number."""
    router = plan.spec.router
    if router.replicas.fixed:
        return None
    utilization = {"type": "Utilization", "averageUtilization": router.target_cpu_utilization}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": ROUTER},
        "minReplicas": max(1, router.replicas.min),
        "maxReplicas": router.replicas.max,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
        "behavior": _behavior(AutoscalingSpec()),
    }
    return manifest(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        ROUTER,
        {"spec": spec},
        labels=part_labels(plan, ROUTER),
        namespace=plan.namespace,
    )
