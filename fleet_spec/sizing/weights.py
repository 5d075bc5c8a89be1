"""How many bytes a model's weights take, by quantisation."""

from __future__ import annotations

from typing import Final

from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.errors import BadInputError
from fleet_spec.sizing.formats import BITS_PER_WEIGHT, stored_as
from fleet_spec.sizing.tensors import Tensor, tensors_of

# What most tensors of a GGUF level are stored as; the exceptions are in `_gguf_format`.
_GGUF_BASE: Final[dict[str, str]] = {
    "F32": "F32",
    "F16": "F16",
    "BF16": "BF16",
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_K_M": "Q5_K",
    "Q5_K_S": "Q5_K",
    "Q5_0": "Q5_0",
    "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K",
    "Q4_0": "Q4_0",
    "Q3_K_M": "Q3_K",
    "Q2_K": "Q2_K",
    "MXFP4": "MXFP4",
}

# vLLM's methods: bits of a weight in the linear layers; embeddings and norms stay 16 bits wide.
# awq and gptq: 4 bits and a 16-bit scale and a 4-bit zero for each group of 128. bitsandbytes: NF4 with double
# quantisation, 4 bits and 0.127 for the scales (QLoRA, https://arxiv.org/abs/2305.14314, section 3).
_LINEAR_BITS: Final[dict[str, float]] = {
    "none": 16.0,
    "fp8": 8.0,
    "awq": 4 + 20 / 128,
    "gptq": 4 + 20 / 128,
    "bitsandbytes": 4.127,
}

_TOKEN_METADATA_BYTES: Final = 30
"""What a GGUF file holds for each word of the vocabulary, text, score, type and merge together: measured 25 to 40."""
_EIGHT_EXPERTS: Final = 8

GGUF_QUANTIZATIONS = tuple(_GGUF_BASE)
VLLM_QUANTIZATIONS = tuple(_LINEAR_BITS)


class UnknownQuantizationError(BadInputError):
    """A quantisation whose size is not known."""


def gguf_bytes(model: CatalogueModel, quantization: str) -> int:
    """The size of a model's GGUF file, weights and vocabulary, as llama.cpp's ``llama-quantize`` makes it.

    Follows llama.cpp's own choice of a format for each tensor (llama_tensor_get_type in llama-quant.cpp), since
    mixtures such as Q4_K_M differ from their name by a tenth and more. A vision encoder is counted with 16 bits.

    Raises:
        UnknownQuantizationError: it is none of :data:`GGUF_QUANTIZATIONS`.
    """
    if quantization not in _GGUF_BASE:
        raise UnknownQuantizationError(
            f"{quantization!r} is no quantisation of GGUF files. fix: one of {', '.join(GGUF_QUANTIZATIONS)}"
        )
    bits = sum(
        tensor.weights * BITS_PER_WEIGHT[stored_as(_gguf_format(tensor, model, quantization), tensor.row_weights)]
        for tensor in tensors_of(model)
    )
    return round(bits / 8) + _TOKEN_METADATA_BYTES * model.architecture.vocabulary_size


def vllm_bytes(model: CatalogueModel, quantization: str | None) -> int:
    """What a model's weights take in the memory of vLLM's GPUs, all of them together.

    Raises:
        UnknownQuantizationError: it is none of :data:`VLLM_QUANTIZATIONS`.
    """
    method = quantization or "none"
    if method not in _LINEAR_BITS:
        raise UnknownQuantizationError(
            f"{quantization!r} is no quantisation of vLLM. fix: one of {', '.join(VLLM_QUANTIZATIONS)}"
        )
    whole = ("token_embedding", "output", "expert_router", "other")
    bits = sum(
        tensor.weights * (16.0 if tensor.role in whole else _LINEAR_BITS[method]) for tensor in tensors_of(model)
    )
    return round(bits / 8)


def _gguf_format(tensor: Tensor, model: CatalogueModel, level: str) -> str:
    base = _GGUF_BASE[level]
    if tensor.role == "other":
        return "F16" if "vision" in model.capabilities else "F32"
    if tensor.role == "expert_router":
        return "F32"
    if base in ("F32", "F16", "BF16", "Q8_0"):
        return base
    if base == "MXFP4":
        # Published MXFP4 files quantise the experts alone.
        return "MXFP4" if tensor.role.startswith("feed_forward") else "BF16"
    if tensor.role == "output":
        return "Q6_K"
    return _k_quant_exception(tensor, model, level) or base


def _k_quant_exception(tensor: Tensor, model: CatalogueModel, level: str) -> str | None:
    """A finer format for the tensors that quality hangs on, or None where the level's own is kept."""
    figures = model.architecture
    layers, layer = figures.layers, tensor.layer
    eight_experts = figures.experts is not None and figures.experts.count == _EIGHT_EXPERTS
    if tensor.role in ("attention_key", "attention_value") and eight_experts:
        return "Q8_0"
    if tensor.role == "attention_value":
        queries_per_key = figures.heads // figures.kv_heads
        return {
            "Q2_K": "Q4_K" if queries_per_key >= 4 else "Q3_K",
            "Q3_K_M": "Q5_K" if layer < 2 else "Q4_K",
            "Q4_K_S": "Q5_K" if layer < 4 else None,
            "Q4_K_M": "Q6_K" if _gets_more_bits(layer, layers) else None,
            "Q5_K_M": "Q6_K" if _gets_more_bits(layer, layers) else None,
        }.get(level)
    if tensor.role == "feed_forward_down":
        return {
            "Q2_K": "Q3_K",
            "Q3_K_M": "Q5_K" if layer < layers // 16 else "Q4_K",
            "Q4_K_S": "Q5_K" if layer < layers // 8 else None,
            "Q4_K_M": "Q6_K" if _gets_more_bits(layer, layers) else None,
            "Q5_K_M": "Q6_K" if _gets_more_bits(layer, layers) else None,
        }.get(level)
    if tensor.role == "attention_output":
        if eight_experts and level in ("Q2_K", "Q3_K_M", "Q4_K_S", "Q4_K_M"):
            return "Q5_K"
        return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K"}.get(level)
    return None


def _gets_more_bits(layer: int, layers: int) -> bool:
    """llama.cpp's use_more_bits: the first and last eighth of the layers, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
