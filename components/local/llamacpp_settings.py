"""The settings of the embedded llama.cpp server: options of its command line, and what they set.

The options are those of llama.cpp's own ``llama-server``, as :mod:`components.engines.llamacpp` writes them.
"""

from __future__ import annotations

import argparse
from typing import Any

_CACHE_TYPES = {"f16": "GGML_TYPE_F16", "q8_0": "GGML_TYPE_Q8_0", "q4_0": "GGML_TYPE_Q4_0"}
_FLASH_ATTENTION = {
    "on": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
    "off": "LLAMA_FLASH_ATTN_TYPE_DISABLED",
    "auto": "LLAMA_FLASH_ATTN_TYPE_AUTO",
}
_LOAD_MODES = {
    "mmap": "LLAMA_LOAD_MODE_MMAP",
    "none": "LLAMA_LOAD_MODE_NONE",
    "mmap+mlock": "LLAMA_LOAD_MODE_MMAP_MLOCK",
}
_SPECULATIVE_TYPES = {
    "draft-simple": "COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE",
    "ngram-simple": "COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the settings. What is not given is llama.cpp's own to choose."""
    group = parser.add_argument_group("settings, named as llama-server names them")
    group.add_argument("--cache-type-k", choices=_CACHE_TYPES, help="format of the keys in the KV cache")
    group.add_argument("--cache-type-v", choices=_CACHE_TYPES, help="format of its values")
    group.add_argument("--flash-attn", choices=_FLASH_ATTENTION)
    group.add_argument("--batch-size", type=int, help="tokens of one step, all requests together")
    group.add_argument("--ubatch-size", type=int, help="tokens that pass through the layers together")
    group.add_argument("--threads", type=int, default=0, help="compute threads; 0 lets llama.cpp choose")
    group.add_argument("--threads-batch", type=int, help="compute threads for prompts; as --threads by default")
    group.add_argument("--n-gpu-layers", type=int, help="layers that a GPU computes")
    group.add_argument("--cache-prompt", action=argparse.BooleanOptionalAction, default=None)
    group.add_argument("--load-mode", choices=_LOAD_MODES, help="how weights come into memory")
    group.add_argument("--spec-type", choices=_SPECULATIVE_TYPES, help="how tokens are guessed ahead")
    group.add_argument("--spec-draft-model", default="", help="the GGUF file of the model that guesses")
    group.add_argument("--spec-draft-n-max", type=int, help="the most tokens that it guesses at a time")
    group.add_argument("--spec-ngram-simple-size-n", type=int, help="tokens that must have come before")
    group.add_argument("--spec-ngram-simple-size-m", type=int, help="tokens guessed from what followed them")


def apply(arguments: argparse.Namespace, params: Any, xllamacpp: Any) -> None:
    """Set a server's parameters.

    Args:
        arguments: The command line, read with :func:`add_options`.
        params: ``xllamacpp.CommonParams``.
        xllamacpp: The module, compiled and without type stubs.
    """
    types = xllamacpp.ggml_type
    if arguments.cache_type_k:
        params.cache_type_k = getattr(types, _CACHE_TYPES[arguments.cache_type_k])
    if arguments.cache_type_v:
        params.cache_type_v = getattr(types, _CACHE_TYPES[arguments.cache_type_v])
    if arguments.flash_attn:
        params.flash_attn_type = getattr(xllamacpp.llama_flash_attn_type, _FLASH_ATTENTION[arguments.flash_attn])
    for name, value in (
        ("n_batch", arguments.batch_size),
        ("n_ubatch", arguments.ubatch_size),
        ("n_gpu_layers", arguments.n_gpu_layers),
        ("cache_prompt", arguments.cache_prompt),
    ):
        if value is not None:
            setattr(params, name, value)
    if arguments.threads:
        params.cpuparams.n_threads = arguments.threads
    batch_threads = arguments.threads_batch or arguments.threads
    if batch_threads:
        params.cpuparams_batch.n_threads = batch_threads
    if arguments.load_mode:
        params.load_mode = getattr(xllamacpp.llama_load_mode, _LOAD_MODES[arguments.load_mode])
    if arguments.spec_type:
        _guess_ahead(arguments, params.speculative, xllamacpp)


def _guess_ahead(arguments: argparse.Namespace, speculative: Any, xllamacpp: Any) -> None:
    speculative.types = [getattr(xllamacpp.common_speculative_type, _SPECULATIVE_TYPES[arguments.spec_type])]
    if arguments.spec_draft_model:
        speculative.draft.mparams.path = arguments.spec_draft_model
    if arguments.spec_draft_n_max:
        speculative.draft.n_max = arguments.spec_draft_n_max
    if arguments.spec_ngram_simple_size_n:
        speculative.ngram_simple.size_n = arguments.spec_ngram_simple_size_n
    if arguments.spec_ngram_simple_size_m:
        speculative.ngram_simple.size_m = arguments.spec_ngram_simple_size_m
