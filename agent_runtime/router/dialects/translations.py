"""From each operation of one dialect to its counterpart in the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from agent_runtime.router.dialects import infill
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.dialects.replies_to_ollama import (
    ChatToOllama,
    EmbedToOllama,
    GenerateToOllama,
)
from agent_runtime.router.dialects.replies_to_openai import (
    ChatToOpenAI,
    CompletionToOpenAI,
    EmbeddingToOpenAI,
)
from agent_runtime.router.dialects.requests_to_ollama import (
    chat_to_ollama,
    completion_to_ollama,
    embedding_to_ollama,
)
from agent_runtime.router.dialects.requests_to_openai import (
    Translation,
    chat_to_openai,
    embed_to_openai,
    generate_to_openai,
)
from fleet_spec.contract import EngineName

Translated = tuple[str, Translation, Callable[[], ReplyTranslator]]
"""The engine's path, the request for it, and what makes the translator of its answer."""


def _ollama_chat(body: Mapping[str, Any], engine: EngineName, context: int, model: str, _: bool) -> Translated:
    return "/v1/chat/completions", chat_to_openai(body, engine, context), partial(ChatToOllama, model)


def _ollama_generate(body: Mapping[str, Any], engine: EngineName, context: int, model: str, _: bool) -> Translated:
    translation = generate_to_openai(body, engine, context)
    if "input_suffix" in translation.body:
        return infill.PATH, translation, partial(infill.InfillToOllama, model)
    path = "/v1/completions" if "prompt" in translation.body else "/v1/chat/completions"
    return path, translation, partial(GenerateToOllama, model)


def _ollama_embed(body: Mapping[str, Any], engine: EngineName, _c: int, model: str, _: bool) -> Translated:
    translation = embed_to_openai(body, engine)
    # llama.cpp leaves its vectors as long as they are, whatever it is asked for.
    cut = body.get("dimensions") or 0 if engine == "llamacpp" else 0
    return "/v1/embeddings", translation, partial(EmbedToOllama, model, single=False, dimensions=cut)


def _ollama_embeddings(body: Mapping[str, Any], engine: EngineName, _c: int, model: str, _: bool) -> Translated:
    text = {**body, "input": body.get("prompt") or "", "dimensions": None}
    return "/v1/embeddings", embed_to_openai(text, engine), partial(EmbedToOllama, model, single=True)


def _openai_chat(body: Mapping[str, Any], _e: EngineName, _c: int, model: str, usage: bool) -> Translated:
    return "/api/chat", chat_to_ollama(body), partial(ChatToOpenAI, model, include_usage=usage)


def _openai_completion(body: Mapping[str, Any], _e: EngineName, _c: int, model: str, usage: bool) -> Translated:
    translator = partial(CompletionToOpenAI, model, include_usage=usage)
    return "/api/generate", completion_to_ollama(body), translator


def _openai_embedding(body: Mapping[str, Any], _e: EngineName, _c: int, model: str, _: bool) -> Translated:
    as_base64 = body.get("encoding_format") == "base64"
    return "/api/embed", embedding_to_ollama(body), partial(EmbeddingToOpenAI, model, as_base64=as_base64)


TRANSLATIONS: dict[str, Callable[[Mapping[str, Any], EngineName, int, str, bool], Translated]] = {
    "/api/chat": _ollama_chat,
    "/api/generate": _ollama_generate,
    "/api/embed": _ollama_embed,
    "/api/embeddings": _ollama_embeddings,
    "/v1/chat/completions": _openai_chat,
    "/v1/completions": _openai_completion,
    "/v1/embeddings": _openai_embedding,
}
"""By the client's path: how to ask an engine of the other dialect. Each takes the request, the engine, the context's
length in tokens, the model's name in the answer, and whether the client wants counts in a stream."""
