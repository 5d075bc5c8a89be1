"""Makes small GGUF files for tests: a real header over weights of zeros."""

from __future__ import annotations

import struct
from pathlib import Path

FIGURES: dict[str, int] = {
    "block_count": 2,
    "embedding_length": 64,
    "feed_forward_length": 128,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "context_length": 1024,
    "vocab_size": 100,
}


def gguf_bytes(*, family: str = "nonsense", version: int = 3, figures: dict[str, int] | None = None) -> bytes:
    """A file of one tensor, 64 x 32 of F16, and a vocabulary of three words."""
    entries = [
        _text("general.architecture") + struct.pack("<I", 8) + _text(family),
        _text("general.name") + struct.pack("<I", 8) + _text("A test"),
        _text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 3) + _text("a") + _text("b") + _text("c"),
        _text("tokenizer.ggml.scores") + struct.pack("<IIQ3f", 9, 6, 3, 0.0, 1.0, 2.0),
    ]
    for name, value in (FIGURES if figures is None else figures).items():
        entries.append(_text(f"{family}.{name}") + struct.pack("<II", 4, value))
    tensor = _text("token_embd.weight") + struct.pack("<IQQIQ", 2, 64, 32, 1, 0)
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(entries)) + b"".join(entries) + tensor
    return head + bytes(64 * 32 * 2)


def write_gguf(path: Path, **changes: str) -> Path:
    """Write such a file."""
    path.write_bytes(gguf_bytes(**changes))  # pyright: ignore[reportArgumentType]
    return path


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
