"""What a stack's config may say of containers: images, where pods run, and what every pod gets besides."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fleet_spec.base import SpecPart

_IMAGE = re.compile(
    r"^(?P<repository>[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*)(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(@(?P<digest>sha256:[0-9a-f]{64}))?$"
)
_MOVING_TAGS = frozenset({"latest", "main", "master", "nightly", "dev", "edge"})


def _pinned(value: str) -> str:
    found = _IMAGE.match(value)
    if found is None:
        raise ValueError("is no image; write it as 'registry/name:tag' or 'registry/name@sha256:...'")
    if found["digest"] is None and (found["tag"] is None or found["tag"] in _MOVING_TAGS):
        raise ValueError("is an image that moves; name a release's tag or a digest")
    return value


def _toleration(value: str) -> str:
    if not re.match(r"^[A-Za-z0-9./_-]+(=[A-Za-z0-9._-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$", value):
        raise ValueError("is no taint; write 'key=value:NoSchedule' or 'key:NoSchedule'")
    return value


def _variable_name(value: str) -> str:
    if not re.match(r"^[A-Za-z_][A-Za-z0-9_]*$", value):
        raise ValueError("is no name of an environment variable; use letters, digits and _")
    return value


Image = Annotated[str, Field(max_length=500), AfterValidator(_pinned)]
"""A container image that stays what it is: with a release's tag, a digest, or both."""

Taint = Annotated[str, AfterValidator(_toleration)]
"""``key=value:Effect`` or ``key:Effect``, as ``kubectl taint`` writes it."""

VariableName = Annotated[str, AfterValidator(_variable_name)]

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""The name of a Kubernetes object."""

LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}\w)?$")
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]
Labels = dict[LabelKey, LabelValue]


class SecretKeyRef(SpecPart):
    """One entry of a Kubernetes Secret of your own, in the fleet's namespace. Paddock never reads it."""

    name: ObjectName
    key: str = Field(default="token", pattern=r"^[-._a-zA-Z0-9]+$")


class EngineImage(SpecPart):
    """Which image an engine runs from. Unset fields keep Paddock's own choice."""

    repository: str | None = Field(default=None, pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$")
    """Name without tag, such as ``registry.example.com/ollama``."""
    tag: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    """Pins the image's bytes; the tag is then for people."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.tag in _MOVING_TAGS and self.digest is None:
            raise ValueError(f"tag {self.tag!r} moves; name a release's tag, or give its digest too")
        return self


class PodSpec(SpecPart):
    """Where pods run and what they get besides. A model's own setting adds to the fleet's or wins over it."""

    tolerations: tuple[Taint, ...] = ()
    """Taints of nodes that the pods may run on, besides those of their GPU pool."""
    node_selector: Labels = Field(default_factory=dict)
    priority_class: ObjectName | None = None
    runtime_class: ObjectName | None = None
    """Only where the cluster has it: ``nvidia`` where the driver's runtime is not the nodes' default."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Further environment variables of the server, in plain text; they win over Paddock's own."""
    annotations: dict[LabelKey, str] = Field(default_factory=dict)
    topology_spread: Literal["zone", "node", "none"] | None = None
    """What replicas are spread over where possible. Default: zones and nodes."""


class VllmSpec(SpecPart):
    """How vLLM serves a model. Its length is the model's ``contextLength``, its method ``quantization``."""

    max_sequences: int = Field(default=256, ge=1, le=4096)
    """Requests that one replica computes at the same time."""
    gpu_memory_share: float = Field(default=0.9, gt=0.1, le=0.98)
    """The share of a GPU's memory that vLLM takes for weights and KV cache."""
    compile_level: Literal[0, 1, 2, 3] | None = None
    """0 compiles nothing, 3 the most: a slower start for faster tokens. Default: vLLM's own."""
    prefix_cache: bool = True
    """Keep the KV cache of beginnings that requests share."""
    tensor_parallel: int | None = Field(default=None, ge=1, le=64)
    """Over how many GPUs of one node each layer is split. Default: ``gpu.count``."""
    data_type: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    shared_memory: str = Field(default="4Gi", pattern=r"^\d+(Mi|Gi)$")
    """Size of /dev/shm, which the processes of one replica speak through."""
    arguments: tuple[str, ...] = ()
    """Further arguments of ``vllm serve``, as they are."""
