"""A tiny real Llama of random weights, and tiny LoRA adapters for it, as GGUF files that llama.cpp serves.

They say nonsense, and always the same nonsense: base and adapter are told apart by what they answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, TokenType
from gguf.constants import GGUFType, Keys
from safetensors.numpy import load_file

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclasses.dataclass(frozen=True)
class TinyLlama:
    """The figures of a tiny model."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    inner: int = 96
    context: int = 512
    vocabulary: int = 3 + 256
    """Three control tokens and every byte."""

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Every matrix by llama.cpp's name: rows (outputs) and columns (inputs)."""
        kv_width = self.width // self.heads * self.kv_heads
        per_layer = {
            "attn_q": (self.width, self.width),
            "attn_k": (kv_width, self.width),
            "attn_v": (kv_width, self.width),
            "attn_output": (self.width, self.width),
            "ffn_gate": (self.inner, self.width),
            "ffn_up": (self.inner, self.width),
            "ffn_down": (self.width, self.inner),
        }
        return {
            "token_embd.weight": (self.vocabulary, self.width),
            "output.weight": (self.vocabulary, self.width),
            **{
                f"blk.{layer}.{name}.weight": shape for layer in range(self.layers) for name, shape in per_layer.items()
            },
        }


TINY = TinyLlama()
_FIRST_LETTER, _LAST_LETTER = 3 + ord("!"), 3 + ord("~")
CHAT_TEMPLATE = "{% for message in messages %}{{ message.content }} {% endfor %}"


def random_weights(figures: TinyLlama = TINY, seed: int = 1) -> dict[str, Array]:
    """Every matrix of a model by llama.cpp's name."""
    random = np.random.default_rng(seed)
    matrices = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in figures.shapes().items()}
    output = matrices["output.weight"]
    # It never wishes to say what is no letter, and so never ends in the middle of one, nor before its time.
    output[[token for token in range(len(output)) if not _FIRST_LETTER <= token <= _LAST_LETTER]] = 0
    return matrices


def turned(matrix: Array, heads: int) -> Array:
    """A matrix of queries or keys with the rows of each head in llama.cpp's order: those that turn together are
    neighbours, where Hugging Face has them half a head apart."""
    width = len(matrix) // heads
    order = [
        head * width + half * width // 2 + pair
        for head in range(heads)
        for pair in range(width // 2)
        for half in range(2)
    ]
    return matrix[order]


def hugging_face_weights(folder: Path, figures: TinyLlama = TINY) -> dict[str, Array]:
    """The matrices of a model that transformers saved, by llama.cpp's name."""
    stored = load_file(folder / "model.safetensors")
    names = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    found = {"token_embd.weight": stored["model.embed_tokens.weight"], "output.weight": stored["lm_head.weight"]}
    for name in figures.shapes().keys() - found.keys():
        _, layer, kind, _ = name.split(".")
        matrix = stored[f"model.layers.{layer}.{names[kind]}.weight"]
        heads = {"attn_q": figures.heads, "attn_k": figures.kv_heads}.get(kind)
        found[name] = matrix if heads is None else turned(matrix, heads)
    return found


def write_base(
    path: Path, *, figures: TinyLlama = TINY, seed: int = 1, weights: Mapping[str, Array] | None = None
) -> Path:
    """Write a model, of random weights unless some are given."""
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny-llama")
    writer.add_block_count(figures.layers)
    writer.add_context_length(figures.context)
    writer.add_embedding_length(figures.width)
    writer.add_feed_forward_length(figures.inner)
    writer.add_head_count(figures.heads)
    writer.add_head_count_kv(figures.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(figures.width // figures.heads)
    writer.add_vocab_size(figures.vocabulary)
    writer.add_tokenizer_model("llama")
    # llama.cpp writes a space as this sign before it looks for tokens.
    letters = ["▁" if byte == ord(" ") else f"<0x{byte:02X}>" for byte in range(256)]
    kinds = [TokenType.NORMAL if letter == "▁" else TokenType.BYTE for letter in letters]
    writer.add_token_list(["<unk>", "<s>", "</s>", *letters])
    writer.add_token_scores([0.0] * figures.vocabulary)
    writer.add_token_types([TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *kinds])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(value=False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, matrix in (weights or random_weights(figures, seed)).items():
        writer.add_tensor(name, matrix)
    for layer in range(figures.layers):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(figures.width, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(figures.width, np.float32))
    _finish(writer)
    return path


def write_adapter(
    path: Path,
    *,
    figures: TinyLlama = TINY,
    seed: int = 2,
    rank: int = 4,
    alpha: float = 8.0,
    targets: tuple[str, ...] = ("attn_q", "attn_v", "ffn_down"),
    architecture: str = "llama",
    extra: Mapping[str, tuple[int, int]] | None = None,
) -> Path:
    """Write a LoRA adapter of random weights. ``extra`` adds matrices by name, whether the base has them or not."""
    random = np.random.default_rng(seed)
    writer = GGUFWriter(path, architecture)
    writer.add_type(GGUFType.ADAPTER)
    writer.add_string(Keys.Adapter.TYPE, "lora")
    writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
    chosen = {name: shape for name, shape in figures.shapes().items() if name.split(".")[-2] in targets}
    for name, (rows, columns) in {**chosen, **(extra or {})}.items():
        writer.add_tensor(f"{name}.lora_a", random.normal(0, 0.3, (rank, columns)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", random.normal(0, 0.3, (rows, rank)).astype(np.float32))
    _finish(writer)
    return path


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
