"""What a stack's config may say of the platform: router, pages, GPU pools, storage, monitoring, ingress."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from fleet_spec.base import Count, Identifier, Port, Quantity, SpecPart
from fleet_spec.container_spec import Image, Labels, ObjectName, SecretKeyRef, Taint
from fleet_spec.governance_spec import KeySpec
from fleet_spec.kubernetes_spec import AwsNodes, AzureNodes, GatewayRef, NodeClassRef
from fleet_spec.model_spec import ReplicaRange, StorageMode

_NVIDIA_TAINT = "nvidia.com/gpu=present:NoSchedule"


class RegistryLogin(SpecPart):
    """How to log in to a registry. Default: as Docker is logged in on the machine that builds."""

    username: str = Field(min_length=1)
    password: SecretStr
    """Set with ``pulumi config set --secret --path router.build.login.password``."""


class RouterBuildSpec(SpecPart):
    """The router's image, built from the project's Dockerfile when the stack goes up."""

    registry: str = Field(pattern=r"^[a-z0-9.-]+(:[0-9]+)?$")
    """The registry's host, such as ``ghcr.io`` or ``registry.example.com:5000``."""
    repository: str = Field(pattern=r"^[a-z0-9]+([._/-]+[a-z0-9]+)*$")
    """The image's name there, such as ``my-team/paddock``."""
    tag: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")
    """For people: the fleet itself names the image by its digest."""
    push: bool = True
    """False keeps the image in the Docker of the machine that builds, for a cluster that runs on that machine."""
    platforms: tuple[Literal["linux/amd64", "linux/arm64"], ...] = ("linux/amd64",)
    """For which nodes it is built."""
    login: RegistryLogin | None = None

    @model_validator(mode="after")
    def _kept_where_it_is_built(self) -> Self:
        if not self.push and len(self.platforms) > 1:
            raise ValueError("Docker keeps an image of one platform; name one, or write push: true")
        return self

    @property
    def name(self) -> str:
        """The image's whole name, with its tag."""
        return f"{self.registry}/{self.repository}:{self.tag}"


class RouterSpec(SpecPart):
    """The one address in front of the fleet."""

    host: str = "127.0.0.1"
    """Where it listens on the local and Docker targets. Beyond loopback it asks for keys."""
    port: Port = 8080
    replicas: ReplicaRange = ReplicaRange(min=2, max=4)
    """How many of it Kubernetes runs; the local and Docker targets run one."""
    image: Image | None = None
    """The container image on Docker and Kubernetes, with a tag or digest. Either this or ``build``."""
    build: RouterBuildSpec | None = None
    """Has the stack build the image and push it."""
    target_cpu_utilization: int = Field(default=70, ge=10, le=100)
    """Percent of its promised CPU at which Kubernetes adds a replica, where ``replicas`` is a range."""
    keys_secret: SecretKeyRef | None = None
    """A Secret of your own with a key that clients show, in plain text. Default: one that the stack makes."""
    keys: dict[Identifier, KeySpec] = Field(default_factory=dict)
    """Further keys, each with a name, scopes and limits of its own."""
    key_generation: Count = 1
    """Raise it to have the stack make a new key of its own in place of the old one."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the router's port on one machine."""

    @model_validator(mode="after")
    def _one_image(self) -> Self:
        if self.image is not None and self.build is not None:
            raise ValueError("has both 'image' and 'build'; keep one of them")
        return self


class WebUiSpec(SpecPart):
    """open-webui, a chat page behind the router."""

    enabled: bool = False
    port: Port = 3000
    image: Image | None = None
    storage_class: str | None = None
    size: Quantity = "10Gi"
    """Conversations, users and files, on Kubernetes."""
    secret_key: SecretKeyRef | None = None
    """A Secret of your own with the key that signs sessions. Default: one that the stack makes."""


class GpuPoolSpec(SpecPart):
    """A group of nodes with one kind of accelerator."""

    provisioner: Literal["karpenter", "gkeComputeClass", "existing"] = "existing"
    """Who makes the nodes: Karpenter (``aws``, ``azure`` or ``nodeClass`` says on what), GKE, or nobody."""
    gpu_type: Identifier
    """What models ask for in ``gpu.type``."""
    gpus_per_node: Count = 1
    max_nodes: Count = 10
    instance_types: tuple[str, ...] = ()
    spot: bool = False
    """Take spare capacity first, and nodes at the full price where there is none."""
    node_labels: Labels = Field(default_factory=dict)
    """Labels that find the nodes (``existing``) or that new nodes get."""
    taints: tuple[Taint, ...] | None = None
    """Taints of the nodes, ``key=value:Effect``; the fleet's pods tolerate them. Default: the usual one of
    the vendor, such as ``nvidia.com/gpu=present:NoSchedule``."""
    vendor: Literal["nvidia", "amd"] | None = None
    """Whose GPUs they are. Default: AMD where ``gpuType`` begins with ``amd-``, else NVIDIA."""
    sharing: Literal["none", "timeSliced"] = "none"
    """``timeSliced``: the device plugin offers slices of time as ``nvidia.com/gpu.shared``."""
    access: Literal["devicePlugin", "dra"] = "devicePlugin"
    """How pods get a GPU: from a device plugin, or by a claim (dynamic resource allocation)."""
    device_class: ObjectName | None = None
    """The DeviceClass that claims name. Default: ``gpu.nvidia.com`` or ``gpu.amd.com``."""
    zones: tuple[str, ...] = ()
    """Where Karpenter may make nodes. Empty: anywhere."""
    consolidate_after_seconds: int = Field(default=600, ge=0, le=86_400)
    """How long a node must have been idle, or its pods fit elsewhere, before it is given back."""
    gke_gpu_type: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    """GKE's name for the GPU, where it is not the usual one for ``gpuType``."""
    aws: AwsNodes | None = None
    azure: AzureNodes | None = None
    node_class: NodeClassRef | None = None

    @property
    def gpu_vendor(self) -> Literal["nvidia", "amd"]:
        """Whose GPUs they are, decided."""
        return self.vendor or ("amd" if self.gpu_type.startswith("amd-") else "nvidia")

    @property
    def node_taints(self) -> tuple[str, ...]:
        """The nodes' taints, decided."""
        if self.taints is not None:
            return self.taints
        return ("amd.com/gpu=present:NoSchedule",) if self.gpu_vendor == "amd" else (_NVIDIA_TAINT,)

    @property
    def gpu_capacity(self) -> int:
        """How many GPUs the pool has when every node is there."""
        return self.gpus_per_node * self.max_nodes


class StorageSpec(SpecPart):
    """Where weights live on Kubernetes."""

    mode: StorageMode = "perReplica"
    """``perReplica``: a claim for each; ``ephemeral``: a volume that goes with its pod; ``shared``: one
    ReadWriteMany claim that a Job fills; ``image``: weights in an OCI image."""
    storage_class: str | None = None
    """For ``shared`` one that offers ReadWriteMany. Default: the cluster's own."""
    size: Quantity = "100Gi"


class MonitoringSpec(SpecPart):
    """What watches the fleet on Kubernetes."""

    enabled: bool = True
    operator: bool = False
    """True where the Prometheus operator's kinds (PodMonitor, PrometheusRule) exist."""
    dashboards: bool = True
    """Grafana dashboards as ConfigMaps, labelled for its sidecar."""
    prometheus_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Where Prometheus answers inside the cluster. KEDA asks it."""
    runbook_url: str = Field(default="docs/runbooks.md", min_length=1)
    """The page that alerts link to, without the ``#`` part: your copy of docs/runbooks.md."""
    labels: Labels = Field(default_factory=dict)
    """Further labels of PodMonitors and rules, where your operator selects by them."""
    open_metrics: bool = True
    """The router's metrics are read without a key inside the cluster, where network policies say who reaches
    it. They are never led to from outside. False: Prometheus shows the router's key."""


class IngressSpec(SpecPart):
    """How the router is reached from outside the cluster."""

    enabled: bool = False
    kind: Literal["ingress", "gateway"] = "ingress"
    """An Ingress with a certificate of its own, or an HTTPRoute of a Gateway that exists."""
    host: ObjectName | None = None
    """The router's DNS name."""
    web_ui_host: ObjectName | None = None
    """The web UI's DNS name; it is not reached from outside without one."""
    class_name: str | None = None
    tls_secret: ObjectName | None = None
    """A Secret of the type kubernetes.io/tls in the fleet's namespace; cert-manager may be told to make it."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """For the ingress controller or cert-manager."""
    gateway: GatewayRef | None = None
