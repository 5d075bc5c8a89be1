"""How many bits a weight takes in each storage format."""

from __future__ import annotations

from typing import Final

# ggml stores weights in blocks that share scales. Bits per weight = block bytes x 8 / weights per block; the block
# layouts are those of ggml-common.h in https://github.com/ggml-org/llama.cpp.
BITS_PER_WEIGHT: Final[dict[str, float]] = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 34 * 8 / 32,
    "Q6_K": 210 * 8 / 256,
    "Q5_K": 176 * 8 / 256,
    "Q5_1": 24 * 8 / 32,
    "Q5_0": 22 * 8 / 32,
    "Q4_K": 144 * 8 / 256,
    "Q4_1": 20 * 8 / 32,
    "Q4_0": 18 * 8 / 32,
    "IQ4_NL": 18 * 8 / 32,
    "MXFP4": 17 * 8 / 32,
    "Q3_K": 110 * 8 / 256,
    "Q2_K": 84 * 8 / 256,
}

K_BLOCK_WEIGHTS: Final = 256
"""Weights of one k-quant block. A row that is no multiple of it is stored in another format."""
SMALL_BLOCK_WEIGHTS: Final = 32

FALLBACK: Final[dict[str, str]] = {
    "Q2_K": "IQ4_NL",
    "Q3_K": "IQ4_NL",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""What llama.cpp takes for rows that do not divide into k-quant blocks (tensor_type_fallback in llama-quant.cpp)."""

KV_CACHE_BITS: Final[dict[str, float]] = {
    **{"f32": 32.0, "f16": 16.0, "bf16": 16.0},
    **{"q8_0": 8.5, "q5_1": 6.0, "q4_0": 4.5, "fp8": 8.0},
}
"""Bits of one value in the KV cache, by the names that llama.cpp, Ollama and (fp8) vLLM give its types."""


def stored_as(wanted: str, row_weights: int) -> str:
    """The format that a tensor really gets.

    Args:
        wanted: The format that the quantisation asks for.
        row_weights: How many weights one row of the tensor has.
    """
    if wanted in FALLBACK and row_weights % K_BLOCK_WEIGHTS:
        wanted = FALLBACK[wanted]
    if wanted not in ("F32", "F16", "BF16") and row_weights % SMALL_BLOCK_WEIGHTS:
        return "F16"
    return wanted
