"""How an engine serves a model: settings with one meaning over engines.

What each becomes in llama.cpp, Ollama and vLLM is in ``components/engines``; what an engine cannot do is refused by
:mod:`fleet_spec.checks_serving`. A setting that nobody names is the engine's own to choose.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fleet_spec.base import SpecPart

KvCacheType = Literal["f16", "q8_0", "q4_0", "fp8"]
"""How a value of the KV cache is stored: 16 bits, about 8 or 4.5 bits in blocks (llama.cpp), 8 bits (vLLM)."""

LoadMode = Literal["map", "copy", "lock"]
"""``map``: weights stay in their file and are paged in; ``copy``: they are read into memory; ``lock``: mapped, and
kept from being paged out."""

CompileLevel = Literal[0, 1, 2, 3]

EngineName = Literal["llamacpp", "ollama", "vllm"]

LLAMACPP_BATCH_TOKENS = 2048
"""llama.cpp's own ``n_batch``."""


class SpeculativeSpec(SpecPart):
    """Tokens guessed ahead and checked by the model in one step: faster where guesses are good.

    What is written stays the model's own: a guess that it would not have made is thrown away.

    ``speculative: ngram`` is short for ``speculative: {method: ngram}``.
    """

    method: Literal["ngram", "draft"]
    """``ngram``: what followed the same words earlier in the request; ``draft``: a smaller model's guess."""
    model: str | None = Field(default=None, min_length=1)
    """With ``draft``: the smaller model, of the same vocabulary. An absolute path of a GGUF file on llama.cpp, a
    repository on Hugging Face on vLLM."""
    tokens: int = Field(default=8, ge=1, le=64)
    """The most tokens guessed at a time."""
    match_tokens: int = Field(default=4, ge=1, le=64)
    """With ``ngram``: how many tokens must have come before in the same order."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method == "draft" and self.model is None:
            raise ValueError("method 'draft' needs a model; name a small one of the same family, or write ngram")
        if self.method == "ngram" and self.model is not None:
            raise ValueError("method 'ngram' makes no use of a model; remove it, or write method: draft")
        if self.method == "draft" and "match_tokens" in self.model_fields_set:
            raise ValueError("method 'draft' makes no use of matchTokens; remove it, or write method: ngram")
        return self


def _speculative(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


class ServingSpec(SpecPart):
    """How the engine computes. ``paddock tune`` finds what is best on the machine at hand."""

    kv_cache_type: KvCacheType | None = None
    """The format of the KV cache. Fewer bits take less memory and lose a little of the model's precision."""
    flash_attention: bool | None = None
    """Attention without the whole matrix in memory. Caches of less than 16 bits need it."""
    batch_size: int | None = Field(default=None, ge=1, le=65_536)
    """Tokens, of all requests together, that one step computes at most."""
    micro_batch_size: int | None = Field(default=None, ge=1, le=65_536)
    """Tokens that pass through the layers together, ``batchSize`` at most. More are faster and take more memory."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads that compute."""
    batch_threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads for prompts, where they are to be others. Default: as ``threads``."""
    prefix_cache: bool | None = None
    """Keep the KV cache of a prompt for the next one that begins the same way."""
    compile_level: CompileLevel | None = None
    """0 compiles nothing, 3 the most: a slower start for faster tokens."""
    speculative: (
        Annotated[SpeculativeSpec, BeforeValidator(_speculative, json_schema_input_type=str | SpeculativeSpec)] | None
    ) = None
    gpu_layers: int | None = Field(default=None, ge=0, le=10_000)
    """Layers that a GPU computes; the rest stays in main memory."""
    load_mode: LoadMode | None = None
    """How weights come into memory."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        batch = self.batch_size or LLAMACPP_BATCH_TOKENS
        if self.micro_batch_size is not None and self.micro_batch_size > batch:
            raise ValueError(f"microBatchSize {self.micro_batch_size} is over batchSize {batch}; make it at most that")
        if self.flash_attention is False and self.kv_cache_type in ("q8_0", "q4_0"):
            raise ValueError(
                f"kvCacheType {self.kv_cache_type!r} needs flash attention; remove flashAttention: false, or write f16"
            )
        if self.batch_threads is not None and self.threads is None:
            raise ValueError("batchThreads without threads; name both")
        return self

    @property
    def given(self) -> frozenset[str]:
        """The settings that somebody named, as Python names them."""
        return frozenset(name for name in type(self).model_fields if getattr(self, name) is not None)
