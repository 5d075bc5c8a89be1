"""What a stack's config may say of a Docker host."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from fleet_spec.base import Quantity, SpecPart
from fleet_spec.container_spec import EngineImage

GpuId = Annotated[str, Field(coerce_numbers_to_str=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9:/._-]*$")]
"""A GPU's index (``0``) or, with NVIDIA, its UUID (``GPU-3a23c669-...``, ``MIG-...``)."""

GroupId = Annotated[str, Field(coerce_numbers_to_str=True, pattern=r"^\d+$")]


class DockerImages(SpecPart):
    """Images in place of Paddock's own choice."""

    ollama: EngineImage = EngineImage()
    vllm: EngineImage = EngineImage()
    llamacpp: EngineImage = EngineImage()
    """Its entrypoint is not used: ``/app/llama-server`` is started, as in the images of llama.cpp's project."""


class DockerSpec(SpecPart):
    """The Docker host and what its containers share."""

    host: str | None = Field(default=None, pattern=r"^(unix|tcp|ssh)://\S+$")
    """Where the Docker daemon answers: ``unix:///var/run/docker.sock``, ``ssh://user@host``. Default: as
    DOCKER_HOST says, else this machine's own."""
    memory: Quantity | None = None
    """The host's main memory, for ``paddock plan``, which asks no host. Default: this machine's, where the host is
    this machine."""
    images: DockerImages = DockerImages()
    gpu_ids: tuple[GpuId, ...] = ()
    """The GPUs that the fleet may use, in the order in which replicas take them. Empty: 0, 1, 2 and so on."""
    gpu_sharing: Literal["exclusive", "shared"] = "exclusive"
    """``exclusive``: each replica has GPUs of its own; ``shared``: replicas take turns over ``gpuIds``."""
    gpu_groups: tuple[GroupId, ...] = ()
    """AMD: the numbers of the host's groups that may open /dev/kfd and /dev/dri, as ``getent group video render``
    prints them."""
    hugging_face_token: SecretStr | None = None
    """For gated models (vLLM, llama.cpp). Set with ``pulumi config set --secret --path docker.huggingFaceToken``."""
    load_timeout_seconds: int = Field(default=3600, ge=60, le=86_400)
    """How long fetching a model may take."""
