"""Which quantisations of a model each engine can serve, and what stands in the way of another."""

from __future__ import annotations

from fleet_spec.catalogue_entry import CatalogueModel, OllamaSource
from fleet_spec.errors import Problem
from fleet_spec.serving_spec import EngineName
from fleet_spec.sizing.gguf_file import GgufHeader
from fleet_spec.sizing.weights import GGUF_QUANTIZATIONS, VLLM_QUANTIZATIONS

_FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S"},
    **{12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K"},
    **{25: "IQ4_NL", 30: "IQ4_XS", 32: "BF16", 38: "MXFP4"},
}
"""``general.file_type`` of a GGUF file: enum ``llama_ftype`` in llama.h."""

_MADE_BEFOREHAND = ("awq", "gptq")
"""vLLM loads these from weights that were made so; the others it makes itself from any weights as it loads."""


def gguf_level(header: GgufHeader) -> str | None:
    """The level that a file's header names; None where it names none that is known."""
    named = header.metadata.get("general.file_type")
    return _FILE_TYPES.get(named) if isinstance(named, int) else None


def ollama_levels(source: OllamaSource) -> dict[str, str]:
    """What Ollama can pull of a model: level -> tag, the usual one first."""
    return {source.quantization: source.tag, **{other.quantization: other.tag for other in source.others}}


def ollama_source(source: OllamaSource, wanted: str | None) -> tuple[str, str]:
    """The tag that Ollama pulls, and its level.

    Args:
        source: The catalogue's.
        wanted: The level asked for, which :func:`quantization_problem` has let pass; None takes the usual one.
    """
    for level, tag in ollama_levels(source).items():
        if wanted is not None and level.lower() == wanted.lower():
            return tag, level
    return source.tag, source.quantization


def quantization_problem(
    key: str,
    engine: EngineName,
    wanted: str | None,
    entry: CatalogueModel | None,
    *,
    own_weights: bool,
    packaged: bool = True,
) -> Problem | None:
    """Why an engine cannot serve a model so; None where it can, or where only the weights themselves can tell.

    Args:
        key: The model's place in the config, such as ``models.assistant``.
        engine: Which server runs it.
        wanted: The quantisation asked for.
        entry: The model in the catalogue, if it is there.
        own_weights: Whether the weights are the user's, a file or an image.
        packaged: Whether llama.cpp is given packaged weights, as on the local target, and not a file of Hugging Face.
    """
    if wanted is None:
        return None
    if engine == "vllm":
        return _on_vllm(f"{key}.quantization", wanted, entry, own_weights=own_weights)
    if own_weights or entry is None:
        return None
    return _on_gguf(f"{key}.quantization", engine, wanted, entry, packaged=packaged)


def file_problem(key: str, wanted: str | None, header: GgufHeader) -> Problem | None:
    """Why a file of the user's is not what the config says of it."""
    level = gguf_level(header)
    if wanted is None or level is None or level.lower() == wanted.lower():
        return None
    return Problem(
        f"{key}.quantization",
        f"{wanted!r}, and {header.path.name} says of itself that it is {level}",
        f"write {level}, or name a file of {wanted} (llama.cpp's llama-quantize makes one)",
    )


def _on_gguf(key: str, engine: EngineName, wanted: str, entry: CatalogueModel, *, packaged: bool) -> Problem | None:
    if engine == "ollama":
        source = entry.sources.ollama
        levels = ollama_levels(source) if source is not None else {}
        where = "Ollama's library"
    else:
        file = entry.sources.packaged if packaged else entry.sources.llamacpp
        levels = {file.quantization: file.file} if file is not None else {}
        where = "the packaged weights" if packaged else "the catalogue's file"
    if not levels or any(wanted.lower() == level.lower() for level in levels):
        return None
    if wanted.lower() in VLLM_QUANTIZATIONS:
        return Problem(
            key,
            f"{wanted!r} is a method of vLLM, and {entry.name} is to run on {_SHOWN[engine]}",
            f"write engine: vllm, or one of {', '.join(levels)}",
        )
    fix = f"write {' or '.join(levels)}, or leave it out; else give a GGUF file of {wanted} in 'weights'"
    if engine == "ollama":
        fix += ", or a catalogue of your own that names Ollama's tag of it (sources.ollama.others)"
    return Problem(key, f"{wanted!r}: {entry.name} in {where} is {', '.join(levels)}, as far as is known", fix)


_SHOWN: dict[EngineName, str] = {"llamacpp": "llama.cpp", "ollama": "Ollama", "vllm": "vLLM"}


def _on_vllm(key: str, wanted: str, entry: CatalogueModel | None, *, own_weights: bool) -> Problem | None:
    method = wanted.lower()
    if wanted in GGUF_QUANTIZATIONS:
        return Problem(
            key,
            f"{wanted!r} is a level of GGUF files, which vLLM is not given here",
            "write bitsandbytes (4 bits, NF4) or fp8; or engine: ollama",
        )
    repository = entry.sources.vllm if entry is not None else None
    if method not in _MADE_BEFOREHAND or own_weights or repository is None or method in repository.lower():
        return None
    return Problem(
        key,
        f"{wanted!r} needs weights that were made so, and {repository} has them with 16 bits",
        f"write bitsandbytes or fp8, which vLLM makes as it loads; or a catalogue of your own with a repository of "
        f"{wanted} weights",
    )
