"""Answers in memory: the least recently used goes first, and none is given when it is too old."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent_runtime.router.dialects.usage import Usage

ENTRY_OVERHEAD_BYTES: Final = 1024
"""What an entry takes beside its body and head: the objects around them, its key and place in the table; rounded up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a client of one dialect got it."""

    head: bytes
    """The lines of the head that say what it is and who gave it; without status, framing and date."""
    body: bytes
    chunked: bool
    """Whether the body is a stream, in chunks of HTTP/1.1 with one event or line in each."""
    usage: Usage | None
    """What the engine counted when it computed the answer. Nothing is computed when it is given again."""
    reply_id: str | None
    """OpenAI's id of the answer, where each replay can have one of its own."""
    stored_at: float
    """By the cache's clock, in seconds."""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return len(self.head) + len(self.body) + ENTRY_OVERHEAD_BYTES


class Store:
    """A bounded table of answers."""

    def __init__(self, *, entries: int, size_bytes: int, ttl_seconds: float, clock: Callable[[], float]) -> None:
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._entries = entries
        self._limit_bytes = size_bytes
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self.size_bytes = 0
        """What all answers take together."""
        self.evicted = 0
        """How many went to make room."""
        self.expired = 0
        """How many were too old."""

    def __len__(self) -> int:
        return len(self._answers)

    def resize(self, *, entries: int, ttl_seconds: float) -> None:
        """Hold to other limits from now on; answers that are here already too."""
        self._entries, self._ttl_seconds = entries, ttl_seconds
        self._make_room()
        self.sweep()

    def get(self, key: bytes) -> Answer | None:
        """The answer of this key, if it is young enough; it is then the most recently used."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        if self._clock() - answer.stored_at >= self._ttl_seconds:
            self._drop(key)
            self.expired += 1
            return None
        self._answers.move_to_end(key)
        return answer

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep an answer in place of an older one of the same key. One larger than all the room is not kept."""
        self._drop(key)
        if answer.size_bytes > self._limit_bytes:
            return
        self._answers[key] = answer
        self.size_bytes += answer.size_bytes
        self._make_room()

    def sweep(self) -> None:
        """Drop the answers that are too old, so that they do not wait for somebody to ask for them."""
        oldest = self._clock() - self._ttl_seconds
        for key in [key for key, answer in self._answers.items() if answer.stored_at <= oldest]:
            self._drop(key)
            self.expired += 1

    def clear(self) -> None:
        """Drop all answers."""
        self._answers.clear()
        self.size_bytes = 0

    def _make_room(self) -> None:
        while len(self._answers) > self._entries or self.size_bytes > self._limit_bytes:
            _, answer = self._answers.popitem(last=False)
            self.size_bytes -= answer.size_bytes
            self.evicted += 1

    def _drop(self, key: bytes) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self.size_bytes -= answer.size_bytes
