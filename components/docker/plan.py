"""From a FleetSpec to a plan for a Docker host, or to every problem that stands in its way."""

from __future__ import annotations

import hashlib
from pathlib import Path

from components.docker.gpus import GpuAllocation
from components.docker.images import LLAMACPP_REPOSITORY, WEB_UI_IMAGE, image_of, qualified
from components.docker.model import DockerModel, DockerPlan, EngineName, WeightsFile
from components.docker.sizes import gpu_problems, sizes_of
from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.catalogue_entry import CatalogueModel, GgufSource
from fleet_spec.errors import Problem, SpecError
from fleet_spec.model_spec import ModelSpec
from fleet_spec.names import safe_name
from fleet_spec.quantities import amount
from fleet_spec.quantization import ollama_source
from fleet_spec.spec import FleetSpec

DEFAULT_CONTEXT_LENGTH_TOKENS = 4096
"""What a request may use where the config names no context, or less where the model was made for less."""


def plan_fleet(spec: FleetSpec, stack: str, catalogue: Catalogue, project: Path) -> DockerPlan:
    """Decide a whole fleet.

    Args:
        spec: What to build.
        stack: The stack's name.
        catalogue: The models that are known.
        project: The directory that relative paths of weights begin at.

    Raises:
        SpecError: with everything that keeps the fleet from the host, as far as the spec tells.
    """
    problems: list[Problem] = []
    router_image = spec.router.image or (spec.router.build.name if spec.router.build is not None else None)
    if router_image is None:
        problems.append(
            Problem(
                "router.image",
                "is missing: a Docker host runs the router from an image",
                "name one, or say in router.build where the stack is to build it",
            )
        )
    allocation = GpuAllocation(spec.docker)
    models: list[DockerModel] = []
    for name, model in spec.models.items():
        outcome = _plan_model(name, model, spec, allocation, catalogue, project)
        if isinstance(outcome, DockerModel):
            models.append(outcome)
        else:
            problems += outcome
    if problems or router_image is None:
        raise SpecError(problems)
    return DockerPlan(
        spec=spec,
        stack=stack,
        models=tuple(models),
        router_image=qualified(router_image),
        web_ui_image=qualified(spec.web_ui.image or WEB_UI_IMAGE),
    )


def _plan_model(
    name: str, model: ModelSpec, spec: FleetSpec, allocation: GpuAllocation, catalogue: Catalogue, project: Path
) -> DockerModel | list[Problem]:
    key = f"models.{name}"
    problems: list[Problem] = []
    entry = _entry(catalogue, model.model)
    engine: EngineName = "ollama" if model.engine == "auto" else model.engine
    source = _source(model, engine, entry, project)
    if source is None:
        problems.append(
            Problem(
                f"{key}.engine",
                f"{engine!r}: the catalogue knows no source of {model.model} for it",
                _other_engines(entry) or "give a GGUF file of your own in 'weights'",
            )
        )
    vendor = allocation.vendor(model)
    image = image_of(engine, vendor, spec.docker.images)
    if image is None:
        example = f", such as {LLAMACPP_REPOSITORY}" if engine == "llamacpp" else ""
        problems.append(
            Problem(
                f"docker.images.{engine}",
                f"Paddock knows no release of an image of {engine} for {key}",
                f"name its repository{example}, and its tag or digest",
            )
        )
    gpus = allocation.take(key, model)
    if isinstance(gpus, Problem):
        return [*problems, gpus]
    trained_tokens = entry.architecture.context_length if entry is not None else DEFAULT_CONTEXT_LENGTH_TOKENS
    context_length = model.context_length or min(DEFAULT_CONTEXT_LENGTH_TOKENS, trained_tokens)
    sizes, size_problems = sizes_of(key, model, engine, entry, context_length)
    problems += size_problems
    if entry is not None:
        problems += gpu_problems(key, model, engine, entry, context_length)
    if problems or source is None or image is None:
        return problems
    cpu = model.resources.limits.cpu
    return DockerModel(
        name=name,
        safe_name=safe_name(name),
        spec=model,
        generation=_generation(engine, source),
        engine=engine,
        image=image,
        source=source,
        served_name=_served_name(model, engine, entry, source),
        context_length=context_length,
        parallel=model.vllm.max_sequences if engine == "vllm" else model.parallel,
        capabilities=entry.capabilities if entry is not None else ("chat", "completion"),
        gpus=gpus,
        memory_bytes=sizes.limit_bytes,
        needed_bytes=sizes.needed_bytes,
        weights_bytes=sizes.weights_bytes,
        cpus=amount(cpu) if cpu is not None else None,
    )


def _entry(catalogue: Catalogue, name: str) -> CatalogueModel | None:
    """The catalogue's entry; None for weights of the user's own under a name that it does not know."""
    try:
        return catalogue.get(name)
    except UnknownModelError:
        return None


def _source(
    model: ModelSpec, engine: EngineName, entry: CatalogueModel | None, project: Path
) -> str | GgufSource | WeightsFile | None:
    if model.weights is not None:
        path = (project / Path(model.weights.path).expanduser()).resolve()
        packaged = entry.sources.packaged if entry is not None else None
        known = packaged is not None and packaged.sha256 == model.weights.sha256
        return WeightsFile(
            str(path), model.weights.sha256, packaged.prompting if packaged is not None and known else None
        )
    if entry is None:
        return None
    if engine == "vllm":
        return entry.sources.vllm
    if engine == "llamacpp":
        return entry.sources.llamacpp
    return ollama_source(entry.sources.ollama, model.quantization)[0] if entry.sources.ollama is not None else None


def _other_engines(entry: CatalogueModel | None) -> str | None:
    if entry is None:
        return None
    known = {"ollama": entry.sources.ollama, "llamacpp": entry.sources.llamacpp, "vllm": entry.sources.vllm}
    found = [engine for engine, source in known.items() if source is not None]
    return f"write {' or '.join(found)}" if found else None


def _served_name(
    model: ModelSpec, engine: EngineName, entry: CatalogueModel | None, source: str | GgufSource | WeightsFile
) -> str:
    if engine == "ollama" and isinstance(source, str):
        return source
    return entry.name if entry is not None else model.model


def _generation(engine: str, source: str | GgufSource | WeightsFile) -> str:
    """Five hexadecimal digits that stand for what is in the volume of weights."""
    match source:
        case GgufSource():
            text = f"{source.repo}/{source.file}"
        case WeightsFile():
            text = source.sha256
        case _:
            text = source
    return hashlib.sha256(f"{engine} {text}".encode()).hexdigest()[:5]
