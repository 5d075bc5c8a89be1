"""The configs that the tests of the Kubernetes target go through: the shipped prod stack and one for each way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.kubernetes.groups import fleet_groups
from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.plan import plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.loading import load_spec
from fleet_spec.stack_file import read_stack_file

ROOT = Path(__file__).parents[3]
IMAGE = "registry.example.com/paddock:1.0.0"
DIGEST = "sha256:" + "ab" * 32
PROMETHEUS = "http://prometheus.monitoring.svc:9090"


def fleet(**changes: Any) -> dict[str, Any]:
    """A small config for a cluster, with ``changes`` in place of its sections."""
    return {
        "target": "kubernetes",
        "models": {"llama": {"model": "llama3.1:8b"}},
        "router": {"image": IMAGE},
        **changes,
    }


def with_gpu(pool: dict[str, Any], model: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A config with one GPU pool and one model on it."""
    pool = {"gpuType": "nvidia-l4", "gpusPerNode": 4, "maxNodes": 4, **pool}
    gpu = pool["gpuType"]
    return fleet(
        models={"llama": {"model": "llama3.1:8b", "gpu": gpu, **(model or {})}}, gpuPools={"main": pool}, **changes
    )


AWS = {"role": "nodes", "discoveryValue": "mine"}
KARPENTER = {"provisioner": "karpenter", "instanceTypes": ["g6.xlarge"], "aws": AWS, "spot": True, "zones": ["eu-1a"]}
SCALED = {"replicas": {"min": 2, "max": 10}}

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "smallest": fleet(),
    "everything off": fleet(
        monitoring={"enabled": False},
        valkey={"mode": "none"},
        kubernetes={"networkPolicy": {"enabled": False}},
        router={"image": IMAGE, "replicas": {"min": 2, "max": 2}},
    ),
    "ephemeral": fleet(storage={"mode": "ephemeral", "size": "50Gi"}),
    "shared": fleet(
        storage={"mode": "shared", "storageClass": "nfs"},
        models={"m": {"model": "mistral:7b", **SCALED}},
        aliases={"default": "m"},
    ),
    "image": fleet(
        kubernetes={"version": "1.35"},
        models={"m": {"model": "mistral:7b", "storage": {"mode": "image", "image": f"weights/mistral@{DIGEST}"}}},
    ),
    "shared vllm": with_gpu(
        {},
        {"engine": "vllm", "replicas": 2, "storage": {"mode": "shared", "storageClass": "nfs"}},
    ),
    "image vllm": with_gpu(
        {},
        {"engine": "vllm", "storage": {"mode": "image", "image": "weights/llama:1"}},
        kubernetes={"version": "1.36"},
    ),
    "vllm over four GPUs": with_gpu(
        {"gpusPerNode": 8},
        {
            "model": "llama3.1:70b",
            "engine": "vllm",
            "gpu": {"type": "nvidia-l4", "count": 4},
            "quantization": "bitsandbytes",
            "contextLength": 4096,
            "vllm": {"compileLevel": 3, "prefixCache": False, "tensorParallel": 4},
        },
        kubernetes={"huggingFaceToken": {"name": "hugging-face"}},
    ),
    "hpa": with_gpu({}, SCALED),
    "hpa to zero": with_gpu({}, {"replicas": {"min": 0, "max": 4}, "autoscaling": {"scaleToZero": True}})
    | {"kubernetes": {"version": "1.37"}},
    "keda": with_gpu({}, SCALED, autoscaling={"kind": "keda"}, monitoring={"prometheusUrl": PROMETHEUS}),
    "keda to zero": with_gpu(
        {}, SCALED, autoscaling={"kind": "keda", "scaleToZero": True}, monitoring={"prometheusUrl": PROMETHEUS}
    ),
    "karpenter on AWS": with_gpu(KARPENTER, SCALED),
    "karpenter on Azure": with_gpu(
        {"provisioner": "karpenter", "instanceTypes": ["Standard_NC4as_T4_v3"], "azure": {"diskSizeGigabytes": 256}}
    ),
    "karpenter with a node class": with_gpu(
        {
            "provisioner": "karpenter",
            "instanceTypes": ["gpu-1"],
            "nodeClass": {"group": "karpenter.example.com", "kind": "ExampleNodeClass", "name": "gpu"},
        }
    ),
    "gke": with_gpu({"provisioner": "gkeComputeClass", "spot": True, "gpuType": "nvidia-t4"}, SCALED),
    "two pools of one type": fleet(
        models={"llama": {"model": "llama3.1:8b", "gpu": "nvidia-l4"}},
        gpuPools={
            "old": {"gpuType": "nvidia-l4", "nodeLabels": {"pool": "old"}},
            "new": {"gpuType": "nvidia-l4", "nodeLabels": {"pool": "new"}},
        },
    ),
    "mig": with_gpu({}, {"gpu": {"type": "nvidia-l4", "migProfile": "1g.10gb"}, **SCALED}),
    "time-sliced": with_gpu({"sharing": "timeSliced"}, SCALED),
    "amd": with_gpu({"gpuType": "amd-mi300x"}, SCALED),
    "gpu claims": with_gpu({"access": "dra"}, SCALED, kubernetes={"version": "1.34"}),
    "web ui and ingress": fleet(
        webUi={"enabled": True},
        ingress={
            "enabled": True,
            "host": "llm.example.com",
            "webUiHost": "chat.example.com",
            "className": "nginx",
            "tlsSecret": "llm-tls",
        },
    ),
    "gateway": fleet(
        webUi={"enabled": True},
        ingress={
            "enabled": True,
            "kind": "gateway",
            "host": "llm.example.com",
            "gateway": {"name": "public", "namespace": "gateways", "sectionName": "https"},
        },
    ),
    "operator": with_gpu({}, {"engine": "vllm", **SCALED}, monitoring={"operator": True, "labels": {"release": "kps"}}),
    "given valkey and every pod setting": with_gpu(
        {},
        {
            "pods": {
                "tolerations": ["team=llm:NoExecute", "spot:NoSchedule"],
                "nodeSelector": {"disk": "fast"},
                "priorityClass": "high",
                "runtimeClass": "nvidia",
                "env": {"OLLAMA_FLASH_ATTENTION": "1"},
                "annotations": {"example.com/team": "llm"},
                "topologySpread": "zone",
            },
            "resources": {"requests": {"memory": "32Gi"}, "limits": {"cpu": "1"}},
        },
        valkey={"mode": "given", "urlSecret": {"name": "my-redis", "key": "url"}},
        tiers={"commercial": {"url": "https://api.example.com/v1", "apiKey": "[secret]"}},
        kubernetes={
            "images": {"ollama": {"repository": "mirror.example.com/ollama", "digest": DIGEST}},
            "imagePullSecrets": ["registry"],
            "networkPolicy": {"clientNamespaces": {"team": "llm"}},
        },
    ),
}


def planned(raw: dict[str, Any], stack: str = "test") -> KubernetesPlan:
    return plan_fleet(load_spec(raw), stack, load_catalogue())


def prod() -> KubernetesPlan:
    return planned(read_stack_file(ROOT, "prod").raw, "prod")


def plans() -> dict[str, KubernetesPlan]:
    """Every configuration, decided."""
    return {"prod": prod(), **{name: planned(raw) for name, raw in CONFIGURATIONS.items()}}


def manifests_of(plan: KubernetesPlan) -> list[Manifest]:
    return [one for group in fleet_groups(plan) for one in group.manifests]


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] in kinds}


def pod_templates(manifests: list[Manifest]) -> dict[str, dict[str, Any]]:
    """Pod templates by the name of what makes the pods."""
    makers = of_kind(manifests, "Deployment", "StatefulSet", "Job")
    return {name: one["spec"]["template"] for name, one in makers.items()}
