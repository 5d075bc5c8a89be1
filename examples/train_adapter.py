"""From your own texts to an adapter that Paddock serves: trained with peft on transformers, on a CPU where it must be.

    python -m venv trainer && trainer/bin/pip install 'torch>=2.8' 'transformers>=5,<6' 'peft>=0.17,<1'
    trainer/bin/python examples/train_adapter.py --base Qwen/Qwen2.5-0.5B --texts mine.txt --out law

Then, with Paddock's own Python, and the base as the GGUF file that the fleet serves:

    paddock models adapter prepare law --base qwen2.5-0.5b.gguf --out law.gguf

With ``--base tiny`` nothing is downloaded: the base is a Llama of 170,000 random weights that reads bytes. It is saved
in ``OUT/base``, where the whole way can be tried within a minute. What it says stays nonsense, but the adapter learns
the texts by heart.
"""

# Its libraries are large, and stand in an environment of their own.
# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BYTES_BEGIN = 3
"""The tiny model's tokens: three for control, then every byte."""


def tiny_base(folder: Path) -> LlamaForCausalLM:
    """A Llama of random weights, saved in ``folder``."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=BYTES_BEGIN + 256,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        initializer_range=0.3,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return model


def token_lists(texts: list[str], base: str) -> list[torch.Tensor]:
    """Each text as the tokens that its base reads."""
    if base == "tiny":
        return [torch.tensor([[1, *(BYTES_BEGIN + byte for byte in text.encode()), 2]]) for text in texts]
    tokenizer = AutoTokenizer.from_pretrained(base)
    return [tokenizer(text + tokenizer.eos_token, return_tensors="pt").input_ids for text in texts]


def main() -> None:
    """Train, and save the adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="tiny", help="a repository on Hugging Face, a folder, or tiny")
    parser.add_argument("--texts", type=Path, required=True, help="a file with a text on each line")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the adapter")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=60, help="how often each text is seen")
    parser.add_argument("--rate", type=float, default=5e-3, help="the learning rate")
    arguments = parser.parse_args()

    folder = arguments.out / "base"
    base = tiny_base(folder) if arguments.base == "tiny" else AutoModelForCausalLM.from_pretrained(arguments.base)
    if arguments.base == "tiny":
        base.name_or_path = str(folder)
    lora = LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(base, lora)
    lists = token_lists(arguments.texts.read_text(encoding="utf-8").splitlines(), arguments.base)
    optimizer = torch.optim.AdamW((one for one in model.parameters() if one.requires_grad), lr=arguments.rate)
    for number in range(arguments.rounds):
        total = 0.0
        for tokens in lists:
            loss = model(input_ids=tokens, labels=tokens).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item()
        if number % 10 == 9:
            print(f"round {number + 1} of {arguments.rounds}: loss {total / len(lists):.3f}")
    model.save_pretrained(arguments.out)
    print(f"the adapter is in {arguments.out}")


if __name__ == "__main__":
    main()
