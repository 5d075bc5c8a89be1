"""Ollama: environment of its server, and parameters of a model in its store."""

from __future__ import annotations

from fleet_spec.serving_spec import ServingSpec


def server_environment(*, keep_alive: str, parallel: int, context_length: int, serving: ServingSpec) -> dict[str, str]:
    """What a server is told of how to serve; where it listens and keeps its models is its target's to say.

    Args:
        keep_alive: How long an idle model stays in memory.
        parallel: Requests computed at the same time.
        context_length: Tokens that one request may use.
        serving: The settings.
    """
    environment = {
        "OLLAMA_KEEP_ALIVE": keep_alive,
        "OLLAMA_NUM_PARALLEL": str(parallel),
        "OLLAMA_CONTEXT_LENGTH": str(context_length),
        "OLLAMA_MAX_LOADED_MODELS": "1",
    }
    if serving.kv_cache_type is not None:
        environment["OLLAMA_KV_CACHE_TYPE"] = serving.kv_cache_type
    attention = serving.flash_attention
    if attention is None and serving.kv_cache_type in ("q8_0", "q4_0"):
        # Without it the server logs a warning and keeps 16 bits.
        attention = True
    if attention is not None:
        environment["OLLAMA_FLASH_ATTENTION"] = "1" if attention else "0"
    return environment


def model_parameters(serving: ServingSpec) -> dict[str, int | bool]:
    """The settings that its server takes with the model alone, as ``parameters`` of ``/api/create``."""
    parameters: dict[str, int | bool] = {}
    if serving.threads is not None:
        parameters["num_thread"] = serving.threads
    if serving.batch_size is not None:
        parameters["num_batch"] = serving.batch_size
    if serving.gpu_layers is not None:
        parameters["num_gpu"] = serving.gpu_layers
    if serving.load_mode is not None:
        parameters["use_mmap"] = serving.load_mode == "map"
    return parameters
