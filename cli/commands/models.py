"""models show: what is known of a model, and the memory that it needs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.catalogue.listing import default_quantization
from cli.catalogue.of_stack import catalogue_of
from cli.commands.catalogue import ENGINES, billions, summary
from cli.console import table, write, write_json
from components.local.plan import DEFAULT_CONTEXT_LENGTH_TOKENS
from fleet_spec.catalogue import Catalogue
from fleet_spec.catalogue_entry import Architecture, CatalogueModel
from fleet_spec.errors import BadInputError
from fleet_spec.gpus import GPUS
from fleet_spec.price_spec import PricesSpec
from fleet_spec.prices.advice import GPU_COUNTS, cheapest_holding
from fleet_spec.sizing.advice import Placement
from fleet_spec.sizing.estimate import GIB, Engine, MemoryEstimate, estimate_with_weights, fits
from fleet_spec.sizing.gguf_file import read_gguf
from fleet_spec.sizing.hugging_face import read_hugging_face_config
from fleet_spec.sizing.weights import gguf_bytes, vllm_bytes

_CHEAPEST_SHOWN = 3


def show_model(
    name: str,
    *,
    engine: str,
    quantization: str | None,
    context: int | None,
    parallel: int,
    gpu: str | None = None,
    stack: str = "dev",
    as_json: bool,
) -> None:
    """Print what is known of a model, the memory a replica needs, and the GPUs that hold it.

    Args:
        name: A model of the catalogue, or the path of a GGUF file or of a Hugging Face config.json.
        engine: What runs it.
        quantization: In place of the source's own. A file has the one it has.
        context: Tokens of one request.
        parallel: Requests at the same time.
        gpu: A kind of GPU to give advice about.
        stack: Whose catalogue is looked into.
        as_json: Print one JSON document.

    Raises:
        BadInputError: the model, file, engine or quantisation cannot be used, or the context is too long.
    """
    if engine not in ENGINES:
        raise BadInputError(f"{engine!r} is no engine. fix: one of {', '.join(ENGINES)}")
    if name.endswith(".gguf"):
        shown = _from_file(Path(name), engine)
    elif name.endswith(".json"):
        shown = _from_config(Path(name), engine, quantization)
    else:
        shown = _from_catalogue(catalogue_of(stack), name, engine, quantization)
    longest = shown.architecture.context_length
    tokens = context or min(DEFAULT_CONTEXT_LENGTH_TOKENS, longest)
    if tokens > longest:
        raise BadInputError(f"{tokens} is over the {longest} tokens of {name}. fix: --context {longest} or less")

    def needed(gpus: int) -> MemoryEstimate:
        return estimate_with_weights(
            shown.architecture,
            shown.weights_bytes,
            engine=engine,
            context_length=tokens,
            parallel=parallel,
            gpus=gpus,
        )

    holding = {
        gpu.name: count
        for gpu in GPUS.values()
        for count in reversed(GPU_COUNTS)
        if fits(needed(count), engine=engine, gpu_memory_bytes=gpu.memory_bytes, gpus=count)
    }
    memory = needed(1)
    cheapest = cheapest_holding(needed, engine=engine, prices=PricesSpec())[:_CHEAPEST_SHOWN]
    advice = _advice(shown, engine, gpu, tokens, parallel) if gpu is not None else None
    if as_json:
        document = {
            **shown.document,
            **({"advice": advice} if advice is not None else {}),
            "engine": engine,
            "quantization": shown.quantization,
            "contextLength": tokens,
            "parallel": parallel,
            "memory": memory.to_mapping(),
            "gpus": [{"type": gpu, "count": count} for gpu, count in holding.items()],
            "cheapest": [
                {
                    "type": one.gpu,
                    "count": one.gpus,
                    "usdPerHour": round(one.price.usd, 4),
                    "source": one.price.source,
                    "confirmed": one.price.confirmed,
                }
                for one in cheapest
            ],
        }
        write_json(document)
        return
    for line in shown.lines:
        write(line)
    write(f"on {engine}, {shown.quantization or '16 bits'}, {tokens:,} tokens x {parallel}:")
    rows = [
        ["weights", _gib(memory.weights_bytes)],
        ["KV cache", _gib(memory.kv_cache_bytes)],
        ["overhead", _gib(memory.overhead_bytes)],
        ["total", _gib(memory.total_bytes)],
    ]
    table(["memory", "GiB"], rows)
    held = ", ".join(kind if count == 1 else f"{count} x {kind}" for kind, count in holding.items())
    write(f"GPUs that hold it: {held or 'none known'}")
    if cheapest:
        prices = [[f"{one.gpus} x {one.gpu}", f"{one.price.usd:.2f}", one.price.source] for one in cheapest]
        table(["cheapest", "USD an hour", "list price"], prices)
    if advice is not None:
        shown_advice = [[_ADVICE[key], "none fits" if value is None else f"{value}"] for key, value in advice.items()]
        table([f"on one {gpu}", ""], shown_advice)


_ADVICE = {
    "fits": "these settings fit",
    "longestContext": "longest context, tokens",
    "mostParallel": "most requests at a time",
    "finestQuantization": "finest quantisation",
    "tokensPerSecondBound": "tokens/s of one request, upper bound",
}


def _advice(shown: _Shown, engine: Engine, gpu: str, tokens: int, parallel: int) -> dict[str, Any]:
    if gpu not in GPUS:
        near = difflib.get_close_matches(gpu, GPUS, n=3) or GPUS
        raise BadInputError(f"{gpu!r} is no known GPU. fix: --gpu {' or '.join(near)}")
    if shown.model is None:
        raise BadInputError("--gpu gives advice about models of the catalogue. fix: leave it out for a file")
    placement = Placement(shown.model, engine, GPUS[gpu])
    return {
        "fits": placement.holds(shown.quantization, tokens, parallel),
        "longestContext": placement.longest_context(shown.quantization, parallel),
        "mostParallel": placement.most_parallel(shown.quantization, tokens),
        "finestQuantization": placement.finest_quantization(tokens, parallel),
        "tokensPerSecondBound": round(placement.tokens_per_second_bound(shown.quantization), 1),
    }


@dataclass(frozen=True)
class _Shown:
    """A model as it is shown, whatever it was read from."""

    architecture: Architecture
    weights_bytes: int
    quantization: str | None
    model: CatalogueModel | None
    """The catalogue's entry; None for a file."""
    document: dict[str, Any]
    lines: list[str]


def _from_catalogue(catalogue: Catalogue, name: str, engine: Engine, quantization: str | None) -> _Shown:
    model = catalogue.get(name)
    level = quantization or default_quantization(model, engine)
    longest = model.architecture.context_length
    return _Shown(
        architecture=model.architecture,
        weights_bytes=vllm_bytes(model, level) if engine == "vllm" else gguf_bytes(model, level or "Q4_K_M"),
        quantization=level,
        model=model,
        document={
            **summary(model),
            "licenceNote": model.licence_note or catalogue.licence_of(model).note,
            "sources": model.sources.model_dump(mode="json", exclude_none=True),
        },
        lines=[
            f"{model.name}: {billions(model.parameters.total)} parameters, up to {longest:,} tokens, {model.licence}",
            f"can: {', '.join(model.capabilities)}; good for: {', '.join(model.use_cases)}",
            *([model.deprecated.sentence(model.name)] if model.deprecated is not None else []),
        ],
    )


def _from_config(path: Path, engine: Engine, quantization: str | None) -> _Shown:
    model = read_hugging_face_config(path)
    level = quantization or (None if engine == "vllm" else "Q4_K_M")
    longest = model.architecture.context_length
    return _Shown(
        architecture=model.architecture,
        weights_bytes=vllm_bytes(model, level) if engine == "vllm" else gguf_bytes(model, level or "Q4_K_M"),
        quantization=level,
        model=model,
        document={
            "name": None,
            "family": model.family,
            "file": str(path),
            "parameters": model.parameters.model_dump(mode="json", exclude_none=True),
            "architecture": model.architecture.model_dump(mode="json", exclude_none=True),
        },
        lines=[
            f"{path}: {billions(model.parameters.total)} parameters, up to {longest:,} tokens, "
            f"architecture {model.family}"
        ],
    )


def _from_file(path: Path, engine: Engine) -> _Shown:
    if engine == "vllm":
        raise BadInputError(f"{path} is a GGUF file, which vllm is not asked to serve. fix: --engine llamacpp")
    model = read_gguf(path)
    longest = model.architecture.context_length
    return _Shown(
        architecture=model.architecture,
        weights_bytes=model.weights_bytes,
        quantization="as in the file",
        model=None,
        document={
            "name": model.name,
            "family": model.family,
            "file": str(path),
            "parameters": {"total": model.parameters},
            "architecture": model.architecture.model_dump(mode="json", exclude_none=True),
        },
        lines=[
            f"{model.name or path.name}: {billions(model.parameters)} parameters, up to {longest:,} tokens, "
            f"architecture {model.family}"
        ],
    )


def _gib(count: int) -> str:
    return f"{count / GIB:.2f}"
