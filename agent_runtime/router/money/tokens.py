"""Tokens that nobody has counted yet, or that nobody ever counts: bounds before a request, estimates after it."""

from __future__ import annotations

from typing import Final

from agent_runtime.router.dialects.usage import Usage

_TEMPLATE_TOKENS: Final = 64
"""What a model's chat template may add around a short conversation. Long ones are covered by their JSON's own bytes:
every message has more of them than its template has tokens."""
_PROMPT_BYTES_PER_TOKEN: Final = 4
_TEXT_BYTES_PER_TOKEN: Final = 4
"""Text in Western languages; what is common to the tokenizers of today's models."""
_STREAM_BYTES_PER_TOKEN: Final = 120
"""A token of a stream comes in a line or an event of its own, with its JSON around it: about 120 bytes in Ollama's
dialect and more in OpenAI's, so that an estimate from these bytes is rather too high than too low."""


def most_prompt_tokens(prompt_bytes: int, context_length: int) -> int:
    """The most tokens that a request's prompt can have.

    A tokenizer makes no more tokens than the text has bytes, and no model takes more than its context.

    Args:
        prompt_bytes: size of the request's body.
        context_length: of the model.
    """
    return min(prompt_bytes + _TEMPLATE_TOKENS, context_length)


def most_completion_tokens(max_tokens: int | None, context_length: int, choices: int = 1) -> int:
    """The most tokens that a request's answers can have.

    Args:
        max_tokens: what the request allows for one answer, None where it does not say.
        context_length: of the model; no answer is longer.
        choices: how many answers are asked for (OpenAI's ``n``).
    """
    one = context_length if max_tokens is None or max_tokens < 0 else min(max_tokens, context_length)
    return one * max(1, choices)


def estimated_usage(prompt_bytes: int, reply_bytes: int, *, streamed: bool) -> Usage:
    """About how many tokens a request took whose engine was cut off before it had counted them.

    Args:
        prompt_bytes: size of the request's body, of which four bytes are taken for a token.
        reply_bytes: how much of the answer's body came. Four bytes are taken for a token, 120 in a stream.
        streamed: whether the answer came in a line or an event for each token.
    """
    per_token = _STREAM_BYTES_PER_TOKEN if streamed else _TEXT_BYTES_PER_TOKEN
    return Usage(-(-prompt_bytes // _PROMPT_BYTES_PER_TOKEN), -(-reply_bytes // per_token))
