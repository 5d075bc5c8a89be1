"""From an adapter as peft saves it to the GGUF file that llama.cpp and Ollama serve."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.adapters.peft_folder import LoraMatrix, PeftAdapter
from fleet_spec.adapters import LORA_A, LORA_B, Adapter, AdapterError, require_base
from fleet_spec.sizing.gguf_file import GgufHeader

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float32]]

FAMILIES: Final = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3")
"""Architectures whose matrices stand in GGUF files as Hugging Face has them, but for what is turned below."""
_TURNED_FAMILIES: Final = frozenset({"llama"})
"""Those whose queries and keys have their rows in another order: llama.cpp pairs neighbours for the rotary embedding,
Hugging Face a row of the first half of a head with one of the second."""
_LAYER: Final = re.compile(r"(?:^|\.)(layers\.\d+\..+)$")


@dataclass(frozen=True)
class Converted:
    """An adapter in llama.cpp's terms."""

    family: str
    alpha: float
    matrices: Mapping[str, LoraMatrix]
    """By the matrix's name in the base's GGUF file; each scaled by ``alpha / rank``."""


def convert(adapter: PeftAdapter, base: GgufHeader, *, scale: float = 1.0) -> Converted:
    """Say an adapter in llama.cpp's terms, and make sure that it belongs to its base.

    Args:
        adapter: As it was trained.
        base: The header of the base's GGUF file.
        scale: How strong it is made, 1 being as it was trained.

    Raises:
        AdapterError: it does not belong to this base, or the base is of an architecture that is not known here.
    """
    if base.family not in FAMILIES:
        raise AdapterError(
            f"{base.path.name} is a {base.family}; adapters of {', '.join(FAMILIES)} can be converted here. "
            "fix: use llama.cpp's own convert_lora_to_gguf.py, and check its file with this command"
        )
    alpha = adapter.alpha * scale
    names = _names(base)
    matrices: dict[str, LoraMatrix] = {}
    for module, matrix in sorted(adapter.matrices.items()):
        name = names(module)
        if name is None:
            raise AdapterError(
                f"{adapter.folder} changes {module}, which no {base.family} has. "
                "fix: name the base that it was trained on"
            )
        # llama.cpp multiplies by alpha / rank; what was trained with another factor has it moved into its weights.
        factor = matrix.scale * scale * matrix.rank / alpha
        second = matrix.second * matrix.second.dtype.type(factor)
        matrices[name] = LoraMatrix(matrix.first, _turned(name, second, base), alpha / matrix.rank)
    described = Adapter(
        path=adapter.folder,
        family=base.family,
        rank=max(matrix.rank for matrix in matrices.values()),
        alpha=alpha,
        matrices={name: (int(matrix.first.shape[1]), int(matrix.second.shape[0])) for name, matrix in matrices.items()},
        size_bytes=sum(matrix.first.nbytes + matrix.second.nbytes for matrix in matrices.values()),
    )
    require_base(described, base)
    return Converted(base.family, alpha, matrices)


def write_adapter(converted: Converted, path: Path, *, name: str, base_name: str) -> None:
    """Write the GGUF file, whole or not at all.

    Args:
        converted: The adapter.
        path: Where to; what is there is replaced.
        name: What the file calls it.
        base_name: What the file says of its base; nothing where that is empty.
    """
    # Heavy, and needed by this command alone.
    import gguf

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    writer = gguf.GGUFWriter(unfinished, converted.family)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_name(name)
        if base_name:
            writer.add_base_model_count(1)
            writer.add_base_model_name(0, base_name)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, converted.alpha)
        for matrix, halves in converted.matrices.items():
            writer.add_tensor(matrix + LORA_A, halves.first)
            writer.add_tensor(matrix + LORA_B, halves.second)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _names(base: GgufHeader) -> Callable[[str], str | None]:
    """Gives llama.cpp's name of a module's matrix, or None where the architecture has no such module."""
    import gguf

    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == base.family)
    table = gguf.get_tensor_name_map(architecture, int(base.metadata.get(f"{base.family}.block_count") or 0))

    def name_of(module: str) -> str | None:
        # Whatever wraps the text model adds words in front: model., model.language_model., language_model.model.
        layer = _LAYER.search(module)
        known = f"model.{layer[1]}" if layer is not None else module
        return table.get_name(f"{known}.weight", try_suffixes=(".weight",))

    return name_of


def _turned(name: str, second: Array, base: GgufHeader) -> Array:
    """The half that makes outputs, its rows in llama.cpp's order."""
    kind = name.split(".")[-2]
    if base.family not in _TURNED_FAMILIES or kind not in ("attn_q", "attn_k"):
        return second
    heads = int(base.metadata.get(f"{base.family}.attention.head_count") or 1)
    if kind == "attn_k":
        heads = int(base.metadata.get(f"{base.family}.attention.head_count_kv") or heads)
    rows, rank = second.shape
    if rows % (heads * 2):
        return second  # of another shape than the base's, which is told with all others
    return second.reshape(heads, 2, rows // heads // 2, rank).swapaxes(1, 2).reshape(rows, rank)
