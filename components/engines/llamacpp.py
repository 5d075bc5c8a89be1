"""llama.cpp: arguments of its server. Those of the local target's own server are the same."""

from __future__ import annotations

from fleet_spec.serving_spec import LoadMode, ServingSpec, SpeculativeSpec

_LOAD_MODES: dict[LoadMode, str] = {"map": "mmap", "copy": "none", "lock": "mmap+mlock"}


def setting_arguments(serving: ServingSpec) -> list[str]:
    """The options of ``llama-server`` that stand for the settings; nothing for what nobody named."""
    arguments: list[str] = []
    if serving.kv_cache_type is not None:
        arguments += ["--cache-type-k", serving.kv_cache_type, "--cache-type-v", serving.kv_cache_type]
    attention = serving.flash_attention
    if attention is None and serving.kv_cache_type in ("q8_0", "q4_0"):
        # Values in blocks can be read by that kernel alone; left to choose, the server may not take it.
        attention = True
    if attention is not None:
        arguments += ["--flash-attn", "on" if attention else "off"]
    for option, value in (
        ("--batch-size", serving.batch_size),
        ("--ubatch-size", _micro_batch(serving)),
        ("--threads", serving.threads),
        ("--threads-batch", serving.batch_threads),
        ("--n-gpu-layers", serving.gpu_layers),
    ):
        if value is not None:
            arguments += [option, str(value)]
    if serving.prefix_cache is not None:
        arguments.append("--cache-prompt" if serving.prefix_cache else "--no-cache-prompt")
    if serving.load_mode is not None:
        arguments += ["--load-mode", _LOAD_MODES[serving.load_mode]]
    if serving.speculative is not None:
        arguments += _speculative(serving.speculative)
    return arguments


def _micro_batch(serving: ServingSpec) -> int | None:
    """Its own default, 512, would be over a smaller batch."""
    if serving.micro_batch_size is not None or serving.batch_size is None:
        return serving.micro_batch_size
    return min(serving.batch_size, 512)


def _speculative(wanted: SpeculativeSpec) -> list[str]:
    if wanted.method == "draft":
        assert wanted.model is not None, "the spec asks for it"  # noqa: S101
        return [
            *("--spec-type", "draft-simple"),
            *("--spec-draft-model", wanted.model),
            *("--spec-draft-n-max", str(wanted.tokens)),
        ]
    return [
        *("--spec-type", "ngram-simple"),
        *("--spec-ngram-simple-size-n", str(wanted.match_tokens)),
        *("--spec-ngram-simple-size-m", str(wanted.tokens)),
    ]
