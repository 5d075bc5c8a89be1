"""Adapters for the tiny Llama as peft saves them: a folder with adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.tiny_llama import TINY, Array, TinyLlama

PREFIX = "base_model.model.model.layers"
MODULES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "mlp.down_proj": "ffn_down"}
"""What is changed, as Hugging Face calls it, and as llama.cpp does."""


def halves(figures: TinyLlama = TINY, *, seed: int = 4, rank: int = 4) -> dict[str, Array]:
    """Random halves of every matrix that is changed, in Hugging Face's order of rows."""
    random = np.random.default_rng(seed)
    shapes = figures.shapes()
    made: dict[str, Array] = {}
    for layer in range(figures.layers):
        for module, name in MODULES.items():
            outputs, inputs = shapes[f"blk.{layer}.{name}.weight"]
            made[f"{PREFIX}.{layer}.{module}.lora_A.weight"] = random.normal(0, 0.3, (rank, inputs)).astype(np.float32)
            made[f"{PREFIX}.{layer}.{module}.lora_B.weight"] = random.normal(0, 0.3, (outputs, rank)).astype(np.float32)
    return made


def write_peft(
    folder: Path, tensors: dict[str, Array] | None = None, *, extra: dict[str, Array] | None = None, **config: Any
) -> Path:
    """Write such a folder; ``config`` changes fields of adapter_config.json."""
    folder.mkdir(exist_ok=True)
    said = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "me/tiny-llama", **config}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    save_file({**(halves() if tensors is None else tensors), **(extra or {})}, folder / "adapter_model.safetensors")
    return folder
