"""The router on a cluster: several replicas that follow the contract in a ConfigMap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.kubernetes.manifests import pods
from components.kubernetes.manifests.meta import ROUTER, VALKEY, Manifest, manifest, part_labels, part_selector
from components.kubernetes.manifests.secrets import TIER_KEYS, VALKEY_PASSWORD, router_keys, tier_keys
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.placement import NODE_LABEL, ZONE_LABEL

PORT = 8080
CONTRACT = "fleet-contract"
CONTRACT_FILE = "contract.json"
CONTRACT_DIRECTORY = "/etc/paddock/fleet"
KEYS_DIRECTORY = "/etc/paddock/keys"
DEFAULT_KEY = "default"
"""The file, and so the name, of the fleet's own key, whatever its Secret calls it."""
DATA_DIRECTORY = f"{pods.HOME}/data"
ROUTER_MODULE = "agent_runtime.router"

LEAVE_SECONDS = 10
"""How long the rest of the cluster may take to learn that a replica takes no more requests."""


def contract_map(plan: KubernetesPlan, contract_text: Any) -> Manifest:
    """The contract as a file. It is changed in place, and the kubelet brings the change to every replica."""
    return manifest(
        "v1",
        "ConfigMap",
        CONTRACT,
        {"data": {CONTRACT_FILE: contract_text}},
        labels=part_labels(plan, ROUTER),
        namespace=plan.namespace,
    )


def deployment(plan: KubernetesPlan, image: Any = None) -> Manifest:
    """The router's replicas; ``image`` in place of the config's where the stack builds one."""
    router = plan.spec.router
    labels = part_labels(plan, ROUTER)
    annotations = {"kubectl.kubernetes.io/default-container": ROUTER}
    monitoring = plan.spec.monitoring
    if monitoring.enabled and not monitoring.operator:
        annotations |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(PORT),
            "prometheus.io/path": "/metrics",
        }
    drain_seconds = plan.spec.kubernetes.drain_seconds
    pod = {
        **pods.base_pod(),
        "topologySpreadConstraints": pods.spread((ZONE_LABEL, NODE_LABEL), part_selector(ROUTER)),
        "terminationGracePeriodSeconds": LEAVE_SECONDS + drain_seconds + 10,
        "containers": [_container(plan, plan.router_image if image is None else image)],
        "volumes": [
            # Mounted as a directory: a file mounted by itself (subPath) would never see a change.
            {"name": "contract", "configMap": {"name": CONTRACT}},
            {"name": "keys", "projected": {"defaultMode": 0o440, "sources": _keys(plan)}},
            *pods.scratch_volumes(),
        ],
    }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": part_selector(ROUTER)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
    }
    if router.replicas.fixed:
        spec["replicas"] = router.replicas.max
    return manifest("apps/v1", "Deployment", ROUTER, {"spec": spec}, labels=labels, namespace=plan.namespace)


def _container(plan: KubernetesPlan, image: Any) -> dict[str, Any]:
    # While every model sleeps nothing is "ready", and yet requests must come in to wake one.
    ready_path = "/healthz" if plan.sleeps else "/readyz"
    return {
        "name": ROUTER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", ROUTER_MODULE],
        "args": [
            *("--fleet", f"{CONTRACT_DIRECTORY}/{CONTRACT_FILE}"),
            *("--secrets", KEYS_DIRECTORY),
            # What a container that was killed had not handed in is found here by the one that takes its place; without
            # Valkey, all that a replica remembers is here, for as long as its pod is there.
            *("--data", DATA_DIRECTORY),
            *("--host", "0.0.0.0"),  # noqa: S104 - the pod's own address, behind its network policy
            *("--port", str(PORT)),
            *(("--workers", str(plan.spec.router.workers)) if plan.spec.router.workers > 1 else ()),
        ],
        "env": pods.environment({"HOME": pods.HOME, "PYTHONDONTWRITEBYTECODE": "1", **_valkey(plan)}),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "500m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
        "volumeMounts": [
            {"name": "contract", "mountPath": CONTRACT_DIRECTORY, "readOnly": True},
            {"name": "keys", "mountPath": KEYS_DIRECTORY, "readOnly": True},
            *pods.scratch_mounts(),
        ],
        "securityContext": dict(pods.CONTAINER_SECURITY),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}},
        "startupProbe": _probe("/healthz", periodSeconds=2, failureThreshold=30),
        "readinessProbe": _probe(ready_path, periodSeconds=5, failureThreshold=2),
        "livenessProbe": _probe("/healthz", periodSeconds=10, failureThreshold=6),
    }


def _keys(plan: KubernetesPlan) -> list[dict[str, Any]]:
    """The router's secrets as files. Each entry is named, so that no other one of a Secret becomes a key."""
    own = router_keys(plan)
    sources = [_source(own.name, {own.key: DEFAULT_KEY})]
    tiers = tier_keys(plan)
    return [*sources, _source(TIER_KEYS, {key: key for key in tiers})] if tiers else sources


def _source(secret: str, files: Mapping[str, str]) -> dict[str, Any]:
    return {"secret": {"name": secret, "items": [{"key": key, "path": path} for key, path in files.items()]}}


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 5, **timing}


def _valkey(plan: KubernetesPlan) -> dict[str, Any]:
    valkey = plan.spec.valkey
    if valkey.mode == "given" and valkey.url_secret is not None:
        return {"PADDOCK_VALKEY_URL": pods.secret_value(valkey.url_secret.name, valkey.url_secret.key)}
    if valkey.mode == "fleet":
        return {
            "PADDOCK_VALKEY_URL": f"redis://{plan.service_host(VALKEY)}:6379/0",
            "PADDOCK_VALKEY_PASSWORD": pods.secret_value(VALKEY_PASSWORD.name, VALKEY_PASSWORD.key),
        }
    return {}


def service(plan: KubernetesPlan) -> Manifest:
    """The fleet's one address inside the cluster, on port 80."""
    spec = {
        "type": "ClusterIP",
        "selector": part_selector(ROUTER),
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
    }
    return manifest("v1", "Service", ROUTER, {"spec": spec}, labels=part_labels(plan, ROUTER), namespace=plan.namespace)
