"""The door of the A/B tests, over one file and several workers."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.experiments import Assignment, Experiments, Outcome, experiment_families
from agent_runtime.router.experiments.records import FILE_NAME, VOTE_SECONDS, Batch, Records
from agent_runtime.router.experiments.tally import Tally
from agent_runtime.router.exposition import exposed
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[4]
ALIASES = {"assistant": {"a": 0.75, "b": 0.25}, "plain": {"a": 1.0}}
ARM_A = Assignment("assistant", "a", "a")
ARM_B = Assignment("assistant", "b", "b")
GOOD = Outcome(200, 2.0, 0.5, 10, 20, 0.01)


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def worker(directory: Path | None, clock: Clock | None = None) -> Experiments:
    made = Experiments(directory, clock=clock or Clock())
    made.update(ALIASES)
    return made


async def arms(experiments: Experiments) -> dict[str, Any]:
    return (await experiments.report())["experiments"]["assistant"]["arms"]


def vote_on(request_id: str, score: float, **more: Any) -> dict[str, Any]:
    return {"requestId": request_id, "score": score, **more}


async def test_a_report_before_anything_happened() -> None:
    experiments = worker(None)
    report = await experiments.report()
    assert list(report["experiments"]) == ["assistant"]
    first = report["experiments"]["assistant"]["arms"]["a"]
    assert (first["share"], first["requests"], first["errorRate"]) == (0.75, 0, None)
    await experiments.close()


async def test_what_became_of_requests() -> None:
    experiments = worker(None)
    experiments.record(ARM_A, GOOD)
    experiments.record(ARM_A, Outcome(200, 4.0, 1.5, 10, 40, 0.03))
    experiments.record(ARM_A, Outcome(502, 1.0))
    experiments.record(Assignment("assistant", "a", "b"), Outcome(499, 1.0))
    found = (await arms(experiments))["a"]
    assert (found["requests"], found["errors"], found["clientLeft"], found["fallbacks"]) == (4, 1, 1, 1)
    assert found["errorRate"] == 0.25
    times = {name: found["durationSeconds"][name] for name in ("count", "sum", "sumOfSquares", "mean")}
    assert times == {"count": 2, "sum": 6.0, "sumOfSquares": 20.0, "mean": 3.0}
    assert found["timeToFirstTokenSeconds"]["mean"] == 1.0
    assert found["durationSeconds"]["p95"] == pytest.approx(4.75)
    assert found["completionTokens"]["mean"] == 30
    assert found["usd"]["sum"] == pytest.approx(0.04)
    await experiments.close()


async def test_workers_add_up(tmp_path: Path) -> None:
    workers = [worker(tmp_path) for _ in range(4)]

    async def work(one: Experiments) -> None:
        for _ in range(20):
            one.record(ARM_B, GOOD)
            await one.write()

    await asyncio.gather(*(work(one) for one in workers))
    assert {(await arms(one))["b"]["requests"] for one in workers} == {80}
    assert all(one.problem is None for one in workers)
    for one in workers:
        await one.close()


async def test_what_was_written_outlives_the_process(tmp_path: Path) -> None:
    experiments = worker(tmp_path)
    experiments.record(ARM_A, GOOD)
    await experiments.write()
    # Killed: nothing is closed, and what was not written is lost.
    experiments.record(ARM_A, GOOD)
    again = worker(tmp_path)
    assert (await arms(again))["a"]["requests"] == 1
    await again.close()
    await experiments.close()


async def test_ticks_write_down_now_and_then(tmp_path: Path) -> None:
    clock = Clock()
    experiments, reader = worker(tmp_path, clock), worker(tmp_path, clock)
    experiments.record(ARM_A, GOOD)
    experiments.tick()
    await experiments.write()
    experiments.record(ARM_A, GOOD)
    experiments.tick()
    assert (await arms(reader))["a"]["requests"] == 1
    clock.now += 5
    experiments.tick()
    deadline = asyncio.get_running_loop().time() + 5
    while (await arms(reader))["a"]["requests"] != 2:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    await experiments.close()
    await reader.close()


async def test_minutes_can_be_told_apart(tmp_path: Path) -> None:
    clock = Clock()
    experiments = worker(tmp_path, clock)
    experiments.record(ARM_A, GOOD)
    clock.now += 60
    experiments.record(ARM_A, GOOD)
    experiments.record(ARM_A, GOOD)
    report = await experiments.report(last_minutes=2)
    found = report["experiments"]["assistant"]["arms"]["a"]["minutes"]
    this_minute = int(clock.now // 60)
    assert [(one["minute"], one["requests"]) for one in found] == [(this_minute - 1, 1), (this_minute, 2)]
    report = await experiments.report(last_minutes=1)
    assert len(report["experiments"]["assistant"]["arms"]["a"]["minutes"]) == 1
    await experiments.close()


async def test_old_minutes_go_and_the_sums_stay(tmp_path: Path) -> None:
    clock = Clock()
    experiments = worker(tmp_path, clock)
    experiments.record(ARM_A, GOOD)
    await experiments.write()
    clock.now += 40 * 86_400
    experiments.record(ARM_A, GOOD)
    report = await experiments.report(last_minutes=100_000)
    found = report["experiments"]["assistant"]["arms"]["a"]
    assert found["requests"] == 2
    assert len(found["minutes"]) == 1
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        assert db.execute("SELECT COUNT(*) FROM minutes").fetchone() == (1,)
    db.close()
    await experiments.close()


async def test_an_experiment_that_is_over_is_still_known(tmp_path: Path) -> None:
    experiments = worker(tmp_path)
    experiments.record(ARM_B, GOOD)
    experiments.update({"assistant": {"a": 1.0}})
    found = (await experiments.report())["experiments"]["assistant"]
    assert (found["running"], found["arms"]["b"]["requests"]) == (False, 1)
    await experiments.close()


# Votes


async def test_a_vote_finds_its_arm_at_any_worker(tmp_path: Path) -> None:
    one, other = worker(tmp_path), worker(tmp_path)
    request_id = one.request_id(ARM_B)
    said = await other.vote(vote_on(request_id, 1, label="helpful"))
    assert said == {"requestId": request_id, "alias": "assistant", "arm": "b", "score": 1.0, "replaced": False}
    feedback = (await arms(one))["b"]["feedback"]
    assert feedback == {"count": 1, "sum": 1.0, "sumOfSquares": 1.0, "mean": 1.0, "labels": {"helpful": 1}}
    await one.close()
    await other.close()


async def test_one_vote_a_request_and_the_last_one_holds(tmp_path: Path) -> None:
    one, other = worker(tmp_path), worker(tmp_path)
    first, second = one.request_id(ARM_A), one.request_id(ARM_A)
    await one.vote(vote_on(first, 1, label="good"))
    await one.vote(vote_on(second, 0.5))
    assert (await other.vote(vote_on(first, -1, label="bad")))["replaced"]
    feedback = (await arms(one))["a"]["feedback"]
    assert feedback == {"count": 2, "sum": -0.5, "sumOfSquares": 1.25, "mean": -0.25, "labels": {"bad": 1}}
    await one.close()
    await other.close()


async def test_votes_at_the_same_moment_count_once(tmp_path: Path) -> None:
    workers = [worker(tmp_path) for _ in range(3)]
    request_id = workers[0].request_id(ARM_A)
    said = await asyncio.gather(*(one.vote(vote_on(request_id, 1)) for one in workers * 5))
    assert sum(not one["replaced"] for one in said) == 1
    feedback = (await arms(workers[0]))["a"]["feedback"]
    assert (feedback["count"], feedback["sum"], feedback["sumOfSquares"]) == (1, 1.0, 1.0)
    for one in workers:
        await one.close()


async def test_a_vote_counts_for_the_minute_of_its_request() -> None:
    clock = Clock()
    experiments = worker(None, clock)
    request_id, minute = experiments.request_id(ARM_A), int(clock.now // 60)
    clock.now += 3600
    await experiments.vote(vote_on(request_id, 1))
    report = await experiments.report(last_minutes=120)
    found = report["experiments"]["assistant"]["arms"]["a"]["minutes"]
    assert [(one["minute"], one["votes"]) for one in found] == [(minute, 1)]
    await experiments.close()


async def test_a_vote_for_an_arm_that_was_taken_out_counts(tmp_path: Path) -> None:
    before = worker(tmp_path)
    request_id = before.request_id(ARM_B)
    before.record(ARM_B, GOOD)
    await before.close()
    after = Experiments(tmp_path, clock=Clock())
    assert (await after.vote(vote_on(request_id, 1)))["arm"] == "b"
    with pytest.raises(RequestError, match="is over"):
        await after.vote(vote_on(after.request_id(Assignment("never", "x", "x")), 1))
    await after.close()


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "requestId"),
        ({"requestId": 5, "score": 1}, 400, "requestId"),
        ({"requestId": "x"}, 400, "score"),
        ({"requestId": "x", "score": "1"}, 400, "score"),
        ({"requestId": "x", "score": True}, 400, "score"),
        ({"requestId": "x", "score": 1.01}, 400, "score"),
        ({"requestId": "x", "score": -0.5}, 400, "score"),
        ({"requestId": "x", "score": float("nan")}, 400, "score"),
        ({"requestId": "x", "score": 1, "label": "a prompt, by mistake"}, 400, "label"),
        ({"requestId": "x", "score": 1, "label": "x" * 65}, 400, "label"),
        ({"requestId": "x", "score": 1, "comment": "no"}, 400, "comment"),
        ({"requestId": "x", "score": 1, "label": "fine"}, 404, "requestId"),
        ({"requestId": "pdx-" + "A" * 35, "score": 1}, 404, "requestId"),
    ],
)
async def test_bad_votes(body: dict[str, Any], status: int, param: str) -> None:
    experiments = worker(None)
    with pytest.raises(RequestError) as refused:
        await experiments.vote(body)
    assert (refused.value.status, refused.value.param) == (status, param)
    await experiments.close()


async def test_a_vote_on_an_old_request_comes_too_late() -> None:
    clock = Clock()
    experiments = worker(None, clock)
    request_id = experiments.request_id(ARM_A)
    clock.now += VOTE_SECONDS - 1
    await experiments.vote(vote_on(request_id, 1))
    clock.now += 2
    with pytest.raises(RequestError, match="in the last 30 days"):
        await experiments.vote(vote_on(request_id, 0))
    await experiments.close()


# Faults


def refuse_writes(directory: Path, *, refuse: bool) -> None:
    """Make every writer of the file fail, as a full disk does."""
    with sqlite3.connect(directory / FILE_NAME) as db:
        if refuse:
            db.execute("CREATE TRIGGER full BEFORE INSERT ON totals BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        else:
            db.execute("DROP TRIGGER full")
    db.close()


async def test_what_cannot_be_written_waits_and_nothing_is_lost(tmp_path: Path) -> None:
    experiments = worker(tmp_path)
    refuse_writes(tmp_path, refuse=True)
    experiments.record(ARM_A, GOOD)
    await experiments.write()
    assert experiments.problem == "disk full"
    with pytest.raises(RequestError) as refused:
        await experiments.vote(vote_on(experiments.request_id(ARM_A), 1))
    assert refused.value.status == 503
    experiments.record(ARM_A, GOOD)
    refuse_writes(tmp_path, refuse=False)
    found = (await arms(experiments))["a"]
    assert (found["requests"], found["durationSeconds"]["count"], found["feedback"]["count"]) == (2, 2, 0)
    assert experiments.problem is None
    await experiments.close()


async def test_what_was_written_is_not_written_again_because_something_else_failed(tmp_path: Path) -> None:
    clock = Clock()
    experiments = worker(tmp_path, clock)
    experiments.record(ARM_A, GOOD)
    await experiments.write()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("CREATE TRIGGER no BEFORE DELETE ON minutes BEGIN SELECT RAISE(ABORT, 'no pruning'); END")
    db.close()
    clock.now += 40 * 86_400
    experiments.record(ARM_A, GOOD)
    await experiments.write()
    assert experiments.problem == "no pruning"
    assert (await arms(experiments))["a"]["requests"] == 2
    await experiments.close()


async def test_a_disk_that_stays_full_does_not_fill_the_memory(tmp_path: Path) -> None:
    clock = Clock()
    experiments = worker(tmp_path, clock)
    refuse_writes(tmp_path, refuse=True)
    for _ in range(3):
        for _ in range(2500):
            clock.now += 60
            experiments.record(ARM_A, GOOD)
        await experiments.write()
        assert len(experiments._batch.minutes) <= 4096
    refuse_writes(tmp_path, refuse=False)
    assert (await arms(experiments))["a"]["requests"] == 7500
    await experiments.close()


def test_the_file_is_for_nobody_else(tmp_path: Path) -> None:
    Records(tmp_path).close()
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
def test_a_file_that_is_none_of_ours_is_named_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / FILE_NAME
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        content = path.read_bytes()
    else:
        path.write_bytes(content)
    with pytest.raises(BadInputError, match=FILE_NAME):
        Records(tmp_path)
    assert path.exists()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nowhere"):
        Records(tmp_path / "nowhere")


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    records = Records(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("CREATE TRIGGER no AFTER INSERT ON minutes WHEN NEW.arm = 'c' BEGIN SELECT RAISE(FAIL, 'no'); END")
    db.close()
    with pytest.raises(sqlite3.Error, match="no"):
        records.write(Batch({("x", arm, 1): Tally(requests=1) for arm in "abc"}))
    assert (records.read(), records.minutes(0)) == ({}, {})
    records.close()


WRITER = """
import sys
from pathlib import Path
from agent_runtime.router.experiments.records import Batch, Records
from agent_runtime.router.experiments.tally import Tally
records = Records(Path(sys.argv[1]))
for count in range(1_000_000):
    records.write(Batch({("x", arm, count // 10): Tally(requests=1) for arm in "abcdef"}))
"""


def test_a_writer_that_is_killed_in_the_middle_leaves_whole_batches(tmp_path: Path) -> None:
    records = Records(tmp_path)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT) as writer:
        try:
            while not (found := records.read()) or found["x", "a"].total.requests < 50:
                assert writer.poll() is None
        finally:
            writer.kill()
    counts = {known.total.requests for known in records.read().values()}
    assert len(counts) == 1
    per_minute = records.minutes(0)
    assert {sum(tally.requests for _, tally in minutes) for minutes in per_minute.values()} == counts
    records.close()


# Metrics


async def test_what_prometheus_reads() -> None:
    experiments = worker(None)
    experiments.record(ARM_A, GOOD)
    request_id = experiments.request_id(ARM_A)
    await experiments.vote(vote_on(request_id, 1))
    await experiments.vote(vote_on(request_id, 0.5))
    text = exposed(experiment_families(experiments.counted)).splitlines()
    labels = 'alias="assistant",arm="a"'
    assert f"paddock_experiment_requests_total{{{labels}}} 1" in text
    assert f"paddock_experiment_completion_tokens_total{{{labels}}} 20" in text
    assert f"paddock_experiment_feedback_votes{{{labels}}} 1" in text
    assert f"paddock_experiment_feedback_score_sum{{{labels}}} 0.5" in text
    assert f'paddock_experiment_request_duration_seconds_bucket{{{labels},le="2.5"}} 1' in text
    assert f'paddock_experiment_request_duration_seconds_bucket{{{labels},le="+Inf"}} 1' in text
    assert f"paddock_experiment_time_to_first_token_seconds_sum{{{labels}}} 0.5" in text
    await experiments.close()
