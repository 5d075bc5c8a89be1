"""A Valkey of the fleet's own, for what the router's replicas share."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests import pods
from components.kubernetes.manifests.meta import VALKEY, Manifest, manifest, part_labels, part_selector
from components.kubernetes.manifests.secrets import VALKEY_PASSWORD
from components.kubernetes.model import KubernetesPlan

PORT = 6379
_DATA = "/data"

# The password goes by a file, so that it stands in no argument that `ps` would show.
_START = (
    'umask 077; printf "requirepass %s\\n" "$VALKEY_PASSWORD" >/tmp/valkey.conf; '
    "exec valkey-server /tmp/valkey.conf --appendonly yes --dir /data --maxmemory 512mb "
    "--maxmemory-policy volatile-lru"
)
_ALIVE = 'VALKEYCLI_AUTH="$VALKEY_PASSWORD" REDISCLI_AUTH="$VALKEY_PASSWORD" valkey-cli ping | grep -q PONG'


def stateful_set(plan: KubernetesPlan) -> Manifest:
    """One server with a claim of its own: what was spent is not forgotten with its pod."""
    labels = part_labels(plan, VALKEY)
    probe: dict[str, Any] = {"exec": {"command": ["/bin/sh", "-c", _ALIVE]}, "timeoutSeconds": 5}
    container = {
        "name": VALKEY,
        "image": plan.valkey_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _START],
        "env": pods.environment({"VALKEY_PASSWORD": pods.secret_value(VALKEY_PASSWORD.name, VALKEY_PASSWORD.key)}),
        "ports": [{"name": "valkey", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
        "volumeMounts": [{"name": "data", "mountPath": _DATA}, *pods.scratch_mounts()],
        "securityContext": dict(pods.CONTAINER_SECURITY),
        "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 3},
        "livenessProbe": {**probe, "periodSeconds": 20, "failureThreshold": 4},
    }
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": plan.spec.valkey.size}},
    }
    if plan.spec.valkey.storage_class is not None:
        claim["storageClassName"] = plan.spec.valkey.storage_class
    pod = {
        **pods.base_pod(),
        "terminationGracePeriodSeconds": 60,
        "containers": [container],
        "volumes": pods.scratch_volumes("64Mi"),
    }
    spec = {
        "replicas": 1,
        "serviceName": VALKEY,
        "selector": {"matchLabels": part_selector(VALKEY)},
        "template": {"metadata": {"labels": labels}, "spec": pod},
        "volumeClaimTemplates": [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data", "labels": labels},
                "spec": claim,
            }
        ],
    }
    return manifest("apps/v1", "StatefulSet", VALKEY, {"spec": spec}, labels=labels, namespace=plan.namespace)


def service(plan: KubernetesPlan) -> Manifest:
    """Where the router finds it."""
    spec = {
        "clusterIP": "None",
        "selector": part_selector(VALKEY),
        "ports": [{"name": "valkey", "port": PORT, "targetPort": "valkey", "protocol": "TCP"}],
    }
    return manifest("v1", "Service", VALKEY, {"spec": spec}, labels=part_labels(plan, VALKEY), namespace=plan.namespace)
