"""The A/B tests that the contract declares: who still gets requests, and what is known of each.

What is decided holds as long as the test does: it is read again when the router starts, and a contract that says
nothing new changes nothing of it. ``paddock ab end`` ends the test, and with it what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agent_runtime.experiments.compare import ArmRecord, comparisons
from agent_runtime.experiments.means import Sample
from agent_runtime.experiments.ruling import breaches, winner
from agent_runtime.experiments.shares import Share
from agent_runtime.router.experiments.records import Records
from agent_runtime.router.experiments.rulings import Kind, Ruling, Rulings
from agent_runtime.router.experiments.tally import NEVER, Slow, Tally
from fleet_spec.contract import FleetContract
from fleet_spec.experiment_spec import ExperimentSpec


class Trial:
    """One of them."""

    def __init__(self, alias: str, spec: ExperimentSpec, arms: Mapping[str, float]) -> None:
        self.alias = alias
        self.spec = spec
        self.name = spec.name(alias)
        self.arms = dict(arms)
        """Weights as the contract has them."""
        self.baseline = spec.baseline_of(arms)
        self.rulings: tuple[Ruling, ...] = ()
        guards = spec.guards
        self.slow = NEVER
        if guards.ttft_p95_ms is not None or guards.latency_p95_ms is not None:
            self.slow = Slow(
                (guards.ttft_p95_ms or float("inf")) / 1000, (guards.latency_p95_ms or float("inf")) / 1000
            )

    def weights(self) -> dict[str, float]:
        """The arms' weights in force: 0 for those that get no more requests."""
        return {arm: weight if arm in _running(self, self.rulings) else 0.0 for arm, weight in self.arms.items()}

    def to_mapping(self) -> dict[str, Any]:
        """What is declared and what was decided, as plain JSON data."""
        return {
            "name": self.name,
            "baseline": self.baseline,
            **self.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"baseline"}),
            "weights": self.weights(),
            "rulings": [ruling.to_mapping() for ruling in self.rulings],
        }


class Trials:
    """All of them, of one process."""

    def __init__(self, records: Records, clock: Callable[[], float]) -> None:
        """Raises ``sqlite3.Error``: the records cannot be written."""
        self._records = records
        self._rulings = Rulings(records)
        self._clock = clock
        self.declared: dict[str, Trial] = {}
        """By alias."""

    def declare(self, aliases: Mapping[str, Mapping[str, float]], declared: Mapping[str, ExperimentSpec]) -> None:
        """Follow a contract, and know at once what was decided before.

        Args:
            aliases: The models behind each alias of several, with weights over 0.
            declared: The tests, by alias.

        Raises:
            sqlite3.Error: the records cannot be read; all else has been taken in.
        """
        known = self.declared
        self.declared = {
            alias: self._trial(known.get(alias), alias, spec, aliases[alias])
            for alias, spec in declared.items()
            if alias in aliases
        }
        for alias, trial in self.declared.items():
            # One that was there is left to `adopt`, so that whatever is new about it becomes news.
            if trial is not known.get(alias):
                trial.rulings = self._rulings.of(trial.name)

    @staticmethod
    def _trial(known: Trial | None, alias: str, spec: ExperimentSpec, arms: Mapping[str, float]) -> Trial:
        """A test: the same object as long as nothing about it has changed."""
        if known is not None and (known.spec, known.arms) == (spec, dict(arms)):
            return known
        made = Trial(alias, spec, arms)
        if known is not None and known.name == made.name:
            made.rulings = known.rulings
        return made

    def overruled(self, contract: FleetContract) -> FleetContract:
        """The contract with the weights that are in force."""
        if not any(trial.rulings for trial in self.declared.values()):
            return contract
        changed = {alias: trial.weights() for alias, trial in self.declared.items()}
        return contract.model_copy(update={"aliases": {**contract.aliases, **changed}})

    def judge(self) -> list[tuple[Trial, tuple[Ruling, ...]]]:
        """Look at every test, and decide. Gives what is decided of each, by whomever. Waits for the disk.

        Raises:
            sqlite3.Error: the records cannot be read or written now.
        """
        return [(trial, self._judge(trial)) for trial in list(self.declared.values())]

    def adopt(self, judged: Sequence[tuple[Trial, tuple[Ruling, ...]]]) -> list[tuple[Trial, Ruling]]:
        """Take in what was decided. Gives what is new of it."""
        news: list[tuple[Trial, Ruling]] = []
        for trial, rulings in judged:
            news += [(trial, one) for one in rulings if one not in trial.rulings]
            trial.rulings = rulings
        return [(trial, one) for trial, one in news if self.declared.get(trial.alias) is trial]

    def _judge(self, trial: Trial) -> tuple[Ruling, ...]:
        guards = trial.spec.guards
        watched = (guards.error_rate, guards.ttft_p95_ms, guards.latency_p95_ms)
        if not trial.spec.promote and all(limit is None for limit in watched):
            return self._rulings.of(trial.name)
        arms = self.arms(trial)
        # Most looks change nothing, and then nothing is written.
        before = self._rulings.of(trial.name)
        if not self._decided(trial, arms, before):
            return before
        return self._rulings.decide(trial.name, lambda now: self._decided(trial, arms, now))

    def _decided(self, trial: Trial, arms: Mapping[str, ArmRecord], before: Sequence[Ruling]) -> list[Ruling]:
        """What is to be decided now, given what was before."""
        if any(one.kind == "promoted" for one in before):
            return []
        running = {arm: arms[arm] for arm in _running(trial, before)}
        fresh: list[Ruling] = []
        for arm, reason in breaches(trial.spec, running):
            if len(running) > 1:
                del running[arm]
                fresh.append(self._ruling(trial, arm, "stopped", reason))
        if trial.spec.promote and not fresh:
            found = winner(trial.spec, trial.baseline, running, len(trial.arms))
            if found is not None:
                fresh.append(self._ruling(trial, found[0], "promoted", found[1]))
        return fresh

    def _ruling(self, trial: Trial, arm: str, kind: Kind, reason: str) -> Ruling:
        return Ruling(trial.name, arm, kind, reason, int(self._clock()))

    # What is known

    def arms(self, trial: Trial) -> dict[str, ArmRecord]:
        """What is known of a test's arms. Waits for the disk.

        Raises:
            sqlite3.Error: the records cannot be read now.
        """
        sums, scores = self._records.sums(trial.name), self._rulings.scores(trial.name)
        return {arm: arm_record(sums.get(arm) or Tally(), scores.get(arm, {})) for arm in trial.arms}

    def note_scores(self, trial: Trial, prompt: str, scores: Mapping[str, float]) -> None:
        """Note what a judge gave the arms for one prompt. Waits for the disk.

        Raises:
            sqlite3.Error: it cannot be written down now.
            ValueError: there are too many already.
        """
        self._rulings.score(trial.name, prompt, scores)

    def report(self, trial: Trial) -> dict[str, Any]:
        """A test with the effect of each arm. Waits for the disk; raises as :meth:`arms`."""
        arms = self.arms(trial)
        scored = {
            arm: {"count": len(record.scores), "mean": sum(record.scores.values()) / len(record.scores)}
            for arm, record in arms.items()
            if record.scores
        }
        effects = comparisons(arms, trial.baseline, trial.spec.alpha)
        return {**trial.to_mapping(), "scores": scored, "comparisons": effects}


def _running(trial: Trial, rulings: Sequence[Ruling]) -> set[str]:
    """The arms that still get requests."""
    promoted = {one.arm for one in rulings if one.kind == "promoted" and one.arm in trial.arms}
    stopped = {one.arm for one in rulings if one.kind == "stopped"}
    return promoted or (set(trial.arms) - stopped) or set(trial.arms)


def arm_record(tally: Tally, scores: Mapping[str, float]) -> ArmRecord:
    """What a tally says of an arm."""
    return ArmRecord(
        errors=Share(tally.trial_errors, tally.trials),
        latency=Sample(tally.log_durations, tally.log_duration, tally.log_duration_squared),
        ttft=Sample(tally.log_first_bytes, tally.log_first_byte, tally.log_first_byte_squared),
        slow_latency=Share(tally.slow_durations, tally.log_durations),
        slow_ttft=Share(tally.slow_first_bytes, tally.log_first_bytes),
        cost=Sample(tally.log_durations, tally.trial_usd, tally.trial_usd_squared),
        feedback=Sample(tally.votes, tally.score, tally.score_squared),
        scores=scores,
    )


def history(
    trial: Trial,
    totals: Mapping[str, Tally],
    minutes: Mapping[str, Sequence[tuple[int, Tally]]],
    points: int,
) -> Iterator[dict[str, Any]]:
    """How the effects came to be: what was known at the end of some minutes, the last one among them.

    Args:
        trial: The test.
        totals: All that is known, by arm.
        minutes: What happened in which minute, by arm, oldest first; the oldest may be missing.
        points: How many moments are told, at most.
    """
    all_minutes = sorted({minute for told in minutes.values() for minute, _ in told})
    if not all_minutes or points < 1:
        return
    step = max(1, -(-len(all_minutes) // points))
    chosen = set(all_minutes[::-1][::step])
    running = {arm: _before(totals.get(arm) or Tally(), minutes.get(arm, ())) for arm in trial.arms}
    by_minute: dict[int, list[tuple[str, Tally]]] = {}
    for arm, told in minutes.items():
        for minute, tally in told:
            by_minute.setdefault(minute, []).append((arm, tally))
    for minute in all_minutes:
        for arm, tally in by_minute[minute]:
            if arm in running:
                running[arm].add(tally)
        if minute in chosen:
            arms = {arm: arm_record(tally, {}) for arm, tally in running.items()}
            yield {"minute": minute, "comparisons": comparisons(arms, trial.baseline, trial.spec.alpha)}


def _before(total: Tally, told: Sequence[tuple[int, Tally]]) -> Tally:
    """What a total was before the minutes that are told."""
    start = Tally()
    start.add(total)
    for _, tally in told:
        start.add(tally, -1)
    return start
