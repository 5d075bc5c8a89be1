"""Which GPUs of the host each replica gets."""

from __future__ import annotations

from typing import Literal

from components.docker.description import GpuDevices
from fleet_spec.docker_spec import DockerSpec
from fleet_spec.errors import Problem
from fleet_spec.model_spec import ModelSpec


class GpuAllocation:
    """Hands out the host's GPUs in their order, replica by replica.

    Docker itself only counts: asked for one GPU twice, it gives the first one twice.
    """

    def __init__(self, docker: DockerSpec) -> None:
        self._docker = docker
        self._taken = 0

    def vendor(self, model: ModelSpec) -> Literal["nvidia", "amd"] | None:
        """Whose GPUs a model asks for."""
        if model.gpu is None:
            return None
        return "amd" if model.gpu.type.startswith("amd-") else "nvidia"

    def take(self, key: str, model: ModelSpec) -> tuple[GpuDevices | None, ...] | Problem:
        """What each replica of a model gets, or why there is not enough.

        Args:
            key: The model's key in the config.
            model: The model.
        """
        vendor = self.vendor(model)
        replicas = model.replicas.max
        if vendor is None or model.gpu is None:
            return (None,) * replicas
        count, ids = model.gpu.count, self._docker.gpu_ids
        if ids and count > len(ids):
            return Problem(
                f"{key}.gpu.count", f"{count} is more than the {len(ids)} GPUs in docker.gpuIds", "name more of them"
            )
        if ids and self._docker.gpu_sharing == "exclusive" and self._taken + count * replicas > len(ids):
            return Problem(
                f"{key}.gpu",
                f"{replicas} replicas with {count} GPUs each, and {len(ids) - self._taken} of docker.gpuIds are left",
                "name more GPUs, fewer replicas, or docker.gpuSharing: shared",
            )
        return tuple(GpuDevices(vendor, self._next(count), self._groups(vendor)) for _ in range(replicas))

    def _next(self, count: int) -> tuple[str, ...]:
        first, self._taken = self._taken, self._taken + count
        ids = self._docker.gpu_ids
        if ids:
            return tuple(ids[index % len(ids)] for index in range(first, first + count))
        if self._docker.gpu_sharing == "shared":
            return tuple(str(index) for index in range(count))
        return tuple(str(index) for index in range(first, first + count))

    def _groups(self, vendor: str) -> tuple[str, ...]:
        return self._docker.gpu_groups if vendor == "amd" else ()
