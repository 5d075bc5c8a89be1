"""What the catalogue says about one model: how it is built, its terms, and where each engine finds it."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Capability = Literal["chat", "completion", "embedding", "tools", "vision", "thinking", "code", "math"]
UseCase = Literal[
    "general",
    "code",
    "math",
    "science",
    "creative",
    "research",
    "reasoning",
    "vision",
    "retrieval",
    "edge",
    "agents",
    "multilingual",
]
CommercialUse = Literal["allowed", "conditional", "forbidden"]

CAPABILITIES: tuple[str, ...] = get_args(Capability)
USE_CASES: tuple[str, ...] = get_args(UseCase)


class CataloguePart(BaseModel):
    """What every part of the catalogue is: unchangeable, camelCase in YAML, and strict about unknown keys."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, serialize_by_alias=True
    )


class Licence(CataloguePart):
    """The terms that a model's weights come under."""

    name: str
    spdx: str | None = None
    """The identifier in the SPDX licence list, or None where the licence is not in it."""
    commercial_use: CommercialUse
    """Whether a business may use the weights: freely, under the conditions in ``note``, or not at all."""
    note: str | None = None
    """What the conditions are, in short. Not legal advice: the licence's own text decides."""
    url: str | None = None


class Parameters(CataloguePart):
    """How many weights a model has."""

    total: int = Field(gt=0)
    """All of them, vision encoder included. These must fit in memory."""
    active: int | None = Field(default=None, gt=0)
    """Those that one token passes through, in a mixture of experts. None in a dense model: all of them."""

    @model_validator(mode="after")
    def _active_is_a_part(self) -> Self:
        if self.active is not None and self.active >= self.total:
            raise ValueError(f"active ({self.active}) must be less than total ({self.total})")
        return self


class SlidingWindow(CataloguePart):
    """Layers that see only the latest tokens, so that their part of the KV cache stops growing."""

    tokens: int = Field(gt=0)
    """How far back such a layer sees, in tokens."""
    full_attention_every: int = Field(gt=1)
    """Every so-manieth layer sees the whole context: 6 means five windowed layers, then a full one."""


class Experts(CataloguePart):
    """The feed-forward part of a mixture of experts."""

    count: int = Field(gt=1)
    active: int = Field(gt=0)
    """How many routed experts one token passes through."""
    feed_forward_size: int = Field(gt=0)
    """Inner width of one expert."""
    shared: int = Field(default=0, ge=0)
    """Experts of the same width that every token passes through, besides the routed ones."""
    dense_layers: int = Field(default=0, ge=0)
    """How many layers have the dense feed-forward instead of experts."""

    @model_validator(mode="after")
    def _active_is_a_part(self) -> Self:
        if self.active > self.count:
            raise ValueError(f"active ({self.active}) must not exceed count ({self.count})")
        return self


class Architecture(CataloguePart):
    """The figures that decide how much memory a model and its KV cache take.

    In a vision model they are those of its text part.
    """

    layers: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    heads: int = Field(gt=0)
    """Attention (query) heads."""
    kv_heads: int = Field(gt=0)
    """Heads of keys and values. Fewer than ``heads`` in grouped-query attention."""
    head_dimension: int | None = Field(default=None, gt=0)
    """Width of one head where it is not ``hidden_size / heads``. Read :attr:`head_size` instead."""
    feed_forward_size: int = Field(gt=0)
    """Inner width of the dense feed-forward part. Unused where every layer has experts."""
    vocabulary_size: int = Field(gt=0)
    context_length: int = Field(gt=0)
    """The most tokens, prompt and reply together, that the model was made for."""
    gated_feed_forward: bool = True
    """Whether the feed-forward part has three matrices (SwiGLU, GeGLU) or the older two."""
    tied_embeddings: bool = False
    """Whether input and output share one embedding matrix, or there is no output one."""
    sliding_window: SlidingWindow | None = None
    experts: Experts | None = None
    kv_layers: int | None = Field(default=None, gt=0)
    """How many layers keep a KV cache of the text, where not all of them do."""
    kv_latent_size: int | None = Field(default=None, gt=0)
    """How many values a token leaves in a layer's cache under multi-head latent attention.

    There they stand for keys and values together.
    """
    embedding_length: int | None = Field(default=None, gt=0)
    """Length of the vectors that an embedding model returns."""

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.head_dimension or self.hidden_size // self.heads

    @property
    def caching_layers(self) -> int:
        """How many layers keep a KV cache of the text."""
        return self.kv_layers or self.layers

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kvHeads ({self.kv_heads})")
        if self.head_dimension is None and self.hidden_size % self.heads:
            raise ValueError(
                f"hiddenSize ({self.hidden_size}) is no multiple of heads ({self.heads}): give headDimension"
            )
        if self.caching_layers > self.layers:
            raise ValueError(f"kvLayers ({self.kv_layers}) must not exceed layers ({self.layers})")
        return self


class OllamaTag(CataloguePart):
    """A model of Ollama's library in one quantisation."""

    tag: str
    quantization: str
    """As llama.cpp names it, such as ``Q8_0``."""


class OllamaSource(CataloguePart):
    """Where Ollama pulls a model from: its own library."""

    tag: str
    quantization: str
    """The quantisation of the weights behind the tag, as llama.cpp names it, such as ``Q4_K_M``."""
    others: tuple[OllamaTag, ...] = ()
    """The same model in other quantisations, for the config's ``quantization``."""


class GgufSource(CataloguePart):
    """A GGUF file on Hugging Face, for llama.cpp."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    file: str = Field(pattern=r"\.gguf$")
    projector: str | None = Field(default=None, pattern=r"\.gguf$")
    """The vision encoder's file in the same repository (llama.cpp's ``--mmproj``)."""
    quantization: str = "Q4_K_M"


class Prompting(CataloguePart):
    """How to talk to weights that bring no chat template of their own, or a wrong one."""

    jinja: str
    """The chat template as llama.cpp and vLLM take it."""
    ollama: str
    """The same template in Go's language, for ``TEMPLATE`` in an Ollama Modelfile."""
    stop: tuple[str, ...] = Field(min_length=1)
    """Texts that end a reply. They are not part of it."""


class PackagedSource(CataloguePart):
    """Weights that come as a Python package, so that no model hub is needed."""

    package: str
    version: str
    module: str
    """The module whose ``assemble(path)`` writes the file."""
    file: str = Field(pattern=r"\.gguf$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(gt=0)
    quantization: str
    extra: str
    """The extra of the package ``paddock`` that installs it."""
    prompting: Prompting | None = None


class Sources(CataloguePart):
    """Where each engine finds the weights. None where the engine has no well-known source."""

    ollama: OllamaSource | None = None
    vllm: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    """The repository on Hugging Face that vLLM loads. The figures are those of its config.json."""
    llamacpp: GgufSource | None = None
    packaged: PackagedSource | None = None


class Deprecation(CataloguePart):
    """That a model should not be taken any more, and why."""

    since: date
    replacement: str | None = None
    """The model of the catalogue to take in its place."""
    reason: str = Field(min_length=1)

    def sentence(self, model: str) -> str:
        """What a person is told of it.

        Args:
            model: The deprecated model's name.
        """
        instead = f" Take {self.replacement} in its place." if self.replacement is not None else ""
        return f"{model} is deprecated since {self.since}: {self.reason.rstrip('.')}.{instead}"


class CatalogueModel(CataloguePart):
    """One model, in one size."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*:[a-z0-9][a-z0-9._-]*$")
    aliases: tuple[str, ...] = ()
    """Other names of it. The bare family name belongs to the size that Ollama serves by default."""
    family: str
    parameters: Parameters
    architecture: Architecture
    licence: str
    """A key of the catalogue's ``licences``."""
    licence_note: str | None = None
    """What holds for this model beyond its licence."""
    capabilities: tuple[Capability, ...] = Field(min_length=1)
    use_cases: tuple[UseCase, ...] = Field(min_length=1)
    sources: Sources
    deprecated: Deprecation | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if ("embedding" in self.capabilities) != (self.architecture.embedding_length is not None):
            raise ValueError("embeddingLength and the capability embedding go together")
        if (self.parameters.active is not None) != (self.architecture.experts is not None):
            raise ValueError("parameters.active and architecture.experts go together")
        return self
