"""What a stack's config may say of the cluster: its version, scaling, networking, shared state."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fleet_spec.base import Quantity, SpecPart
from fleet_spec.container_spec import EngineImage, Image, Labels, ObjectName, PodSpec, SecretKeyRef


class AutoscalingSpec(SpecPart):
    """What moves a model's replicas between ``replicas.min`` and ``replicas.max``."""

    kind: Literal["hpa", "keda"] = "hpa"
    """``hpa`` needs prometheus-adapter for its metrics; ``keda`` asks Prometheus itself."""
    target_active_requests: int = Field(default=5, ge=1, le=10_000)
    """Requests in flight and waiting that one replica is meant to have."""
    target_gpu_utilization: int | None = Field(default=70, ge=1, le=100)
    """Percent of the time in which a whole NVIDIA GPU is busy; null scales on requests alone."""
    scale_to_zero: bool = False
    """An idle model gives its GPU back; the first request after that waits until it is up again."""
    scale_down_stabilization_seconds: int = Field(default=300, ge=0, le=3600)
    """How long the load must stay low before replicas go."""
    polling_interval_seconds: int = Field(default=15, ge=5, le=300)
    """How often KEDA asks."""
    cooldown_seconds: int = Field(default=600, ge=0, le=86_400)
    """How long a model must be idle before KEDA takes its last replica."""


class EngineImages(SpecPart):
    """Images in place of Paddock's own choice."""

    ollama: EngineImage = EngineImage()
    vllm: EngineImage = EngineImage()


class NetworkPolicySpec(SpecPart):
    """Who may speak to whom. Without it every pod of the cluster reaches every model server."""

    enabled: bool = True
    client_namespaces: Labels = Field(default_factory=dict)
    """Labels of the namespaces that may reach the router and the web UI, the ingress controller's among them.
    Empty: every namespace."""
    downloads: bool = True
    """Model servers may open connections to port 443 anywhere, to fetch their weights."""


class KubernetesSpec(SpecPart):
    """The cluster and what all of the fleet's pods share."""

    version: str = Field(default="1.31", pattern=r"^1\.\d{1,3}$")
    """The oldest Kubernetes that the fleet is to run on; newer settings are refused with the version they need."""
    pod_security: Literal["restricted", "baseline", "privileged"] = "restricted"
    """The Pod Security standard that the namespace enforces. Paddock's own pods keep to ``restricted``."""
    cluster_domain: str = Field(default="cluster.local", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    images: EngineImages = EngineImages()
    image_pull_secrets: tuple[ObjectName, ...] = ()
    """Secrets of your own in the namespace that log in to registries."""
    hugging_face_token: SecretKeyRef | None = None
    """A Secret of your own with a token for gated models (vLLM)."""
    pods: PodSpec = PodSpec()
    """Holds for the model servers' pods."""
    network_policy: NetworkPolicySpec = NetworkPolicySpec()
    drain_seconds: int = Field(default=300, ge=0, le=3600)
    """How long a replica that has to go may take to finish the streams it has begun."""
    load_timeout_seconds: int = Field(default=3600, ge=60, le=86_400)
    """How long fetching and loading a model may take before a roll-out counts as failed."""


class ValkeySpec(SpecPart):
    """Where the router's replicas keep what they share: rate limits, spend, the response cache."""

    mode: Literal["fleet", "given", "none"] = "fleet"
    """``fleet``: a Valkey of the fleet's own; ``given``: ``urlSecret`` names yours; ``none``: each
    replica for itself."""
    url_secret: SecretKeyRef | None = None
    """A Secret of your own that holds the address, such as ``rediss://user:password@host:6379/0``."""
    image: Image | None = None
    storage_class: str | None = None
    size: Quantity = "2Gi"

    @model_validator(mode="after")
    def _address_when_given(self) -> Self:
        if (self.mode == "given") != (self.url_secret is not None):
            raise ValueError("mode 'given' and urlSecret do not go apart; give both or neither")
        return self


class AwsNodes(SpecPart):
    """What Karpenter needs to make nodes on AWS."""

    role: str = Field(min_length=1)
    """The IAM role of the nodes."""
    discovery_tag: str = Field(default="karpenter.sh/discovery", min_length=1)
    """The tag by which subnets and security groups are found."""
    discovery_value: str = Field(min_length=1)
    """The tag's value: usually the cluster's name."""
    ami_alias: str = Field(default="al2023@latest", pattern=r"^[a-z0-9]+@\S+$")
    """Which machine image: family and version."""
    disk_size: Quantity = "200Gi"


class AzureNodes(SpecPart):
    """What node auto-provisioning needs to make nodes on AKS."""

    image_family: Literal["Ubuntu2204", "Ubuntu2404", "AzureLinux"] = "Ubuntu2204"
    disk_size_gigabytes: int = Field(default=200, ge=30, le=4096)


class NodeClassRef(SpecPart):
    """A node class of your own for Karpenter, in place of one that Paddock makes."""

    group: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    name: ObjectName


class GatewayRef(SpecPart):
    """The Gateway that carries the route; its listener holds the certificate."""

    name: ObjectName
    namespace: ObjectName
    section_name: ObjectName | None = None
    """The HTTPS listener. Default: every listener that takes the host."""
