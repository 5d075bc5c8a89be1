"""What the plan decides about one model and about the whole fleet: nothing is left to choose after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet_spec.container_spec import VllmSpec
from fleet_spec.kubernetes_spec import AutoscalingSpec
from fleet_spec.model_spec import AdapterSpec, StorageMode
from fleet_spec.platform_spec import GpuPoolSpec
from fleet_spec.serving_spec import ServingSpec
from fleet_spec.spec import FleetSpec

EngineName = Literal["ollama", "vllm"]


@dataclass(frozen=True)
class GpuRequest:
    """What one replica asks the cluster for."""

    vendor: Literal["nvidia", "amd"]
    count: int
    resource: str | None
    """The extended resource, such as ``nvidia.com/gpu`` or ``nvidia.com/mig-1g.10gb``; None with a claim."""
    device_class: str | None
    """The DeviceClass of a claim; None with a device plugin."""
    whole: bool
    """False for a slice, of which DCGM reports no utilisation of its own."""


@dataclass(frozen=True)
class Placement:
    """On which nodes the pods may run."""

    tolerations: tuple[Mapping[str, str], ...]
    node_selector: Mapping[str, str]
    any_of: tuple[Mapping[str, str], ...]
    """Label sets of which a node must have one whole, where several pools offer the GPU."""
    spread_over: tuple[str, ...]
    """Node labels over whose values replicas are spread."""


@dataclass(frozen=True)
class Storage:
    """Where the weights are."""

    mode: StorageMode
    size: str
    storage_class: str | None
    image: str | None


@dataclass(frozen=True)
class Replicas:
    """How many, and who decides."""

    min: int
    max: int
    scaling: AutoscalingSpec | None
    """None where the number is fixed. Else something scales, and the workload names no number itself."""

    @property
    def fixed(self) -> int | None:
        """The number that the workload names; None where it has another owner."""
        return self.max if self.scaling is None else None

    @property
    def first(self) -> int:
        """With how many a new workload starts, whoever decides their number afterwards."""
        return max(1, self.min)

    @property
    def sleeps(self) -> bool:
        """Whether there may be no replica at all."""
        return self.scaling is not None and self.scaling.scale_to_zero


@dataclass(frozen=True)
class KubernetesModel:
    """One model, decided."""

    name: str
    """As the config has it."""
    safe_name: str
    """As Services and other objects with a stable name have it."""
    generation: str
    """Changes with whatever cannot be changed in place: source, engine, storage."""
    engine: EngineName
    image: str
    source: str
    """What the engine fetches: a tag of Ollama's library or a repository on Hugging Face."""
    served_name: str
    """What the engine calls it."""
    context_length: int
    parallel: int
    capabilities: tuple[str, ...]
    gpu: GpuRequest | None
    placement: Placement
    storage: Storage
    replicas: Replicas
    surge: bool
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    environment: Mapping[str, str]
    annotations: Mapping[str, str]
    priority_class: str | None
    runtime_class: str | None
    keep_alive: str
    quantization: str | None
    serving: ServingSpec
    vllm: VllmSpec
    usd_per_hour: float | None
    adapters: Mapping[str, AdapterSpec] = field(default_factory=dict[str, AdapterSpec])
    """LoRA adapters that vLLM serves beside it, by name."""

    @property
    def workload(self) -> str:
        """The name of its Deployment or StatefulSet."""
        return f"{self.safe_name}-{self.generation}"

    @property
    def endpoints_service(self) -> str:
        """The headless Service, whose DNS name has the address of every ready replica.

        Each generation has its own, so that what still follows an older contract reaches the servers that it names.
        """
        return f"{self.workload}-endpoints"

    @property
    def workload_kind(self) -> Literal["Deployment", "StatefulSet"]:
        """A claim that belongs to its replica takes a StatefulSet."""
        return "StatefulSet" if self.storage.mode == "perReplica" else "Deployment"


@dataclass(frozen=True)
class GpuPool:
    """Nodes with one kind of GPU."""

    name: str
    object_name: str
    """Of its cluster-wide objects: the namespace comes first, so that fleets do not collide."""
    spec: GpuPoolSpec
    node_labels: Mapping[str, str]
    """What finds its nodes."""
    tolerations: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class KubernetesPlan:
    """A whole fleet, decided."""

    spec: FleetSpec
    stack: str
    namespace: str
    models: tuple[KubernetesModel, ...]
    pools: tuple[GpuPool, ...]
    router_image: str
    web_ui_image: str
    valkey_image: str

    @property
    def sleeps(self) -> bool:
        """Whether a model may have no replica at all."""
        return any(model.replicas.sleeps for model in self.models)

    def service_host(self, service: str) -> str:
        """The whole DNS name of a Service of the fleet."""
        return f"{service}.{self.namespace}.svc.{self.spec.kubernetes.cluster_domain}"
