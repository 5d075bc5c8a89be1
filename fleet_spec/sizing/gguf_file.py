"""What a GGUF file says of the model in it, read from its header alone.

The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: a magic number, a version, counts,
metadata as key and value, then a description of each tensor. Nothing in a header is believed before it is checked
against the file's size, so a broken or hostile file costs neither memory nor time.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import ValidationError

from fleet_spec.catalogue_entry import Architecture, SlidingWindow
from fleet_spec.errors import BadInputError

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_MOST_ENTRIES: Final = 65_536
"""Metadata entries or tensors in one file. The largest models have a few thousand tensors."""
_KEPT_STRING_BYTES: Final = 1024
"""Longer texts (templates, and the words of the vocabulary) are passed over."""
_MOST_DIMENSIONS: Final = 8
_STRING: Final = 8
_ARRAY: Final = 9

# Value types of the metadata by number: the struct format of one value.
_SCALARS: Final[dict[int, str]] = {
    **{0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"},
    **{10: "Q", 11: "q", 12: "d"},
}

# Tensor types by number: bytes of a block and weights in it (ggml.c, type_traits).
_TENSOR_TYPES: Final[dict[int, tuple[int, int]]] = {
    0: (4, 1),  # F32
    1: (2, 1),  # F16
    2: (18, 32),  # Q4_0
    3: (20, 32),  # Q4_1
    6: (22, 32),  # Q5_0
    7: (24, 32),  # Q5_1
    8: (34, 32),  # Q8_0
    9: (36, 32),  # Q8_1
    10: (84, 256),  # Q2_K
    11: (110, 256),  # Q3_K
    12: (144, 256),  # Q4_K
    13: (176, 256),  # Q5_K
    14: (210, 256),  # Q6_K
    15: (292, 256),  # Q8_K
    16: (66, 256),  # IQ2_XXS
    17: (74, 256),  # IQ2_XS
    18: (98, 256),  # IQ3_XXS
    19: (50, 256),  # IQ1_S
    20: (18, 32),  # IQ4_NL
    21: (110, 256),  # IQ3_S
    22: (82, 256),  # IQ2_S
    23: (136, 256),  # IQ4_XS
    24: (1, 1),  # I8
    25: (2, 1),  # I16
    26: (4, 1),  # I32
    27: (8, 1),  # I64
    28: (8, 1),  # F64
    29: (56, 256),  # IQ1_M
    30: (2, 1),  # BF16
    34: (54, 256),  # TQ1_0
    35: (66, 256),  # TQ2_0
    39: (17, 32),  # MXFP4
}


class GgufError(BadInputError):
    """A file that is no GGUF file, or a damaged one. The text says where it went wrong."""


@dataclass(frozen=True)
class GgufFile:
    """A model in a file."""

    path: Path
    name: str | None
    """What its maker called it."""
    family: str
    """llama.cpp's name for its architecture, such as ``llama`` or ``gemma3``."""
    parameters: int
    """Weights in all tensors."""
    weights_bytes: int
    """What the tensors take, without the metadata."""
    architecture: Architecture


@dataclass(frozen=True)
class GgufTensor:
    """What a header says of one tensor."""

    shape: tuple[int, ...]
    """Its dimensions in the file's order: of a matrix inputs, then outputs."""
    size_bytes: int

    @property
    def weights(self) -> int:
        """How many values it has."""
        return prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """All that a file says before its data."""

    path: Path
    metadata: dict[str, Any]
    """Values by key. Of a list only its length is known, and a text of more than a kilobyte is None."""
    tensors: dict[str, GgufTensor]

    @property
    def family(self) -> str:
        """llama.cpp's name for the architecture, such as ``llama`` or ``gemma3``."""
        return str(self.metadata["general.architecture"])


def read_gguf(path: Path) -> GgufFile:
    """Read what a file's header says of the model in it.

    Raises:
        GgufError: it is not there, no GGUF file, damaged, or of an architecture whose figures are not in its header.
    """
    header = read_gguf_header(path)
    name = header.metadata.get("general.name")
    return GgufFile(
        path=path,
        name=name if isinstance(name, str) else None,
        family=header.family,
        parameters=sum(tensor.weights for tensor in header.tensors.values()),
        weights_bytes=sum(tensor.size_bytes for tensor in header.tensors.values()),
        architecture=architecture_of(path, header.metadata, header.family, header.tensors),
    )


def read_gguf_header(path: Path) -> GgufHeader:
    """Read a file's header, whether there is a model in it or an adapter.

    Raises:
        GgufError: it is not there, no GGUF file, or damaged.
    """
    try:
        with path.open("rb") as file:
            return _read(path, _Reader(path, file, path.stat().st_size))
    except OSError as error:
        raise GgufError(f"{path} cannot be read: {error.strerror or error}. fix: correct the path") from error


class _Reader:
    """Reads numbers and texts, and never past what the file has."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path = path
        self._file = file
        self._left = size

    def fail(self, what: str) -> GgufError:
        """The error for something that is wrong with the file."""
        return GgufError(f"{self._path} is no whole GGUF file: {what}. fix: download or convert it again")

    def number(self, format_: str) -> Any:
        data = self.bytes(struct.calcsize(format_), "a number")
        return struct.unpack(f"<{format_}", data)[0]

    def count(self, what: str) -> int:
        value = int(self.number("Q"))
        if value > _MOST_ENTRIES:
            raise self.fail(f"it claims {value} {what}")
        return value

    def bytes(self, length: int, what: str) -> bytes:
        self._take(length, what)
        data = self._file.read(length)
        if len(data) != length:
            raise self.fail(f"it ends in the middle of {what}")
        return data

    def skip(self, length: int, what: str) -> None:
        self._take(length, what)
        self._file.seek(length, 1)

    def text(self) -> str | None:
        """A text, or None where it is too long to be kept."""
        length = int(self.number("Q"))
        if length > _KEPT_STRING_BYTES:
            self.skip(length, "a text")
            return None
        return self.bytes(length, "a text").decode("utf-8", errors="replace")

    def _take(self, length: int, what: str) -> None:
        if length > self._left:
            raise self.fail(f"{what} of {length} bytes stands where {self._left} bytes are left")
        self._left -= length

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return self._left


def _read(path: Path, reader: _Reader) -> GgufHeader:
    if reader.left < len(_MAGIC) or reader.bytes(len(_MAGIC), "the magic number") != _MAGIC:
        raise GgufError(f"{path} is no GGUF file: it does not begin with GGUF. fix: name a .gguf file")
    version = reader.number("I")
    if version not in _VERSIONS:
        raise reader.fail(f"its format is version {version}; {' and '.join(map(str, _VERSIONS))} can be read")
    tensors, entries = reader.count("tensors"), reader.count("metadata entries")
    metadata: dict[str, Any] = {}
    for _ in range(entries):
        key = reader.text()
        value = _value(reader, int(reader.number("I")))
        if key is not None:
            metadata[key] = value
    described = dict(_tensor(reader) for _ in range(tensors))
    weights_bytes = sum(tensor.size_bytes for tensor in described.values())
    if weights_bytes > reader.left:
        raise reader.fail(f"its tensors take {weights_bytes} bytes, and {reader.left} are left: it was cut short")
    if not isinstance(metadata.get("general.architecture"), str):
        raise reader.fail("it does not name its architecture")
    return GgufHeader(path, metadata, described)


def _value(reader: _Reader, kind: int) -> Any:
    """A value of the metadata. An array is read as its length alone."""
    if kind in _SCALARS:
        return reader.number(_SCALARS[kind])
    if kind == _STRING:
        return reader.text()
    if kind != _ARRAY:
        raise reader.fail(f"there is no value of type {kind}")
    item, length = int(reader.number("I")), int(reader.number("Q"))
    if item in _SCALARS:
        reader.skip(length * struct.calcsize(_SCALARS[item]), "a list")
    elif item == _STRING:
        # Each text takes eight bytes for its length at least.
        if length * 8 > reader.left:
            raise reader.fail(f"a list of {length} texts stands where {reader.left} bytes are left")
        for _ in range(length):
            reader.skip(int(reader.number("Q")), "a text")
    else:
        raise reader.fail(f"there is no list of type {item}")
    return length


def _tensor(reader: _Reader) -> tuple[str, GgufTensor]:
    """The name of one tensor, and what it is."""
    name = reader.text() or ""
    dimensions = int(reader.number("I"))
    if dimensions > _MOST_DIMENSIONS:
        raise reader.fail(f"tensor {name!r} has {dimensions} dimensions")
    shape = tuple(int(reader.number("Q")) for _ in range(dimensions))
    kind = int(reader.number("I"))
    reader.number("Q")  # where its data begins
    if kind not in _TENSOR_TYPES:
        raise reader.fail(f"tensor {name!r} is of the unknown type {kind}")
    block_bytes, block_weights = _TENSOR_TYPES[kind]
    return name, GgufTensor(shape, -(-prod(shape) // block_weights) * block_bytes)


def architecture_of(source: object, metadata: Mapping[str, Any], family: str, tensors: Collection[str]) -> Architecture:
    """The figures of a model, from the metadata of a GGUF file.

    Args:
        source: What an error calls the file.
        metadata: Values by key; of the vocabulary the length.
        family: Its architecture, by which most keys begin.
        tensors: The names of its tensors.

    Raises:
        GgufError: figures are missing, or contradict each other.
    """

    def figure(name: str) -> int | None:
        value = metadata.get(f"{family}.{name}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    heads = figure("attention.head_count")
    window = figure("attention.sliding_window")
    vocabulary = metadata.get("tokenizer.ggml.tokens")
    try:
        return Architecture.model_validate(
            {
                "layers": figure("block_count"),
                "hiddenSize": figure("embedding_length"),
                "heads": heads,
                "kvHeads": figure("attention.head_count_kv") or heads,
                "headDimension": figure("attention.key_length"),
                "feedForwardSize": figure("feed_forward_length"),
                "vocabularySize": figure("vocab_size") or vocabulary,
                "contextLength": figure("context_length"),
                "tiedEmbeddings": "output.weight" not in tensors,
                # Which layers have the window is not in the header; Gemma 3's pattern is fixed, others are not told.
                "slidingWindow": SlidingWindow(tokens=window, full_attention_every=6)
                if window and family == "gemma3"
                else None,
            }
        )
    except ValidationError as error:
        missing = ", ".join(".".join(str(part) for part in item["loc"]) or item["msg"] for item in error.errors())
        raise GgufError(
            f"{source} does not tell these figures of its model: {missing}. fix: name a whole model's file"
        ) from error
