"""The door of the A/B tests: counts what becomes of requests, takes votes, and tells how the arms do.

Counting is a few additions in memory. Every few seconds a thread adds what was counted to the file in the data
directory, so that a process that is killed loses no more than that; without a data directory all of it ends with the
process, and votes are taken only by the worker that answered.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.experiments.draw import Assignment
from agent_runtime.router.experiments.records import VOTE_SECONDS, Arm, Batch, Records, Vote
from agent_runtime.router.experiments.report import experiment_report
from agent_runtime.router.experiments.request_ids import make_id, read_id, tag_of
from agent_runtime.router.experiments.tally import Outcome, Spread, Tally

_WRITE_SECONDS: Final = 5.0
_PRUNE_SECONDS: Final = 3600.0
_PLACES_KEPT: Final = 4096
"""How many minutes of arms wait in memory for a disk that cannot be written, before they are thrown together."""
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_VOTE_FIELDS: Final = ("requestId", "score", "label")
_MOST_MINUTES: Final = 35 * 24 * 60


class Experiments:
    """The A/B tests of one router process. It must live in one event loop."""

    def __init__(self, directory: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        """Open the records.

        Args:
            directory: Where the file is, or is to be; None keeps everything in memory.
            clock: Seconds since 1970.

        Raises:
            BadInputError: the file cannot be used.
        """
        self._records = Records(directory)
        self._clock = clock
        self._aliases: dict[str, dict[str, float]] = {}
        self._tags: dict[bytes, Arm] = {}
        self._arms: dict[Arm, bytes] = {}
        self._batch = Batch()
        self._writing: asyncio.Task[None] | None = None
        self._next_write = 0.0
        self._next_prune = 0.0
        self.counted: dict[Arm, tuple[Tally, Spread]] = {}
        """What this process has counted since it started."""
        self.problem: str | None = None
        """Why what was counted could not be written down. It is kept, and tried again."""

    def update(self, aliases: Mapping[str, Mapping[str, float]]) -> None:
        """Follow a contract. Aliases of one model are no experiments."""
        weighted = {alias: {arm: w for arm, w in arms.items() if w > 0} for alias, arms in aliases.items()}
        self._aliases = {alias: arms for alias, arms in weighted.items() if len(arms) > 1}
        for alias, arms in self._aliases.items():
            for arm in arms:
                tag = tag_of(alias, arm)
                self._tags[tag], self._arms[alias, arm] = (alias, arm), tag

    # Requests

    def request_id(self, assignment: Assignment) -> str:
        """An id for the request by which votes find its arm."""
        arm = (assignment.alias, assignment.arm)
        return make_id(self._records.key, self._arms.get(arm) or tag_of(*arm), self._clock())

    def record(self, assignment: Assignment, outcome: Outcome) -> None:
        """Count a request that has ended."""
        arm = (assignment.alias, assignment.arm)
        fallen_back = assignment.fallen_back
        minute = int(self._clock() // 60)
        tally, spread = self._counted(arm)
        tally.count(outcome, fallen_back=fallen_back)
        spread.count(outcome)
        batch = self._batch
        batch.minutes.setdefault((*arm, minute), Tally()).count(outcome, fallen_back=fallen_back)
        batch.spreads.setdefault(arm, Spread()).count(outcome)

    def _counted(self, arm: Arm) -> tuple[Tally, Spread]:
        known = self.counted.get(arm)
        if known is None:
            known = self.counted[arm] = (Tally(), Spread())
        return known

    # Votes

    async def vote(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take what somebody thinks of an answer: ``{"requestId": ..., "score": ..., "label": ...}``.

        The last vote on a request holds. The score is from 0 to 1, or -1 for a thumb down; an application should stay
        with one of the two scales.

        Raises:
            RequestError: 400, a field is wrong; 404, the id is none of an experiment's, or too old; 503, the vote
                cannot be written down now.
        """
        text, score, label = _read_vote(body)
        origin = read_id(self._records.key, text)
        oldest = self._clock() - VOTE_SECONDS
        if origin is None or origin.second < oldest:
            days = VOTE_SECONDS // 86_400
            raise RequestError(
                404,
                f"requestId {text[:64]!r} is no request of an A/B test in the last {days} days: send the header "
                "X-Paddock-Request-Id of the answer that the vote is about",
                param="requestId",
            )
        try:
            arm = self._tags.get(origin.tag) or await asyncio.to_thread(self._records.arm_of, origin.tag)
            if arm is None:
                raise RequestError(404, f"the A/B test of requestId {text!r} is over", param="requestId")
            vote = Vote(text, *arm, origin.second // 60, score, label)
            before = await asyncio.to_thread(self._records.vote, vote)
        except sqlite3.Error as error:
            self.problem = str(error)
            refusal = RequestError(503, "the vote cannot be written down now")
            refusal.headers["Retry-After"] = "5"
            raise refusal from error
        tally, _ = self._counted(arm)
        tally.votes += before is None
        tally.score += score - (before or 0.0)
        tally.score_squared += score**2 - (before or 0.0) ** 2
        return {"requestId": text, "alias": arm[0], "arm": arm[1], "score": score, "replaced": before is not None}

    # What is known

    async def report(self, *, last_minutes: int = 0) -> dict[str, Any]:
        """How the arms of all experiments did, over all workers; other workers' last seconds may be missing.

        Args:
            last_minutes: Of how many minutes, up to now, each one is told apart as well.

        Raises:
            RequestError: 503, the records cannot be read now.
        """
        await self.write()
        since = int(self._clock() // 60) - min(last_minutes, _MOST_MINUTES)
        try:
            known = await asyncio.to_thread(self._records.read)
            minutes = await asyncio.to_thread(self._records.minutes, since + 1) if last_minutes else None
        except sqlite3.Error as error:
            raise RequestError(503, f"the records of the A/B tests cannot be read now: {error}") from error
        return experiment_report(self._aliases, known, minutes)

    # Time

    def tick(self) -> None:
        """Begin to write down what was counted, where it is time to. Call it often; it does not wait."""
        now = self._clock()
        if (self._batch.minutes or now >= self._next_prune) and now >= self._next_write and self._writing is None:
            self._next_write = now + _WRITE_SECONDS
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def write(self) -> None:
        """Write down what was counted, and wait until that is done."""
        while self._writing is not None:
            await asyncio.shield(self._writing)
        self._writing = asyncio.get_running_loop().create_task(self._write())
        await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Write down what was counted, and close the records."""
        await self.write()
        await asyncio.to_thread(self._records.close)

    async def _write(self) -> None:
        batch, self._batch = self._batch, Batch()
        now = self._clock()
        try:
            if batch.minutes:
                await asyncio.to_thread(self._records.write, batch)
            batch = Batch()
            if now >= self._next_prune:
                self._next_prune = now + _PRUNE_SECONDS
                await asyncio.to_thread(self._records.prune, int(now // 60))
            self.problem = None
        except sqlite3.Error as error:
            self.problem = str(error)
            self._take_back(batch)
        finally:
            self._writing = None

    def _take_back(self, batch: Batch) -> None:
        batch.add(self._batch)
        if len(batch.minutes) > _PLACES_KEPT:
            # The sums stay right; which minute they belong to is lost.
            first = min(minute for _, _, minute in batch.minutes)
            together = Batch(spreads=batch.spreads)
            for (alias, arm, _), tally in batch.minutes.items():
                together.minutes.setdefault((alias, arm, first), Tally()).add(tally)
            batch = together
        self._batch = batch


def _read_vote(body: Mapping[str, Any]) -> tuple[str, float, str | None]:
    unknown = sorted(set(body) - set(_VOTE_FIELDS))
    if unknown:
        raise RequestError(
            400, f"no field {unknown[0][:64]!r} is known; there are: {', '.join(_VOTE_FIELDS)}", param=unknown[0][:64]
        )
    text: object = body.get("requestId")
    if not isinstance(text, str) or not text:
        raise RequestError(
            400, "requestId is required: the header X-Paddock-Request-Id of an answer", param="requestId"
        )
    score: object = body.get("score")
    in_range = isinstance(score, int | float) and not isinstance(score, bool) and (0 <= score <= 1 or score == -1)
    if not in_range:
        raise RequestError(400, "score must be a number from 0 to 1, or -1, 0 or 1", param="score")
    label: object = body.get("label")
    if label is not None and not (isinstance(label, str) and _LABEL.fullmatch(label)):
        raise RequestError(
            400, "label must be a word of at most 64 letters, digits, '_', '.', ':' or '-'", param="label"
        )
    return text, float(cast("float", score)), label
