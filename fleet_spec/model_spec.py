"""What a stack's config may say of one model."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fleet_spec.base import Count, Duration, Identifier, Quantity, SpecPart
from fleet_spec.container_spec import Image, PodSpec, VllmSpec
from fleet_spec.kubernetes_spec import AutoscalingSpec
from fleet_spec.serving_spec import ServingSpec

Engine = Literal["auto", "llamacpp", "ollama", "vllm"]
StorageMode = Literal["perReplica", "ephemeral", "shared", "image"]


class ReplicaRange(SpecPart):
    """How many replicas a model has. An autoscaler moves between the two where they differ."""

    min: int = Field(ge=0, le=10_000)
    max: int = Field(ge=1, le=10_000)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is over max {self.max}; make min at most max")
        return self

    @property
    def fixed(self) -> bool:
        """True where nothing scales."""
        return self.min == self.max


def _replicas(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"min": value, "max": value}
    if not isinstance(value, dict | ReplicaRange):
        raise ValueError("is no number of replicas; write a whole number, or {min: 1, max: 3}")  # noqa: TRY004
    return value  # pyright: ignore[reportUnknownVariableType]


def _gpu(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _adapter(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _model_storage(value: Any) -> Any:
    return {"size": value} if isinstance(value, str) else value


class GpuSpec(SpecPart):
    """The accelerator of one replica. ``gpu: nvidia-t4`` is short for ``gpu: {type: nvidia-t4}``."""

    type: Identifier
    """Which kind, as a GPU pool offers it: ``nvidia-t4``, ``nvidia-a100-80gb``, ``amd-mi300x``."""
    count: Count = 1
    """How many of them one replica takes; more than one means tensor parallel."""
    mig_profile: str | None = Field(default=None, pattern=r"^\d+g\.\d+gb$")
    """A slice of an NVIDIA GPU in place of a whole one: ``1g.10gb``."""


class AdapterSpec(SpecPart):
    """A LoRA adapter served on top of a model, as a model of its own name. ``adapters: {law: law.gguf}`` is short for
    ``adapters: {law: {source: law.gguf}}``."""

    source: str = Field(min_length=1)
    """llama.cpp and Ollama: a GGUF file, absolute or relative to the project's directory, as ``paddock models adapter
    prepare`` writes it. vLLM: a Hugging Face repository, or a folder of the image with the weights."""
    scale: float = Field(default=1.0, ge=0, le=10)
    """How strongly it works: 1 as it was trained. llama.cpp only."""
    rank: int | None = Field(default=None, ge=1, le=512)
    """Its rank, for which vLLM keeps room. Default: 16, or less."""


class WeightsSpec(SpecPart):
    """A GGUF file of your own in place of the catalogue's source."""

    path: str = Field(min_length=1)
    """Absolute, or relative to the project's directory."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Checked before the file is served: 64 hexadecimal digits, as ``sha256sum`` prints them."""


class ResourceAmounts(SpecPart):
    """CPUs and memory of one replica."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class ResourcesSpec(SpecPart):
    """What one replica is promised (requests) and what it may use at most (limits)."""

    requests: ResourceAmounts = ResourceAmounts()
    limits: ResourceAmounts = ResourceAmounts()


class ModelStorageSpec(SpecPart):
    """Where one model's weights live. Unset fields take the fleet's ``storage``."""

    mode: StorageMode | None = None
    size: Quantity | None = None
    storage_class: str | None = None
    image: Image | None = None
    """With ``mode: image``: the OCI image that holds the weights."""


class ModelSpec(SpecPart):
    """One model of the fleet."""

    model: Identifier
    """Its name in the catalogue, such as ``llama3.1:8b``."""
    engine: Engine = "auto"
    """Which server runs it. ``auto``: on the local target llama.cpp where the weights are at hand, else
    Ollama where its binary is on PATH; on Docker and Kubernetes Ollama."""
    replicas: Annotated[ReplicaRange, BeforeValidator(_replicas, json_schema_input_type=int | ReplicaRange)] = (
        ReplicaRange(min=1, max=1)
    )
    """A number, or ``{min, max}``."""
    gpu: Annotated[GpuSpec, BeforeValidator(_gpu, json_schema_input_type=str | GpuSpec)] | None = None
    context_length: int | None = Field(default=None, ge=128, le=10_000_000)
    """Tokens that one request may use, prompt and reply together. Default: 4096, or less where the
    model was trained for less."""
    parallel: int = Field(default=1, ge=1, le=256)
    """Requests that one replica computes at the same time. Memory grows with parallel x context."""
    quantization: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    """A GGUF level (``Q4_K_M``) or a vLLM method (``bitsandbytes``). Default: the source's own."""
    adapters: dict[
        Identifier, Annotated[AdapterSpec, BeforeValidator(_adapter, json_schema_input_type=str | AdapterSpec)]
    ] = Field(default_factory=dict)
    """LoRA adapters by the name that clients ask for and aliases weigh: each is a model of the fleet."""
    keep_alive: Duration = "10m"
    """How long an idle model stays in memory (Ollama)."""
    resources: ResourcesSpec = ResourcesSpec()
    storage: Annotated[
        ModelStorageSpec, BeforeValidator(_model_storage, json_schema_input_type=str | ModelStorageSpec)
    ] = ModelStorageSpec()
    weights: WeightsSpec | None = None
    usd_per_hour: float | None = Field(default=None, ge=0)
    """What one replica costs in US dollars an hour, where you know better than the price table."""
    autoscaling: AutoscalingSpec | None = None
    """In place of the fleet's own ``autoscaling``."""
    rollout: Literal["surge", "replace"] | None = None
    """How Kubernetes changes running replicas: ``surge`` starts one more first, which takes a spare GPU;
    ``replace`` stops one first. Default: surge where each pod has a volume of its own or shares one,
    replace with ``perReplica``, where a claim belongs to its replica."""
    pods: PodSpec = PodSpec()
    serving: ServingSpec = ServingSpec()
    """How its engine computes, with one meaning over engines."""
    vllm: VllmSpec = VllmSpec()
