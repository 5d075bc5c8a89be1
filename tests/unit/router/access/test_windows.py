"""Counting for rate limits: the same rules in memory and in a file, whoever counts."""

from __future__ import annotations

import math
import multiprocessing
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.access.local_windows import FileWindows, LocalWindows, MemoryWindows
from agent_runtime.router.access.window import WINDOW_SECONDS, Want, Window

pytestmark = pytest.mark.unit

Made = Callable[[Callable[[], float]], LocalWindows]


class Clock:
    def __init__(self, now: float = 6000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    made: list[LocalWindows] = []

    def build(now: Callable[[], float]) -> LocalWindows:
        made.append(MemoryWindows(now) if request.param == "memory" else FileWindows(tmp_path / "rates.sqlite", now))
        return made[-1]

    yield build
    for windows in made:
        windows.close()


def one(limit: int, cost: int = 1, key: str = "ci/requests") -> tuple[Want, ...]:
    return (Want(key, limit, cost),)


def test_what_fits_is_counted_and_what_does_not_is_refused(make: Made) -> None:
    windows = make(Clock())
    taken = [windows.take(one(3)) for _ in range(5)]
    assert [item.refused for item in taken] == [None, None, None, 0, 0]
    assert [item.windows[0].used() for item in taken] == [1, 2, 3, 3, 3]


def test_the_last_minute_fades_out(make: Made) -> None:
    clock = Clock(6000.0)
    windows = make(clock)
    assert windows.take(one(10, 10)).refused is None
    clock.now = 6060.0
    assert windows.take(one(10)).refused == 0
    clock.now = 6090.0
    assert windows.take(one(10, 5)).refused is None
    assert windows.take(one(10)).refused == 0
    clock.now = 6240.0
    assert windows.take(one(10, 10)).refused is None


def test_wants_are_met_together_or_not_at_all(make: Made) -> None:
    windows = make(Clock())
    both = (Want("ci/requests", 10, 1), Want("ci/tokens", 100, 60))
    assert windows.take(both).refused is None
    refused = windows.take(both)
    assert refused.refused == 1
    assert [window.used() for window in refused.windows] == [1, 60]


def test_keys_are_counted_apart(make: Made) -> None:
    windows = make(Clock())
    assert windows.take(one(1, key="a/requests")).refused is None
    assert windows.take(one(1, key="b/requests")).refused is None
    assert windows.take(one(1, key="a/requests")).refused == 0


def test_what_is_added_may_go_beyond_the_limit_and_is_waited_for(make: Made) -> None:
    clock = Clock(6000.0)
    windows = make(clock)
    windows.take(one(100, 10))
    windows.add("ci/requests", 390)
    refused = windows.take(one(100, 1))
    assert refused.refused == 0
    clock.now += refused.windows[0].wait_seconds(100, 1)
    assert windows.take(one(100, 1)).refused is None


def test_a_clock_that_goes_back_opens_nothing(make: Made) -> None:
    clock = Clock(6030.0)
    windows = make(clock)
    assert windows.take(one(2, 2)).refused is None
    clock.now = 6040.0
    assert windows.take(one(2)).refused == 0


counts = st.integers(min_value=0, max_value=10_000)
lefts = st.floats(min_value=0, max_value=WINDOW_SECONDS)


@given(counts, counts, lefts, st.integers(1, 10_000), st.integers(1, 10_000))
def test_after_the_wait_that_is_told_it_fits(previous: int, current: int, left: float, limit: int, cost: int) -> None:
    window = Window(previous, left, current, left)
    wait = window.wait_seconds(limit, cost)
    if cost > limit:
        assert math.isinf(wait)
        return
    assert (wait == 0) == (window.used() + cost <= limit)
    wait += 1e-6
    if wait < left:
        after = Window(previous, left - wait, current, left - wait)
    else:
        after = Window(current, max(0.0, WINDOW_SECONDS - (wait - left)), 0, 0.0)
    assert after.used() + cost <= limit


@given(counts, counts, lefts)
def test_a_limit_is_whole_again_after_the_time_that_is_told(previous: int, current: int, left: float) -> None:
    seconds = Window(previous, left, current, left).empty_seconds()
    assert 0 <= seconds <= 2 * WINDOW_SECONDS
    assert (seconds == 0) == (current == 0 and (previous == 0 or left == 0))


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(min_value=0, max_value=40), st.integers(1, 60)), max_size=60),
)
def test_no_window_takes_more_than_its_limit(limit: int, asked: list[tuple[float, int]]) -> None:
    clock = Clock(0.0)
    windows = MemoryWindows(clock)
    let_in: Counter[int] = Counter()
    for pause, cost in asked:
        clock.now += pause
        if windows.take(one(limit, cost)).refused is None:
            let_in[int(clock.now // WINDOW_SECONDS)] += cost
    assert all(count <= limit for count in let_in.values())


def _ask(windows: FileWindows, limit: int) -> bool:
    while True:
        try:
            return windows.take(one(limit)).refused is None
        except sqlite3.OperationalError:  # a machine that is busy with other things; nothing was counted
            continue


def _ask_often(path: Path, limit: int, times: int, together: Barrier, let_in: Queue[int]) -> None:
    windows = FileWindows(path, Clock())
    try:
        together.wait(60)
        let_in.put(sum(_ask(windows, limit) for _ in range(times)))
    finally:
        windows.close()


def test_workers_that_share_a_file_let_in_as_many_together_as_one_would(tmp_path: Path) -> None:
    workers, times = 2, 300
    limit = workers * times - 150
    context = multiprocessing.get_context("spawn")
    together, let_in = context.Barrier(workers), context.Queue()
    arguments = (tmp_path / "rates.sqlite", limit, times, together, let_in)
    processes = [context.Process(target=_ask_often, args=arguments) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * workers
    assert sum(let_in.get(timeout=10) for _ in range(workers)) == limit


def test_workers_that_start_together_all_get_the_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as workers:
        for number in range(20):
            together = threading.Barrier(6)

            def start(path: Path, together: threading.Barrier) -> None:
                together.wait(30)
                FileWindows(path).close()

            started = [workers.submit(start, tmp_path / f"rates-{number}", together) for _ in range(6)]
            for one_of_them in started:
                one_of_them.result(30)


def test_the_file_is_private_and_does_not_grow(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "rates.sqlite"
    windows = FileWindows(path, clock)
    for _ in range(20):
        windows.take(one(10))
        clock.now += WINDOW_SECONDS
    windows.close()
    assert path.stat().st_mode & 0o077 == 0
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM counts").fetchone()[0] <= 2
    database.close()
