"""The search: one setting after the other, each time from the best so far, and a fresh race at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cli.tuning.race import Burst, Limits, Outcome, OutOfTimeError, race
from cli.tuning.settings import Candidate, Knob

_SEARCH_SHARE: Final = 0.6
"""Of the whole time. The rest is for the race that the answer comes from."""


@dataclass(frozen=True)
class Step:
    """One setting that was tried."""

    knob: Knob
    outcome: Outcome


@dataclass
class Search:
    """What a search found."""

    start: Candidate
    best: Candidate
    steps: list[Step] = field(default_factory=list[Step])
    final: Outcome | None = None
    """The best beside the start, measured anew: what won a race was lucky in it, too. None where nothing is better."""
    left_out: list[str] = field(default_factory=list[str])
    """Settings for which there was no time."""


def search(
    start: Candidate,
    knobs: Sequence[Knob],
    measure: Callable[[Candidate], Burst | str],
    *,
    limits: Limits,
    rounds: int,
    time_for: Callable[[float], bool],
    on_step: Callable[[Step], None] = lambda _: None,
) -> Search:
    """Find the best settings.

    Args:
        start: How the model is served now.
        knobs: What to try, in this order.
        measure: One burst of a candidate, or why there is none. May raise OutOfTimeError.
        limits: What the best has to keep.
        rounds: The most bursts of each candidate in one race.
        time_for: Whether this share of the whole time, from 0 to 1, has not passed yet.
        on_step: Called after each setting.
    """
    found = Search(start, start)
    for knob in knobs:
        rivals = knob.rivals(found.best)
        if not rivals:
            continue
        if not time_for(_SEARCH_SHARE):
            found.left_out.append(knob.name)
            continue
        outcome = race([found.best, *rivals], _until(measure, time_for), limits=limits, rounds=rounds)
        found.best = outcome.winner.candidate
        found.steps.append(Step(knob, outcome))
        on_step(found.steps[-1])
    if found.best != start:
        found.final = race([start, found.best], measure, limits=limits, rounds=rounds + 2)
        found.best = found.final.winner.candidate
    return found


def _until(
    measure: Callable[[Candidate], Burst | str], time_for: Callable[[float], bool]
) -> Callable[[Candidate], Burst | str]:
    def measured(candidate: Candidate) -> Burst | str:
        if not time_for(_SEARCH_SHARE):
            raise OutOfTimeError
        return measure(candidate)

    return measured
