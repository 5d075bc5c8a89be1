"""The door of the cache: what may be kept, for whom, and what is there.

Two same requests at the same moment both go to a model. Making the second wait for the first looks like a saving, but
it would lose the second its stream until the first one ends, tie it to the first one's queue, client and failures, and
let it past the limits and budgets that were asked about another request; engines share the prompt of such requests
by themselves.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent_runtime.router.answers.eligible import is_cacheable
from agent_runtime.router.answers.key import answerer_digest, request_digest
from agent_runtime.router.answers.recording import Recording, Room
from agent_runtime.router.answers.store import Answer, Store
from agent_runtime.router.dialects.lengths import choices
from agent_runtime.router.dialects.operations import Operation
from agent_runtime.router.dialects.usage import Usage
from fleet_spec.contract import ModelEndpoints
from fleet_spec.governance_spec import CacheSpec, Tier

DEFAULT_SIZE_BYTES: Final = 64 * 1024 * 1024
_LARGEST_SHARE: Final = 16
_SWEEP_SECONDS: Final = 60.0
_ANSWERERS_KNOWN: Final = 1024


@dataclass(frozen=True, slots=True)
class Question:
    """A request that may be answered from the cache, or whose answer may be kept."""

    operation: Operation
    digest: bytes
    streamed: bool
    private: bool
    choices: int
    fresh: bool
    """Whether an answer given before will not do. The new one takes its place."""


@dataclass(frozen=True, slots=True)
class Answerer:
    """A model that would answer, or that does."""

    name: str
    """The model's name in the fleet, or in its tier."""
    entry: ModelEndpoints
    tier: Tier


class AnswerCache:
    """Answers of one router process. It must be used from one thread."""

    def __init__(
        self,
        spec: CacheSpec,
        *,
        size_bytes: int = DEFAULT_SIZE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """An empty cache.

        Args:
            spec: What the contract says.
            size_bytes: Memory for all answers. One alone may take a sixteenth of it, and those that are being written
                down at the same moment as much again together.
            clock: Seconds that never go back.
        """
        self._spec = spec
        self._clock = clock
        self._largest_bytes = size_bytes // _LARGEST_SHARE
        self._room = Room(size_bytes)
        self._store = Store(
            entries=spec.entries, size_bytes=size_bytes, ttl_seconds=float(spec.ttl_seconds), clock=clock
        )
        self._answerers: dict[tuple[int, str, Tier], tuple[ModelEndpoints, bytes]] = {}
        self._next_sweep = clock() + _SWEEP_SECONDS
        self._epoch = 0
        self.hits: defaultdict[str, int] = defaultdict(int)
        """Requests answered from here, by model."""
        self.misses: defaultdict[str, int] = defaultdict(int)
        """Requests that could have been, by model."""
        self.kept = 0
        """Answers taken in."""
        self.tokens_saved = 0
        """Tokens of answers that were given again and not computed."""

    @property
    def store(self) -> Store:
        """The answers, to be counted."""
        return self._store

    def update(self, spec: CacheSpec) -> None:
        """Follow a new contract. What is kept stays, as far as it fits; a cache that is switched off is emptied."""
        self._spec = spec
        self._answerers.clear()
        if spec.enabled:
            self._store.resize(entries=spec.entries, ttl_seconds=float(spec.ttl_seconds))
        else:
            self.clear()

    def clear(self) -> None:
        """Forget all answers, those that are being written down too: a model behind a name has changed."""
        self._epoch += 1
        self._store.clear()

    def tick(self) -> None:
        """Drop, once in a while, what is too old. Call it often; it costs nothing in between."""
        now = self._clock()
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_SECONDS
            self._store.sweep()

    # A request

    def question(
        self,
        operation: Operation,
        body: Mapping[str, Any],
        *,
        owner: str | None,
        private: bool,
        fresh: bool = False,
        unkept: bool = False,
    ) -> Question | None:
        """What a request asks, if the cache has to do with it at all; None for most requests, at next to no cost.

        Args:
            operation: What is asked.
            body: The decoded request, of which ``requested_model`` has checked the fields.
            owner: The name of the caller's key, or None without one. Nobody gets the answers of another.
            private: Whether the request may not leave the fleet. Private and other requests share no answers.
            fresh: Whether the client wants a new answer: Cache-Control: no-cache.
            unkept: Whether it wants the answer to be forgotten, too: Cache-Control: no-store.
        """
        if unkept or not self._spec.enabled or not is_cacheable(operation, body, sampled=self._spec.sampled):
            return None
        asked: object = body.get("stream")
        streamed = operation.streams_by_default if asked is None else bool(asked)
        try:
            digest = request_digest(operation, body, streamed=streamed, owner=owner, private=private)
        except RecursionError:
            return None
        return Question(operation, digest, streamed, private, choices(body), fresh)

    def find(self, question: Question, answerer: Answerer) -> Answer | None:
        """The answer that this model gave to this question. Counts a hit or a miss."""
        answer = None
        if not question.fresh and _may_answer(question, answerer):
            answer = self._store.get(self._key(question, answerer))
        if answer is None:
            self.misses[answerer.name] += 1
            return None
        self.hits[answerer.name] += 1
        if answer.usage is not None:
            self.tokens_saved += answer.usage.prompt_tokens + answer.usage.completion_tokens
        return answer

    def age_seconds(self, answer: Answer) -> float:
        """How long ago an answer was computed."""
        return self._clock() - answer.stored_at

    def record(self, question: Question, answerer: Answerer) -> Recording | None:
        """Begin to write down this model's answer. None: it is not to be kept."""
        if not _may_answer(question, answerer):
            return None
        key, epoch = self._key(question, answerer), self._epoch

        def keep(head: bytes, body: bytes, chunked: bool, usage: Usage | None, reply_id: str | None) -> None:
            if epoch == self._epoch and self._spec.enabled:
                self._store.put(key, Answer(head, body, chunked, usage, reply_id, self._clock()))
                self.kept += 1

        return Recording(
            question.operation,
            streamed=question.streamed,
            choices=question.choices,
            limit_bytes=self._largest_bytes,
            room=self._room,
            keep=keep,
        )

    def _key(self, question: Question, answerer: Answerer) -> bytes:
        # A fleet's entry is made into a digest once: entries are frozen, and kept here so that their id is theirs.
        place = (id(answerer.entry), answerer.name, answerer.tier)
        known = self._answerers.get(place)
        if known is None:
            if len(self._answerers) >= _ANSWERERS_KNOWN:
                self._answerers.clear()
            known = (answerer.entry, answerer_digest(answerer.name, answerer.entry, answerer.tier))
            self._answerers[place] = known
        return question.digest + known[1]


def _may_answer(question: Question, answerer: Answerer) -> bool:
    """Whatever else goes wrong: what a tier beyond the fleet said is never given to a private request."""
    return answerer.tier == "local" or not question.private
