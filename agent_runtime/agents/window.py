"""Keeps what is sent within a model's context window: counts, leaves the oldest out, and says so.

Servers cut a prompt that is too long in silence, often the user's own turn first. So it is counted before it is sent.
Tokens are counted by the engine where it tells (llama.cpp's ``/tokenize``); else they are estimated as one for every
three bytes of UTF-8 and eight for each message, which is more than most tokenizers need, and put right by what the
server counted in the steps before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import httpx
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models import ModelRequestParameters

from agent_runtime.agents.errors import ContextWindowError
from agent_runtime.agents.history import starts_turn
from agent_runtime.agents.result import LeftOut, transcript_of

BYTES_PER_TOKEN = 3
TOKENS_PER_MESSAGE = 8
LEAST_REPLY_TOKENS = 256
"""What is kept free for the answer where nobody said how long it may be, or a quarter of a window smaller than four."""
_EXACT_FROM = 0.5
"""From which share of the window on an engine is asked to count: below it an estimate is good enough."""
_COUNT_TIMEOUT_SECONDS = 5.0
_RATIO_BOUNDS = (0.4, 1.5)

CountTokens = Callable[[str], Coroutine[Any, Any, int | None]]
"""Counts a text's tokens; None where it cannot be had."""


@dataclass
class ContextWindow:
    """The window of one model."""

    tokens: int
    """Prompt and reply together."""
    count: CountTokens | None = None
    """The engine's own count."""
    ratio: float = 1.0
    """What the server counted for each token that was estimated, in the last step."""
    asked: bool = False
    """Whether the engine was looked for already."""
    _counted: dict[str, int] = field(default_factory=dict[str, int])

    async def fit(
        self, messages: Sequence[ModelMessage], parameters: ModelRequestParameters, max_tokens: int | None
    ) -> tuple[list[ModelMessage], LeftOut]:
        """Leave out the oldest messages until the rest fits.

        Whole turns of the history go first, then calls of this run with their results. The user's present turn and the
        last results stay.

        Args:
            messages: What is to be sent.
            parameters: The tools and instructions that are sent with them.
            max_tokens: The longest answer.

        Raises:
            ContextWindowError: what has to stay does not fit.
        """
        room = self.room(max_tokens)
        fixed = self._estimated(_overhead(messages, parameters))
        sizes = [self._estimated(text_of(message)) for message in messages]
        if fixed + sum(sizes) > self.tokens * _EXACT_FROM and self.count is not None:
            fixed = await self._exact(_overhead(messages, parameters))
            sizes = [await self._exact(text_of(message)) for message in messages]
        left, needed = 0, fixed + sum(sizes)
        units = _droppable(messages)
        dropped: set[int] = set()
        for unit in units:
            if needed <= room:
                break
            dropped.update(unit)
            size = sum(sizes[index] for index in unit)
            left, needed = left + size, needed - size
        if needed > room:
            raise ContextWindowError(needed, room, transcript_of(messages))
        kept = [message for index, message in enumerate(messages) if index not in dropped]
        return kept, LeftOut(len(dropped), left)

    def room(self, max_tokens: int | None) -> int:
        """What the window leaves for a prompt, in tokens."""
        return self.tokens - (max_tokens or min(LEAST_REPLY_TOKENS, self.tokens // 4))

    def learn(self, messages: Sequence[ModelMessage], parameters: ModelRequestParameters, input_tokens: int) -> None:
        """Take in what the server counted for what was sent."""
        texts = [_overhead(messages, parameters), *(text_of(message) for message in messages)]
        estimated = sum(estimate_tokens(text) for text in texts)
        if input_tokens > 0 and estimated > 0:
            low, high = _RATIO_BOUNDS
            self.ratio = min(high, max(low, input_tokens / estimated))

    def _estimated(self, text: str) -> int:
        return math.ceil(estimate_tokens(text) * self.ratio)

    async def _exact(self, text: str) -> int:
        if text not in self._counted:
            counted = await self.count(text) if self.count is not None else None
            if counted is None:
                self.count = None
                return self._estimated(text)
            self._counted[text] = counted + TOKENS_PER_MESSAGE
        return self._counted[text]


def estimate_tokens(text: str) -> int:
    """About how many tokens a message of this text is; rather too many than too few."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE if text else 0


def text_of(message: ModelMessage) -> str:
    """Everything of a message that a model reads."""
    return "\n".join(
        str(entry.get("content", "")) + (json.dumps(entry["toolCalls"], default=str) if "toolCalls" in entry else "")
        for entry in transcript_of([message])
    )


def llamacpp_counter(url: str) -> CountTokens:
    """Counts by llama.cpp's ``/tokenize``.

    Args:
        url: The server's root. One that does not answer makes no error: then an estimate has to do.
    """

    async def count(text: str) -> int | None:
        try:
            async with httpx.AsyncClient(timeout=_COUNT_TIMEOUT_SECONDS, trust_env=False) as client:
                reply = await client.post(f"{url}/tokenize", json={"content": text})
                tokens = cast("dict[str, Any]", reply.raise_for_status().json()).get("tokens")
        except (httpx.HTTPError, ValueError, AttributeError):
            return None
        return len(cast("list[object]", tokens)) if isinstance(tokens, list) else None

    return count


def _overhead(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> str:
    """The instructions and the tools, as text."""
    parts = parameters.instruction_parts or []
    instructions = "\n".join(part.content for part in parts)
    if not parts:
        last = next((message for message in reversed(messages) if isinstance(message, ModelRequest)), None)
        instructions = (last.instructions if last is not None else None) or ""
    tools = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters_json_schema}
        for tool in [*parameters.function_tools, *parameters.output_tools]
    ]
    return instructions + (json.dumps(tools) if tools else "")


def _droppable(messages: Sequence[ModelMessage]) -> list[list[int]]:
    """What may go, the oldest first: turns before the present one, then calls with their results, but not the last."""
    starts = [index for index, message in enumerate(messages) if starts_turn(message)]
    present = starts[-1] if starts else 0
    bounds = [0, *[start for start in starts if 0 < start <= present]]
    turns = [list(range(a, b)) for a, b in pairwise(bounds)]
    pairs = [[index, index + 1] for index in range(present + 1, len(messages) - 1, 2)]
    return turns + pairs[:-1]
