"""What an engine cannot do of a model's settings: refused with the way out, so that none is ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Final, Literal

from pydantic.alias_generators import to_camel

from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.errors import Problem
from fleet_spec.model_spec import ModelSpec
from fleet_spec.quantization import quantization_problem
from fleet_spec.serving_spec import EngineName, ServingSpec
from fleet_spec.spec import FleetSpec

Target = Literal["local", "docker", "kubernetes"]

_REMOVE = "remove it"
_UNKNOWN: Final[dict[EngineName, dict[str, tuple[str, str]]]] = {
    "llamacpp": {"compile_level": ("llama.cpp compiles nothing as it starts", "remove it, or write engine: vllm")},
    "ollama": {
        "micro_batch_size": ("Ollama makes it as large as batchSize", _REMOVE),
        "batch_threads": ("Ollama computes prompts with as many threads as the rest", _REMOVE),
        "compile_level": ("Ollama compiles nothing as it starts", "remove it, or write engine: vllm"),
        "speculative": ("Ollama guesses no tokens ahead", "remove it, or write engine: llamacpp or vllm"),
    },
    "vllm": {
        "micro_batch_size": ("vLLM's steps have no parts", "remove it, or write batchSize"),
        "threads": ("vLLM computes on the GPU", _REMOVE),
        "batch_threads": ("vLLM computes on the GPU", _REMOVE),
        "gpu_layers": ("vLLM keeps every layer on its GPUs", "remove it, or write engine: llamacpp or ollama"),
        "load_mode": ("vLLM copies its weights to its GPUs", _REMOVE),
    },
}
"""Settings that an engine does not have, with what it does instead and the way out."""

_OF_THE_MODEL: Final = ("threads", "batch_size", "gpu_layers", "load_mode")
"""Settings that Ollama takes with the model alone, which Paddock makes on the local target."""


def setting_problems(key: str, engine: EngineName, target: Target, serving: ServingSpec) -> Iterator[Problem]:
    """Every setting that an engine cannot follow.

    Args:
        key: The model's place in the config, such as ``models.assistant``.
        engine: Which server runs it.
        target: Where it runs.
        serving: Its settings.
    """
    for name in sorted(serving.given & _UNKNOWN[engine].keys()):
        message, fix = _UNKNOWN[engine][name]
        yield Problem(f"{key}.serving.{to_camel(name)}", message, fix)
    place = f"{key}.serving.kvCacheType"
    if engine != "vllm" and serving.kv_cache_type == "fp8":
        yield Problem(place, "'fp8' is a format of vLLM's", "write q8_0, which takes as much memory")
    if engine == "vllm" and serving.kv_cache_type in ("q8_0", "q4_0"):
        yield Problem(place, f"{serving.kv_cache_type!r} is a format of llama.cpp's", "write fp8, or f16")
    if engine == "vllm" and serving.flash_attention is False:
        yield Problem(f"{key}.serving.flashAttention", "vLLM computes attention in no other way", _REMOVE)
    if engine == "ollama":
        yield from _ollama(key, target, serving)
    if engine == "llamacpp" and serving.speculative is not None and serving.speculative.model is not None:
        path = PurePath(serving.speculative.model)
        if not path.is_absolute() or path.suffix != ".gguf":
            yield Problem(
                f"{key}.serving.speculative.model",
                f"{serving.speculative.model!r} is no absolute path of a GGUF file",
                "write where the smaller model's .gguf file is, from the root",
            )


def _ollama(key: str, target: Target, serving: ServingSpec) -> Iterator[Problem]:
    if serving.prefix_cache is False:
        yield Problem(f"{key}.serving.prefixCache", "Ollama always keeps the last prompt of a slot", _REMOVE)
    if serving.load_mode == "lock":
        yield Problem(f"{key}.serving.loadMode", "Ollama locks no memory", "write map or copy, or engine: llamacpp")
    if target == "local":
        return
    for name in _OF_THE_MODEL:
        if name in serving.given:
            yield Problem(
                f"{key}.serving.{to_camel(name)}",
                f"Ollama takes it with the model, which the {target} target serves as it was pulled",
                "remove it; resources and gpu say what a replica gets",
            )


def serving_problems(rest: FleetSpec, models: Mapping[str, ModelSpec], catalogue: Catalogue) -> Iterator[Problem]:
    """Every setting and quantisation that cannot be followed, as far as the spec alone can tell.

    On the local target ``engine: auto`` is decided by what the machine has; what that engine cannot do is found then.

    Args:
        rest: All sections but the models.
        models: The models without mistakes of their own.
        catalogue: The models that are known.
    """
    for name, model in models.items():
        key = f"models.{name}"
        yield from _said_twice(key, model)
        engine = model.engine
        if engine == "auto":
            if rest.target == "local":
                continue
            engine = "ollama"
        yield from setting_problems(key, engine, rest.target, model.serving)
        try:
            entry = catalogue.get(model.model)
        except UnknownModelError:
            entry = None
        in_an_image = rest.target == "kubernetes" and (model.storage.mode or rest.storage.mode) == "image"
        own_weights = model.weights is not None or in_an_image
        problem = quantization_problem(
            key, engine, model.quantization, entry, own_weights=own_weights, packaged=rest.target == "local"
        )
        if problem is not None:
            yield problem


def _said_twice(key: str, model: ModelSpec) -> Iterator[Problem]:
    """``vllm`` had two of the settings before there was a place for those of every engine."""
    for name in ("prefix_cache", "compile_level"):
        if name in model.serving.given and name in model.vllm.model_fields_set:
            shown = to_camel(name)
            yield Problem(
                f"{key}.vllm.{shown}", f"serving.{shown} says the same", f"keep serving.{shown} and remove this one"
            )
