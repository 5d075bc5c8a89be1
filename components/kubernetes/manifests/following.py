"""What holds the removal of old model servers back until every replica of the router asks the new ones."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from components.kubernetes.manifests import pods
from components.kubernetes.manifests.meta import (
    REPLACE_UNREADY,
    ROUTER,
    Manifest,
    manifest,
    part_labels,
    part_selector,
)
from components.kubernetes.manifests.router import PORT
from components.kubernetes.model import KubernetesPlan

FOLLOWER = "router-follower"
REPLICAS = "router-replicas"
"""The headless Service with the address of each replica of the router."""
MODULE = "agent_runtime.following"
TIMEOUT_SECONDS = 540
"""The kubelet brings a changed ConfigMap within two minutes, where the cluster is at its defaults."""
_END_SECONDS = 60


def replicas_service(plan: KubernetesPlan) -> Manifest:
    """A name that stands for the address of every ready replica of the router."""
    spec = {
        "clusterIP": "None",
        "selector": part_selector(ROUTER),
        "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
    }
    return manifest(
        "v1", "Service", REPLICAS, {"spec": spec}, labels=part_labels(plan, ROUTER), namespace=plan.namespace
    )


def follow_job(plan: KubernetesPlan, image: Any = None) -> Manifest:
    """The Job that ends when every replica of the router follows the contract.

    What names and addresses there are is in its name: another set is another Job, since a Job cannot change.

    Args:
        plan: The fleet.
        image: The router's, in place of the config's where the stack builds one.
    """
    models = {model.name: plan.service_host(model.endpoints_service) for model in plan.models}
    arms = {alias: dict(weights) for alias, weights in plan.spec.aliases.items()}
    digest = hashlib.sha256(json.dumps([models, arms], sort_keys=True).encode()).hexdigest()[:8]
    labels = part_labels(plan, FOLLOWER)
    container = {
        "name": FOLLOWER,
        "image": plan.router_image if image is None else image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", MODULE],
        "args": [
            *("--router", plan.service_host(REPLICAS)),
            *("--port", str(PORT)),
            *("--models", json.dumps(models, sort_keys=True)),
            *("--aliases", json.dumps(sorted(arms))),
            *("--timeout-seconds", str(TIMEOUT_SECONDS)),
        ],
        "env": pods.environment({"HOME": pods.HOME, "PYTHONDONTWRITEBYTECODE": "1"}),
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
        "volumeMounts": pods.scratch_mounts(),
        "securityContext": dict(pods.CONTAINER_SECURITY),
    }
    pod = {
        **pods.base_pod(),
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": pods.scratch_volumes("16Mi"),
    }
    spec = {
        "backoffLimit": 1,
        "activeDeadlineSeconds": 2 * TIMEOUT_SECONDS + _END_SECONDS,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return manifest(
        "batch/v1",
        "Job",
        f"{FOLLOWER}-{digest}",
        {"spec": spec},
        labels=labels,
        namespace=plan.namespace,
        annotations=REPLACE_UNREADY,
    )
