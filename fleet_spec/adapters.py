"""LoRA adapters as GGUF files: what one says of itself, and whether it belongs to a base.

An adapter adds to a matrix W of its base the product of two thin ones, ``W + alpha / rank * B A``
(https://arxiv.org/abs/2106.09685). In the file they stand as ``<matrix>.lora_a`` and ``<matrix>.lora_b``, in shapes
that llama.cpp compares with the base when it loads both. The comparison here is the same, made before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet_spec.errors import BadInputError
from fleet_spec.sizing.gguf_file import GgufHeader, GgufTensor, read_gguf_header

LORA_A: Final = ".lora_a"
LORA_B: Final = ".lora_b"
_MOST_NAMED: Final = 3
_EMBEDDING: Final = "token_embd.weight"
"""Its adapter is stored the other way round: a token's row is looked up and not multiplied."""

OLLAMA_WITHOUT_ADAPTERS: Final = frozenset(
    {
        *("bert", "deepseek2", "deepseekocr", "gemma3", "gemma3n", "gptoss", "gpt-oss", "llama4", "mistral3"),
        *("mllama", "nemotron_h", "nemotron_h_moe", "nomic-bert", "olmo3", "qwen25vl", "qwen3", "qwen3moe"),
        *("qwen35", "qwen35moe", "qwen3next", "qwen3vl", "qwen3vlmoe", "glm4moelite", "glmocr", "lfm2", "lfm2moe"),
    }
)
"""Architectures that Ollama 0.17 runs on its own engine alone, which knows no adapters (fs/ggml/ggml.go)."""


class AdapterError(BadInputError):
    """A file that is no adapter, or not one of this base."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in a file."""

    path: Path
    family: str
    """llama.cpp's name for the architecture of its base."""
    rank: int
    """The largest of its matrices' ranks."""
    alpha: float
    """Its strength: what it adds is scaled by ``alpha / rank``."""
    matrices: Mapping[str, tuple[int, int]]
    """What it changes: inputs and outputs by the matrix's name."""
    size_bytes: int


def read_adapter(path: Path) -> Adapter:
    """Read an adapter's header.

    Raises:
        GgufError: the file is not there, no GGUF file, or cut short.
        AdapterError: there is no LoRA adapter in it.
    """
    header = read_gguf_header(path)
    kind = header.metadata.get("general.type")
    if kind != "adapter" or header.metadata.get("adapter.type") != "lora":
        raise AdapterError(f"{path} holds a {kind or 'model'}, not a LoRA adapter. fix: name the adapter's file")
    alpha = header.metadata.get("adapter.lora.alpha")
    if not isinstance(alpha, float | int) or isinstance(alpha, bool):
        raise AdapterError(f"{path} does not say its alpha (adapter.lora.alpha). fix: convert it again")
    pairs = _pairs(path, header)
    return Adapter(
        path=path,
        family=header.family,
        rank=max(rank for _, rank in pairs.values()),
        alpha=float(alpha),
        matrices={name: shape for name, (shape, _) in pairs.items()},
        size_bytes=sum(tensor.size_bytes for tensor in header.tensors.values()),
    )


def _pairs(path: Path, header: GgufHeader) -> dict[str, tuple[tuple[int, int], int]]:
    """Inputs, outputs and rank of what the file changes, by the matrix's name."""
    found: dict[str, tuple[tuple[int, int], int]] = {}
    for name, first in header.tensors.items():
        matrix = name.removesuffix(LORA_A)
        if matrix == name:
            if not name.endswith(LORA_B):
                raise AdapterError(f"{path} holds {name!r}, which is no part of a LoRA adapter. fix: convert it again")
            continue
        second = header.tensors.get(matrix + LORA_B)
        if second is None:
            raise AdapterError(f"{path} has {name!r} without {matrix + LORA_B!r}. fix: convert it again")
        found[matrix] = _pair(path, matrix, first, second)
    if not found or len(found) * 2 != len(header.tensors):
        raise AdapterError(f"{path} has no whole pair of matrices to each name. fix: convert it again")
    return found


def _pair(path: Path, matrix: str, first: GgufTensor, second: GgufTensor) -> tuple[tuple[int, int], int]:
    if len(first.shape) != 2 or len(second.shape) != 2:
        raise AdapterError(f"{path}: {matrix}: {first.shape} and {second.shape} are no matrices. fix: convert it again")
    if matrix == _EMBEDDING:
        (rank, outputs), (again, inputs) = first.shape, second.shape
    else:
        (inputs, rank), (again, outputs) = first.shape, second.shape
    if rank != again:
        raise AdapterError(f"{path}: {matrix}: its halves have ranks {rank} and {again}. fix: convert it again")
    return (inputs, outputs), rank


def require_base(adapter: Adapter, base: GgufHeader) -> None:
    """Make sure that an adapter belongs to a base.

    Raises:
        AdapterError: it was made for another architecture, changes matrices that the base does not have, or
            matrices of another shape; with all that the first few differ in.
    """
    fix = "fix: name the base that it was trained on, or train it on this one"
    if adapter.family != base.family:
        raise AdapterError(f"{adapter.path} is for {adapter.family} and {base.path.name} is a {base.family}. {fix}")
    differences: list[str] = []
    for name, shape in adapter.matrices.items():
        tensor = base.tensors.get(name)
        if tensor is None:
            differences.append(f"{base.path.name} has no {name}")
        elif tensor.shape != shape:
            differences.append(f"{name} is {_size(tensor.shape)} there and {_size(shape)} in the adapter")
    if differences:
        shown = "; ".join(differences[:_MOST_NAMED])
        more = len(differences) - _MOST_NAMED
        raise AdapterError(f"{adapter.path}: {shown}{f'; and {more} more' if more > 0 else ''}. {fix}")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(one) for one in shape)
