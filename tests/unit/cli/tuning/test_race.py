"""Which of several candidates is best, found from bursts on a simulated machine whose speeds are known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from cli.tuning.comparison import ratio, student_quantile
from cli.tuning.race import Burst, Limits, OutOfTimeError, race
from cli.tuning.search import search
from cli.tuning.settings import Candidate, Knob, knobs, setting_names
from fleet_spec.errors import BadInputError
from fleet_spec.serving_spec import ServingSpec

pytestmark = pytest.mark.unit
NOW = Candidate(2, ServingSpec())
NO_LIMITS = Limits()


def with_threads(threads: int) -> Candidate:
    return NOW.changed("threads", threads)


def a_burst(speed: float, *, ttft_seconds: float = 0.1, itl_seconds: float = 0.01) -> Burst:
    return Burst(speed, 1.0, False, (ttft_seconds,) * 4, (itl_seconds,) * 4, 1000, 0.0)


class Machine:
    """Measures candidates: a true speed, times what else the machine does in that round, times chance."""

    def __init__(self, speed: Callable[[Candidate], float], *, noise: float, seed: int = 1) -> None:
        self._speed = speed
        self._noise = noise
        self._random = random.Random(seed)
        self.measured: list[Candidate] = []

    def __call__(self, candidate: Candidate) -> Burst | str:
        self.measured.append(candidate)
        # Slow waves of other work, as on a shared machine: neighbours in time are slowed alike.
        weather = 1 + 0.5 * math.sin(len(self.measured) / 7)
        return a_burst(self._speed(candidate) * weather * math.exp(self._random.gauss(0, self._noise)))


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 5, 2.5706), (0.975, 30, 2.0423), (0.995, 4, 4.6041)],
)
def test_the_quantiles_of_students_t_are_those_of_the_tables(probability: float, degrees: int, value: float) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(value, abs=1e-4)


def test_an_interval_needs_three_rounds() -> None:
    assert ratio([2.0, 2.2], [1.0, 1.0]).low is None
    found = ratio([2.0, 2.2, 1.8], [1.0, 1.0, 1.0])
    assert found.faster
    assert found.low is not None
    assert found.low < found.value == pytest.approx(1.993, abs=0.001)


def test_two_rounds_tell_nothing() -> None:
    outcome = race([NOW, with_threads(1)], lambda _: a_burst(100), limits=NO_LIMITS, rounds=2)
    assert outcome.reason == "too few rounds to tell"


def test_what_is_much_faster_wins() -> None:
    machine = Machine(lambda one: 200.0 if one.value("threads") == 1 else 100.0, noise=0.05)
    outcome = race([NOW, with_threads(1), with_threads(2)], machine, limits=NO_LIMITS, rounds=6)
    assert outcome.winner.candidate == with_threads(1)
    assert outcome.reason == "faster beyond the noise"
    assert outcome.ratios[1] is not None
    assert outcome.ratios[1].value == pytest.approx(2, rel=0.15)


def test_candidates_that_are_alike_are_seldom_told_apart() -> None:
    """The promise of the interval: at most 5 % of races between equals have a winner, however many take part."""
    wins = 0
    for seed in range(300):
        machine = Machine(lambda _: 100.0, noise=0.1, seed=seed)
        outcome = race([NOW, *map(with_threads, (1, 2, 3))], machine, limits=NO_LIMITS, rounds=6)
        wins += outcome.winner.candidate != NOW
    assert wins / 300 < 0.06


def test_a_candidate_that_is_clearly_slower_leaves_early() -> None:
    machine = Machine(lambda one: 20.0 if one.value("threads") == 1 else 100.0, noise=0.02)
    race([NOW, with_threads(1), with_threads(2)], machine, limits=NO_LIMITS, rounds=8)
    assert machine.measured.count(with_threads(1)) == 3
    assert machine.measured.count(with_threads(2)) == 8


def test_a_candidate_that_cannot_be_served_is_out_and_says_why() -> None:
    def measure(candidate: Candidate) -> Burst | str:
        return "no memory" if candidate.value("threads") == 1 else a_burst(100)

    outcome = race([NOW, with_threads(1), with_threads(2)], measure, limits=NO_LIMITS, rounds=3)
    assert outcome.runs[1].problem == "no memory"
    assert outcome.winner.candidate == NOW


def test_where_the_settings_of_now_cannot_be_served_another_wins() -> None:
    outcome = race(
        [NOW, with_threads(1)],
        lambda one: a_burst(50) if one.value("threads") == 1 else "its server ended",
        limits=NO_LIMITS,
        rounds=3,
    )
    assert outcome.winner.candidate == with_threads(1)


def test_speed_beyond_a_limit_of_latency_does_not_count() -> None:
    def measure(candidate: Candidate) -> Burst:
        fast = candidate.value("threads") == 1
        return a_burst(300 if fast else 100, ttft_seconds=0.9 if fast else 0.1)

    free = race([NOW, with_threads(1)], measure, limits=NO_LIMITS, rounds=3)
    bound = race([NOW, with_threads(1)], measure, limits=Limits(ttft_seconds=0.5), rounds=3)
    assert free.winner.candidate == with_threads(1)
    assert bound.winner.candidate == NOW
    assert bound.reason == "what is faster does not keep the limits"


def test_a_slower_candidate_wins_where_it_alone_keeps_the_limits() -> None:
    def measure(candidate: Candidate) -> Burst:
        slow = candidate.value("threads") == 1
        return a_burst(90 if slow else 100, itl_seconds=0.01 if slow else 0.2)

    outcome = race([NOW, with_threads(1)], measure, limits=Limits(itl_seconds=0.05), rounds=3)
    assert outcome.winner.candidate == with_threads(1)


def test_a_search_keeps_what_helped_and_goes_on_from_there() -> None:
    def speed(candidate: Candidate) -> float:
        return 100.0 * (1.5 if candidate.value("threads") == 1 else 1) * (2 if candidate.parallel == 4 else 1)

    machine = Machine(speed, noise=0.03)
    found = search(
        NOW,
        [Knob("threads", (1, 2)), Knob("parallel", (1, 2, 4)), Knob("loadMode", ("map", "copy"))],
        machine,
        limits=NO_LIMITS,
        rounds=5,
        time_for=lambda _: True,
    )
    assert setting_names(found.start, found.best) == ["parallel", "threads"]
    assert (found.best.parallel, found.best.value("threads")) == (4, 1)
    assert found.final is not None
    last = found.final.ratios[1]
    assert last is not None
    assert last.value == pytest.approx(3, rel=0.1), "measured anew, from the start to the end"


def test_a_search_that_finds_nothing_proposes_nothing() -> None:
    found = search(
        NOW,
        [Knob("threads", (1, 2))],
        Machine(lambda _: 100.0, noise=0.02),
        limits=NO_LIMITS,
        rounds=4,
        time_for=lambda _: True,
    )
    assert found.best == found.start
    assert found.final is None


def test_settings_for_which_there_is_no_time_are_named() -> None:
    bursts: list[Candidate] = []

    def measure(candidate: Candidate) -> Burst:
        if len(bursts) == 12:
            raise OutOfTimeError
        bursts.append(candidate)
        return a_burst(200.0 if candidate.value("threads") == 1 else 100.0)

    found = search(
        NOW,
        [Knob("threads", (1, 2)), Knob("parallel", (1, 4))],
        measure,
        limits=NO_LIMITS,
        rounds=3,
        time_for=lambda share: len(bursts) < 10 * share,
    )
    assert found.left_out == ["parallel"]


def test_values_that_contradict_other_settings_are_not_tried() -> None:
    start = NOW.changed("kvCacheType", "q8_0")
    assert [one.value("flashAttention") for one in Knob("flashAttention", (True, False)).rivals(start)] == [True]
    kinds = [one.value("kvCacheType") for one in Knob("kvCacheType", ("f16", "q8_0")).rivals(NOW)]
    assert kinds == ["q8_0"], "f16 is what the engine has by itself"


def test_what_is_tried_follows_the_machine_and_the_load() -> None:
    found = {knob.name: knob.values for knob in knobs((), cpus=8, concurrency=6)}
    assert found["threads"] == (1, 2, 4, 7, 8)
    assert found["parallel"] == (1, 2, 4, 8)
    assert "speculative" not in found
    assert [knob.name for knob in knobs(("speculative",), cpus=2, concurrency=1)] == ["speculative"]
    with pytest.raises(BadInputError, match="speculative"):
        knobs(("temperature",), cpus=2, concurrency=1)
