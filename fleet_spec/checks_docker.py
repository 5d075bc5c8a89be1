"""What must hold between the parts of a spec for the Docker target, as far as the spec alone can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fleet_spec.checks_vllm import vllm_problems
from fleet_spec.docker_spec import DockerSpec
from fleet_spec.errors import Problem
from fleet_spec.model_spec import ModelSpec
from fleet_spec.spec import FleetSpec

_REMOVE = "remove it, or run this fleet on Kubernetes"


def docker_problems(rest: FleetSpec, models: Mapping[str, ModelSpec]) -> Iterator[Problem]:
    """Every mistake between the parts of a config for a Docker host.

    Args:
        rest: All sections but the models.
        models: The models without mistakes of their own.
    """
    if rest.ingress.enabled:
        yield Problem("ingress.enabled", "the Docker target has no ingress", "put a reverse proxy before router.port")
    if rest.web_ui.enabled and rest.web_ui.port == rest.router.port:
        yield Problem("webUi.port", f"{rest.web_ui.port} is also router.port", "name another port")
    for key, given in (("router.keysSecret", rest.router.keys_secret), ("webUi.secretKey", rest.web_ui.secret_key)):
        if given is not None:
            yield Problem(key, "names a Secret of a cluster", "remove it: the stack makes a key of its own")
    for name, model in models.items():
        yield from _model(f"models.{name}", model, rest)


def _model(key: str, model: ModelSpec, rest: FleetSpec) -> Iterator[Problem]:
    if not model.replicas.fixed:
        yield Problem(
            f"{key}.replicas",
            f"nothing scales on a Docker host between {model.replicas.min} and {model.replicas.max}",
            f"write a fixed number, such as {model.replicas.max}",
        )
    if model.storage != ModelSpec(model="any").storage:
        yield Problem(f"{key}.storage", "weights are in a volume of the host's", _REMOVE)
    if model.resources.requests != ModelSpec(model="any").resources.requests:
        yield Problem(f"{key}.resources.requests", "a Docker host promises nothing", "write limits in its place")
    yield from _engine(key, model)
    yield from _gpu(key, model, rest)


def _engine(key: str, model: ModelSpec) -> Iterator[Problem]:
    if model.engine == "vllm":
        if model.weights is not None:
            yield Problem(f"{key}.weights", "vLLM serves no GGUF file here", "write engine: ollama or llamacpp")
        yield from vllm_problems(key, model)
        if model.gpu is None:
            yield Problem(
                f"{key}.gpu", "is missing: the image of vLLM needs a GPU", "name one, or write engine: ollama"
            )
        return
    if model.vllm != ModelSpec(model="any").vllm:
        yield Problem(f"{key}.vllm", f"engine {model.engine!r} makes no use of it", "remove it, or write engine: vllm")


def _gpu(key: str, model: ModelSpec, rest: FleetSpec) -> Iterator[Problem]:
    if model.gpu is None:
        return
    if model.gpu.mig_profile is not None and not any(one.startswith("MIG-") for one in rest.docker.gpu_ids):
        yield Problem(
            f"{key}.gpu.migProfile",
            "Docker finds a slice by its UUID alone",
            "name the slices in docker.gpuIds: [MIG-...], as `nvidia-smi -L` prints them",
        )
    if model.gpu.type.startswith("amd-") and not rest.docker.gpu_groups:
        yield Problem(
            "docker.gpuGroups",
            "is missing: the containers' user may not open /dev/kfd and /dev/dri",
            "write the numbers that `getent group video render` prints on the host",
        )


def docker_unused(rest: FleetSpec) -> Iterator[Problem]:
    """Settings of a Docker host on another target: refused, so that none is ignored in silence."""
    if rest.docker != DockerSpec():
        yield Problem("docker", f"target {rest.target!r} makes no use of it", "remove it")
