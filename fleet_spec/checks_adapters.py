"""What must hold of adapters, as far as the spec alone can tell."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from fleet_spec.errors import Problem
from fleet_spec.model_spec import AdapterSpec, ModelSpec
from fleet_spec.spec import FleetSpec

_REPOSITORY = re.compile(r"^[\w.-]+/[\w.-]+$")
_SCALE_FIX = "remove it, and give the adapter that strength: `paddock models adapter prepare --scale`"


def adapter_problems(rest: FleetSpec, models: Mapping[str, ModelSpec], names: Collection[str]) -> Iterator[Problem]:
    """Every mistake over adapters.

    Args:
        rest: All sections but the models.
        models: The models without mistakes of their own.
        names: The names of all models.
    """
    owners = dict.fromkeys(names, "a model")
    for name, model in models.items():
        for adapter, said in model.adapters.items():
            key = f"models.{name}.adapters.{adapter}"
            if adapter in owners:
                yield Problem(key, f"{adapter!r} is the name of {owners[adapter]} already", "rename the adapter")
            owners[adapter] = f"an adapter of {name!r}"
            if rest.target == "local":
                yield from _local(key, model, said)
            elif rest.target == "kubernetes" and model.engine == "vllm":
                yield from _vllm(key, model, said, rest)
            else:
                yield Problem(
                    key,
                    f"engine {model.engine!r} serves no adapters on the target {rest.target}",
                    "serve it with vLLM on Kubernetes, or on the local target",
                )


def _local(key: str, model: ModelSpec, said: AdapterSpec) -> Iterator[Problem]:
    if not said.source.lower().endswith(".gguf"):
        yield Problem(
            f"{key}.source",
            f"{said.source!r} is no GGUF file",
            "make one: `paddock models adapter prepare FOLDER --base BASE.gguf --out adapter.gguf`",
        )
    if model.engine == "ollama" and said.scale != 1:
        yield Problem(f"{key}.scale", f"{said.scale:g}: Ollama applies an adapter as it is", _SCALE_FIX)
    if said.rank is not None:
        yield Problem(f"{key}.rank", "is for vLLM; here the file tells it", "remove it")


def _vllm(key: str, model: ModelSpec, said: AdapterSpec, rest: FleetSpec) -> Iterator[Problem]:
    baked = (model.storage.mode or rest.storage.mode) == "image"
    if baked and not said.source.startswith("/"):
        yield Problem(
            f"{key}.source",
            f"{said.source!r}: with storage.mode image nothing is fetched",
            "bake the adapter into the image, and write its folder there as the server sees it",
        )
    elif not baked and not _REPOSITORY.match(said.source):
        yield Problem(
            f"{key}.source", f"{said.source!r} is no repository on Hugging Face", "write owner/name, which vLLM fetches"
        )
    if said.scale != 1:
        yield Problem(
            f"{key}.scale",
            f"{said.scale:g}: vLLM applies an adapter as it was trained",
            "remove it, and change lora_alpha in the adapter's adapter_config.json",
        )
