"""The Ollama client: models listed, pulled, made and removed; chat, text and embeddings, whole or streamed."""

from __future__ import annotations

from agent_runtime.ollama_client.async_client import AsyncOllamaLLMClient
from agent_runtime.ollama_client.client import OllamaLLMClient
from agent_runtime.ollama_client.errors import (
    OllamaCutOffError,
    OllamaError,
    OllamaNotFoundError,
    OllamaOutOfMemoryError,
    OllamaOverloadedError,
    OllamaProtocolError,
    OllamaRefusedError,
    OllamaTimeoutError,
    OllamaUnreachableError,
)
from agent_runtime.ollama_client.progress import PullProgress

__all__ = [
    "AsyncOllamaLLMClient",
    "OllamaCutOffError",
    "OllamaError",
    "OllamaLLMClient",
    "OllamaNotFoundError",
    "OllamaOutOfMemoryError",
    "OllamaOverloadedError",
    "OllamaProtocolError",
    "OllamaRefusedError",
    "OllamaTimeoutError",
    "OllamaUnreachableError",
    "PullProgress",
]
