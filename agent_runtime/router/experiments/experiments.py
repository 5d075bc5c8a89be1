"""The door of the A/B tests: counts what becomes of requests, takes votes, tells how the arms do, and rules over them.

Counting is a few additions in memory. Every few seconds a thread adds what was counted to the file in the data
directory, so that a process that is killed loses no more than that; without a data directory all of it ends with the
process, and votes are taken only by the worker that answered. The same thread looks then at the tests that the contract
declares: at their guards, and at whether one is decided.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.experiments.draw import Assignment
from agent_runtime.router.experiments.records import VOTE_SECONDS, Arm, Batch, Records, Vote
from agent_runtime.router.experiments.report import experiment_report, told_trials
from agent_runtime.router.experiments.request_ids import make_id, read_id, tag_of
from agent_runtime.router.experiments.rulings import Ruling
from agent_runtime.router.experiments.scores import read_scores
from agent_runtime.router.experiments.tally import NEVER, Outcome, Slow, Spread, Tally
from agent_runtime.router.experiments.trials import Trial, Trials
from agent_runtime.router.experiments.votes import read_vote
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from fleet_spec.experiment_spec import ExperimentSpec

_WRITE_SECONDS: Final = 5.0
_PRUNE_SECONDS: Final = 3600.0
_PLACES_KEPT: Final = 4096
"""How many minutes of arms wait in memory for a disk that cannot be written, before they are thrown together."""
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
        try:
            self._trials = Trials(self._records, clock)
        except sqlite3.Error as error:
            raise BadInputError(f"the record of A/B tests in {directory} cannot be written: {error}") from error
        self._aliases: dict[str, dict[str, float]] = {}
        self._places: dict[str, tuple[str, Slow]] = {}
        """The experiment that an alias is, or was last, and from when on its answers are slow."""
        self._tags: dict[bytes, Arm] = {}
        self._arms: dict[Arm, bytes] = {}
        self._batch = Batch()
        self._writing: asyncio.Task[None] | None = None
        self._next_write = 0.0
        self._next_prune = 0.0
        self._written: dict[Arm, tuple[Tally, Spread]] = {}
        """What this process has written down, and votes, by alias and arm."""
        self._flying: Batch | None = None
        """What is being written down."""
        self._news: list[tuple[Trial, Ruling]] = []
        self.problem: str | None = None
        """Why what was counted could not be written down. It is kept, and tried again."""

    def update(
        self, aliases: Mapping[str, Mapping[str, float]], declared: Mapping[str, ExperimentSpec] | None = None
    ) -> None:
        """Follow a contract. Aliases of one model are no experiments.

        Args:
            aliases: Alias -> model -> weight.
            declared: What is to be found out about which alias, and what ends it. None where the contract is the same
                and only weights are others than it says: its tests go on with the arms that they have.
        """
        weighted = {alias: {arm: w for arm, w in arms.items() if w > 0} for alias, arms in aliases.items()}
        several = {alias: arms for alias, arms in weighted.items() if len(arms) > 1}
        if declared is None:
            self._aliases = several | {alias: trial.arms for alias, trial in self.declared.items()}
        else:
            self._aliases = several
            try:
                self._trials.declare(several, declared)
            except sqlite3.Error as error:
                self.problem = str(error)
        for alias, arms in self._aliases.items():
            trial = self._trials.declared.get(alias)
            name, slow = (alias, NEVER) if trial is None else (trial.name, trial.slow)
            self._places[alias] = name, slow
            for arm in arms:
                tag = tag_of(name, arm)
                self._tags[tag], self._arms[alias, arm] = (name, arm), tag

    def overruled(self, contract: FleetContract) -> FleetContract:
        """The contract with the weights that are in force, now that arms were stopped or promoted."""
        return self._trials.overruled(contract)

    def news(self) -> list[dict[str, Any]]:
        """What was decided over arms since it was last asked."""
        news, self._news = self._news, []
        return [{"alias": trial.alias, "experiment": trial.name, **ruling.to_mapping()} for trial, ruling in news]

    @property
    def declared(self) -> Mapping[str, Trial]:
        """The tests that the contract declares, by alias, and what was decided of each."""
        return self._trials.declared

    # Requests

    def request_id(self, assignment: Assignment) -> str:
        """An id for the request by which votes find its arm."""
        arm = (assignment.alias, assignment.arm)
        return make_id(self._records.key, self._arms.get(arm) or tag_of(*arm), self._clock())

    def record(self, assignment: Assignment, outcome: Outcome) -> None:
        """Count a request that has ended."""
        name, slow = self._places.get(assignment.alias) or (assignment.alias, NEVER)
        arm, batch = assignment.arm, self._batch
        place = (name, arm, int(self._clock() // 60))
        tally = batch.minutes.get(place)
        if tally is None:
            tally = batch.minutes[place] = Tally()
        tally.count(outcome, fallen_back=assignment.fallen_back, slow=slow)
        spread = batch.spreads.get((name, arm))
        if spread is None:
            spread = batch.spreads[name, arm] = Spread()
        spread.count(outcome)

    @property
    def counted(self) -> dict[Arm, tuple[Tally, Spread]]:
        """What this process has counted since it started, by alias and arm."""
        together: dict[Arm, tuple[Tally, Spread]] = {}
        for arm, (tally, spread) in self._written.items():
            _add(together, arm, tally, spread)
        for batch in (self._flying, self._batch):
            if batch is not None:
                _add_batch(together, batch)
        return together

    # Votes

    async def vote(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take what somebody thinks of an answer: ``{"requestId": ..., "score": ..., "label": ...}``.

        The last vote on a request holds. The score is from 0 to 1, or -1 for a thumb down; an application should stay
        with one of the two scales.

        Raises:
            RequestError: 400, a field is wrong; 404, the id is none of an experiment's, or too old; 503, the vote
                cannot be written down now.
        """
        text, score, label = read_vote(body)
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
        change = Tally(
            votes=int(before is None),
            score=score - (before or 0.0),
            score_squared=score**2 - (before or 0.0) ** 2,
        )
        alias = _alias_of(arm[0])
        _add(self._written, (alias, arm[1]), change, Spread())
        return {"requestId": text, "alias": alias, "arm": arm[1], "score": score, "replaced": before is not None}

    async def note_scores(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take what a judge gave the arms for one prompt: ``{"alias": ..., "prompt": ..., "scores": {arm: 0 to 1}}``.

        Raises:
            RequestError: 400, a field is wrong; 404, the alias is under no declared test; 503, it cannot be written
                down now.
        """
        alias, prompt, scores = read_scores(body, {alias: trial.arms for alias, trial in self.declared.items()})
        trial = self.declared[alias]
        try:
            await asyncio.to_thread(self._trials.note_scores, trial, prompt, scores)
        except ValueError as error:
            raise RequestError(400, f"experiment {trial.name!r}: {error}", param="scores") from error
        except sqlite3.Error as error:
            self.problem = str(error)
            raise RequestError(503, "the scores cannot be written down now") from error
        return {"experiment": trial.name, "prompt": prompt, "scores": scores}

    # What is known

    async def report(self, *, last_minutes: int = 0, points: int = 0) -> dict[str, Any]:
        """How the arms of all experiments did, over all workers; other workers' last seconds may be missing.

        Args:
            last_minutes: Of how many minutes, up to now, each one is told apart as well.
            points: At how many moments the effects of declared tests are told, to show how they came to be.

        Raises:
            RequestError: 503, the records cannot be read now.
        """
        await self.write()
        since = int(self._clock() // 60) - min(last_minutes, _MOST_MINUTES)
        try:
            known = await asyncio.to_thread(self._records.read)
            minutes = await asyncio.to_thread(self._records.minutes, since + 1) if last_minutes else None
            trials = await asyncio.to_thread(told_trials, self._trials, self._records, known, points)
        except sqlite3.Error as error:
            raise RequestError(503, f"the records of the A/B tests cannot be read now: {error}") from error
        return experiment_report(self._aliases, known, minutes, trials)

    # Time

    def tick(self) -> None:
        """Begin to write down what was counted, where it is time to. Call it often; it does not wait."""
        now = self._clock()
        due = self._batch.minutes or self._trials.declared or now >= self._next_prune
        if due and now >= self._next_write and self._writing is None:
            self._next_write = now + _WRITE_SECONDS
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def write(self) -> None:
        """Write down what was counted, look at the tests that are declared, and wait until that is done."""
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
        self._flying = batch
        now = self._clock()
        try:
            if batch.minutes:
                await asyncio.to_thread(self._records.write, batch)
            _add_batch(self._written, batch)
            batch, self._flying = Batch(), None
            if self._trials.declared:
                self._news += self._trials.adopt(await asyncio.to_thread(self._trials.judge))
            if now >= self._next_prune:
                self._next_prune = now + _PRUNE_SECONDS
                await asyncio.to_thread(self._records.prune, int(now // 60))
            self.problem = None
        except sqlite3.Error as error:
            self.problem = str(error)
            self._flying = None
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


def _alias_of(experiment: str) -> str:
    """The alias whose experiment is called so: no alias has an @ in it."""
    return experiment.partition("@")[0]


def _add(sums: dict[Arm, tuple[Tally, Spread]], arm: Arm, tally: Tally, spread: Spread) -> None:
    mine = sums.setdefault(arm, (Tally(), Spread()))
    mine[0].add(tally)
    mine[1].add(spread)


def _add_batch(sums: dict[Arm, tuple[Tally, Spread]], batch: Batch) -> None:
    """Add what a batch holds, by alias instead of by experiment."""
    for (experiment, arm, _), tally in batch.minutes.items():
        _add(sums, (_alias_of(experiment), arm), tally, _NO_TIMES)
    for (experiment, arm), spread in batch.spreads.items():
        _add(sums, (_alias_of(experiment), arm), _NO_SUMS, spread)


_NO_TIMES: Final = Spread()
_NO_SUMS: Final = Tally()
