"""What a stack's config may say of the platform: router, pages, GPU pools, storage, monitoring, ingress."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fleet_spec.base import Count, Identifier, Port, Quantity, SpecPart
from fleet_spec.model_spec import ReplicaRange, StorageMode

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


class RouterSpec(SpecPart):
    """The one address in front of the fleet."""

    host: str = "127.0.0.1"
    """Where it listens on the local and Docker targets. Beyond loopback it asks for keys."""
    port: Port = 8080
    replicas: ReplicaRange = ReplicaRange(min=2, max=4)
    """How many of it Kubernetes runs; the local and Docker targets run one."""
    image: str | None = None
    """The container image on Docker and Kubernetes, with a tag or digest."""


class WebUiSpec(SpecPart):
    """open-webui, a chat page behind the router."""

    enabled: bool = False
    port: Port = 3000
    image: str | None = None


class GpuPoolSpec(SpecPart):
    """A group of nodes with one kind of accelerator."""

    provisioner: Literal["karpenter", "gkeComputeClass", "existing"] = "existing"
    gpu_type: Identifier
    """What models ask for in ``gpu.type``."""
    gpus_per_node: Count = 1
    max_nodes: Count = 10
    instance_types: tuple[str, ...] = ()
    spot: bool = False
    node_labels: dict[str, str] = Field(default_factory=dict)
    """Labels that find the nodes (``existing``) or that new nodes get."""
    taints: tuple[str, ...] = ("nvidia.com/gpu=present:NoSchedule",)
    """Taints of the nodes, ``key=value:Effect``; the fleet's pods tolerate them."""


class StorageSpec(SpecPart):
    """Where weights live on Kubernetes."""

    mode: StorageMode = "perReplica"
    storage_class: str | None = None
    size: Quantity = "100Gi"


class MonitoringSpec(SpecPart):
    """What watches the fleet on Kubernetes."""

    enabled: bool = True
    operator: bool = False
    """True where the Prometheus operator's kinds (PodMonitor, PrometheusRule) exist."""
    dashboards: bool = True


class IngressSpec(SpecPart):
    """How the router is reached from outside the cluster."""

    enabled: bool = False
    host: str | None = None
    class_name: str | None = None
    tls_secret: str | None = None
