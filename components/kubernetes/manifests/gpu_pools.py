"""Where GPU nodes come from: Karpenter on AWS or Azure, or GKE's own provisioner. Nodes that exist need nothing."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.meta import Manifest, fleet_labels, manifest
from components.kubernetes.model import GpuPool, KubernetesPlan
from components.kubernetes.placement import ZONE_LABEL, taint_parts

_LIFE = "720h"
"""How old a node may grow, so that it gets a new machine image now and then."""

GKE_GPU_TYPES = {
    "nvidia-t4": "nvidia-tesla-t4",
    "nvidia-p4": "nvidia-tesla-p4",
    "nvidia-p100": "nvidia-tesla-p100",
    "nvidia-v100": "nvidia-tesla-v100",
    "nvidia-a100": "nvidia-tesla-a100",
    "nvidia-a100-40gb": "nvidia-tesla-a100",
}
"""GKE's names where they are not the usual ones."""


def pool_manifests(plan: KubernetesPlan, pool: GpuPool) -> list[Manifest]:
    """Everything that a pool needs, in the order in which it is to be made."""
    if pool.spec.provisioner == "gkeComputeClass":
        return [_compute_class(plan, pool)]
    if pool.spec.provisioner == "karpenter":
        return [*_node_class(plan, pool), _node_pool(plan, pool)]
    return []


def _node_class_reference(pool: GpuPool) -> dict[str, str]:
    own = pool.spec.node_class
    if own is not None:
        return {"group": own.group, "kind": own.kind, "name": own.name}
    if pool.spec.aws is not None:
        return {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": pool.object_name}
    return {"group": "karpenter.azure.com", "kind": "AKSNodeClass", "name": pool.object_name}


def _node_class(plan: KubernetesPlan, pool: GpuPool) -> list[Manifest]:
    aws, azure = pool.spec.aws, pool.spec.azure
    if aws is not None:
        found = [{"tags": {aws.discovery_tag: aws.discovery_value}}]
        spec: dict[str, Any] = {
            "role": aws.role,
            "amiSelectorTerms": [{"alias": aws.ami_alias}],
            "subnetSelectorTerms": found,
            "securityGroupSelectorTerms": found,
            # Without it pods could ask the machine for the node's own credentials.
            "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
            "blockDeviceMappings": [
                {
                    "deviceName": "/dev/xvda",
                    "ebs": {
                        "volumeSize": aws.disk_size,
                        "volumeType": "gp3",
                        "encrypted": True,
                        "deleteOnTermination": True,
                    },
                }
            ],
        }
        return [_cluster_wide(plan, pool, "karpenter.k8s.aws/v1", "EC2NodeClass", spec)]
    if azure is not None:
        spec = {"imageFamily": azure.image_family, "osDiskSizeGB": azure.disk_size_gigabytes}
        return [_cluster_wide(plan, pool, "karpenter.azure.com/v1beta1", "AKSNodeClass", spec)]
    return []


def _node_pool(plan: KubernetesPlan, pool: GpuPool) -> Manifest:
    # Of the capacity types that are allowed Karpenter takes spare capacity first, and falls back by itself.
    capacity = ["spot", "on-demand"] if pool.spec.spot else ["on-demand"]
    requirements = [
        _requirement("karpenter.sh/capacity-type", capacity),
        _requirement("kubernetes.io/os", ["linux"]),
        _requirement("node.kubernetes.io/instance-type", list(pool.spec.instance_types)),
    ]
    if pool.spec.zones:
        requirements.append(_requirement(ZONE_LABEL, list(pool.spec.zones)))
    template: dict[str, Any] = {
        "metadata": {"labels": dict(pool.node_labels)},
        "spec": {
            "nodeClassRef": _node_class_reference(pool),
            "requirements": requirements,
            "taints": [taint_parts(taint) for taint in pool.spec.node_taints],
            "expireAfter": _LIFE,
        },
    }
    spec = {
        "template": template,
        "limits": {f"{pool.spec.gpu_vendor}.com/gpu": str(pool.spec.gpu_capacity)},
        "disruption": {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": f"{pool.spec.consolidate_after_seconds}s",
            # Weights take minutes to load: nodes go one by one.
            "budgets": [{"nodes": "1"}],
        },
    }
    return _cluster_wide(plan, pool, "karpenter.sh/v1", "NodePool", spec)


def _requirement(key: str, values: list[str]) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": values}


def _compute_class(plan: KubernetesPlan, pool: GpuPool) -> Manifest:
    gpu_type = pool.spec.gke_gpu_type or GKE_GPU_TYPES.get(pool.spec.gpu_type, pool.spec.gpu_type)
    machines: list[dict[str, Any]] = [{"machineType": name} for name in pool.spec.instance_types] or [{}]
    gpu = {"type": gpu_type, "count": pool.spec.gpus_per_node}
    spec = {
        # In the order in which GKE tries them.
        "priorities": [
            {**machine, "gpu": gpu, "spot": spot}
            for spot in ([True, False] if pool.spec.spot else [False])
            for machine in machines
        ],
        "nodePoolAutoCreation": {"enabled": True},
        "whenUnsatisfiable": "DoNotScaleUp",
        "autoscalingPolicy": {"consolidationDelayMinutes": max(1, pool.spec.consolidate_after_seconds // 60)},
    }
    return _cluster_wide(plan, pool, "cloud.google.com/v1", "ComputeClass", spec)


def _cluster_wide(plan: KubernetesPlan, pool: GpuPool, api_version: str, kind: str, spec: dict[str, Any]) -> Manifest:
    return manifest(api_version, kind, pool.object_name, {"spec": spec}, labels=fleet_labels(plan))
