"""open-webui, a chat page behind the router."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests import pods
from components.kubernetes.manifests.meta import (
    PROTECT,
    ROUTER,
    SKIP_AWAIT,
    WEB_UI,
    Manifest,
    manifest,
    part_labels,
    part_selector,
)
from components.kubernetes.manifests.secrets import router_keys, web_ui_secret
from components.kubernetes.model import KubernetesPlan

PORT = 8080
DATA_CLAIM = "web-ui-data"
_DATA = "/app/backend/data"


def data_claim(plan: KubernetesPlan) -> Manifest:
    """Conversations, users and files."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": plan.spec.web_ui.size}},
    }
    if plan.spec.web_ui.storage_class is not None:
        spec["storageClassName"] = plan.spec.web_ui.storage_class
    return manifest(
        "v1",
        "PersistentVolumeClaim",
        DATA_CLAIM,
        {"spec": spec},
        labels=part_labels(plan, WEB_UI),
        namespace=plan.namespace,
        # A class that binds at first use leaves the claim pending until the pod is there.
        annotations={**SKIP_AWAIT, **(PROTECT if plan.spec.protects(plan.stack) else {})},
    )


def deployment(plan: KubernetesPlan) -> Manifest:
    """One replica: its database is a file, and the claim belongs to one node at a time."""
    labels = part_labels(plan, WEB_UI)
    keys, secret = router_keys(plan), web_ui_secret(plan)
    outside = plan.spec.ingress.web_ui_host if plan.spec.ingress.enabled else None
    environment = {
        "PORT": str(PORT),
        "OPENAI_API_BASE_URL": f"http://{plan.service_host(ROUTER)}/v1",
        "OPENAI_API_KEY": pods.secret_value(keys.name, keys.key),
        # The router is the one way to the models, so that its limits and records hold.
        "ENABLE_OLLAMA_API": "false",
        # Else it keeps the settings of its first start in its database, and never sees another key.
        "ENABLE_PERSISTENT_CONFIG": "false",
        # Fixed, or every restart would log everyone out.
        "WEBUI_SECRET_KEY": pods.secret_value(secret.name, secret.key),
        "DATA_DIR": _DATA,
        "STATIC_DIR": f"{pods.HOME}/static",
        "HOME": pods.HOME,
        "OFFLINE_MODE": "true",
        "ANONYMIZED_TELEMETRY": "false",
        **({"WEBUI_URL": f"https://{outside}"} if outside is not None else {}),
    }
    health: dict[str, Any] = {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 5}
    container = {
        "name": WEB_UI,
        "image": plan.web_ui_image,
        "imagePullPolicy": "IfNotPresent",
        "env": pods.environment(environment),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "250m", "memory": "1Gi"},
            "limits": {"cpu": "2", "memory": "4Gi"},
        },
        "volumeMounts": [{"name": "data", "mountPath": _DATA}, *pods.scratch_mounts()],
        "securityContext": dict(pods.CONTAINER_SECURITY),
        "startupProbe": {**health, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**health, "periodSeconds": 10, "failureThreshold": 3},
        "livenessProbe": {**health, "periodSeconds": 30, "failureThreshold": 4},
    }
    pod = {
        **pods.base_pod(),
        "terminationGracePeriodSeconds": 60,
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": DATA_CLAIM}},
            *pods.scratch_volumes(),
        ],
    }
    spec = {
        "replicas": 1,
        # The old pod lets go of the claim before the new one takes it.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": part_selector(WEB_UI)},
        "progressDeadlineSeconds": 900,
        "revisionHistoryLimit": 3,
        "template": {"metadata": {"labels": labels, "annotations": _generation(plan)}, "spec": pod},
    }
    return manifest("apps/v1", "Deployment", WEB_UI, {"spec": spec}, labels=labels, namespace=plan.namespace)


def _generation(plan: KubernetesPlan) -> dict[str, str]:
    # The page reads its key at its start alone: another key takes another pod.
    return {"paddock/key-generation": str(plan.spec.router.key_generation)}


def service(plan: KubernetesPlan) -> Manifest:
    """The page's address inside the cluster."""
    spec = {
        "type": "ClusterIP",
        "selector": part_selector(WEB_UI),
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
    }
    return manifest("v1", "Service", WEB_UI, {"spec": spec}, labels=part_labels(plan, WEB_UI), namespace=plan.namespace)
