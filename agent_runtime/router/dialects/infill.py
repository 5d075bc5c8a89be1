"""Filling a gap in a text on llama.cpp: Ollama's ``suffix``, which OpenAI's API has no word for there."""

from __future__ import annotations

from typing import Any, Final

from agent_runtime.router.dialects.replies_to_ollama import GenerateToOllama

PATH: Final = "/infill"


class InfillToOllama(GenerateToOllama):
    """llama.cpp's own way of answering, with one text and its counts, as /api/generate."""

    def _as_openai(self, reply: dict[str, Any]) -> dict[str, Any]:
        """The reply as /v1/completions would have it."""
        if reply.get("stop") is not True:
            return {"choices": [{"text": reply.get("content")}]}
        reason = "length" if reply.get("stop_type") == "limit" else "stop"
        counts = {
            "prompt_tokens": reply.get("tokens_evaluated"),
            "completion_tokens": reply.get("tokens_predicted"),
        }
        choice = {"text": reply.get("content"), "finish_reason": reason}
        return {"choices": [choice], "usage": counts, "timings": reply.get("timings")}
