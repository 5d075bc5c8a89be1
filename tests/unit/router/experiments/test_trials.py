"""Declared A/B tests in a running router: guards, promotion, and what of it outlives the process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.experiments import Assignment, Experiments, Outcome
from agent_runtime.router.settings import Settings
from fleet_spec.contract import FleetContract
from fleet_spec.experiment_spec import ExperimentSpec
from tests.unit.router.rig import Rig, Script, Talk, contract, eventually, openai_whole, running

pytestmark = pytest.mark.unit

STARTED = "2026-11-23T12:00:00Z"
GOOD = Outcome(200, 1.0, 0.2, 10, 20, 0.01)
FAILED = Outcome(502, 0.1)


def spec(**fields: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate({"started": STARTED, "baseline": "a", **fields})


def worker(directory: Path | None, declared: ExperimentSpec, arms: dict[str, float] | None = None) -> Experiments:
    made = Experiments(directory)
    made.update({"x": arms or {"a": 0.5, "b": 0.5}}, {"x": declared})
    return made


def feed(experiments: Experiments, arm: str, *outcomes: Outcome, times: int = 1) -> None:
    for outcome in outcomes * times:
        experiments.record(Assignment("x", arm, arm), outcome)


def in_force(experiments: Experiments) -> dict[str, float]:
    return experiments.declared["x"].weights()


# Guards


async def test_an_arm_that_errs_gets_no_more_requests() -> None:
    experiments = worker(None, spec(guards={"errorRate": 0.05}))
    feed(experiments, "a", GOOD, times=40)
    feed(experiments, "b", GOOD, FAILED, times=20)
    await experiments.write()
    assert in_force(experiments) == {"a": 0.5, "b": 0.0}
    (news,) = experiments.news()
    assert (news["alias"], news["arm"], news["kind"]) == ("x", "b", "stopped")
    assert "50.0% errors, limit 5.0% (20 of 40" in news["reason"]
    assert experiments.news() == []
    await experiments.close()


async def test_an_arm_that_is_slow_gets_no_more_requests() -> None:
    experiments = worker(None, spec(guards={"ttftP95Ms": 800}))
    feed(experiments, "a", Outcome(200, 3.0, 0.79), times=100)
    feed(experiments, "b", Outcome(200, 3.0, 0.81), times=10)
    await experiments.write()
    assert in_force(experiments) == {"a": 0.5, "b": 0.0}
    assert "first bytes after 800 ms" in experiments.news()[0]["reason"]
    await experiments.close()


async def test_the_last_arm_is_never_stopped() -> None:
    experiments = worker(None, spec(guards={"errorRate": 0.05}))
    feed(experiments, "a", FAILED, times=20)
    feed(experiments, "b", FAILED, times=40)
    await experiments.write()
    await experiments.write()
    assert in_force(experiments) == {"a": 0.5, "b": 0.0}
    await experiments.close()


async def test_without_a_guard_nothing_is_stopped() -> None:
    experiments = worker(None, spec())
    feed(experiments, "b", FAILED, times=100)
    await experiments.write()
    assert in_force(experiments) == {"a": 0.5, "b": 0.5}
    await experiments.close()


async def test_another_arms_failures_do_not_count() -> None:
    """Requests that an arm answered because another one was out of order were not drawn for it."""
    experiments = worker(None, spec(guards={"errorRate": 0.05}))
    for _ in range(100):
        experiments.record(Assignment("x", "a", "b"), FAILED)
    await experiments.write()
    assert in_force(experiments) == {"a": 0.5, "b": 0.5}
    await experiments.close()


async def test_workers_stop_one_arm_between_them(tmp_path: Path) -> None:
    """Each sees one arm fail; together they leave the other one."""
    one, other = (worker(tmp_path, spec(guards={"errorRate": 0.05})) for _ in range(2))
    feed(one, "a", FAILED, times=60)
    feed(other, "b", FAILED, times=60)
    await asyncio.gather(one.write(), other.write())
    await asyncio.gather(one.write(), other.write())
    assert in_force(one) == in_force(other)
    assert sorted(in_force(one).values()) == [0.0, 0.5]
    await one.close()
    await other.close()


# Promotion


async def test_the_better_arm_is_promoted_where_that_is_asked() -> None:
    asked, not_asked = worker(None, spec(promote=True, minEffect=0.1)), worker(None, spec())
    for experiments in (asked, not_asked):
        for seconds in (0.9, 1.0, 1.1):
            feed(experiments, "a", Outcome(200, 2 * seconds), times=40)
            feed(experiments, "b", Outcome(200, seconds), times=40)
        await experiments.write()
    assert in_force(asked) == {"a": 0.0, "b": 0.5}
    assert "latency against a: -0.5" in asked.news()[0]["reason"]
    assert in_force(not_asked) == {"a": 0.5, "b": 0.5}
    await asked.close()
    await not_asked.close()


async def test_a_faster_arm_that_errs_more_is_not_promoted() -> None:
    experiments = worker(None, spec(promote=True))
    for seconds in (0.9, 1.0, 1.1):
        feed(experiments, "a", Outcome(200, 2 * seconds), times=40)
        feed(experiments, "b", Outcome(200, seconds), times=40)
    feed(experiments, "b", FAILED, times=60)
    await experiments.write()
    assert in_force(experiments) == {"a": 0.5, "b": 0.5}
    await experiments.close()


async def test_an_arm_that_is_better_by_too_little_is_not_promoted() -> None:
    experiments = worker(None, spec(promote=True, minEffect=0.6))
    for seconds in (0.9, 1.0, 1.1):
        feed(experiments, "a", Outcome(200, 2 * seconds), times=40)
        feed(experiments, "b", Outcome(200, seconds), times=40)
    await experiments.write()
    assert in_force(experiments) == {"a": 0.5, "b": 0.5}
    await experiments.close()


async def test_scores_of_a_judge_decide_where_they_are_the_metric() -> None:
    experiments = worker(None, spec(promote=True, metric="score"))
    for number in range(60):
        said = await experiments.note_scores(
            {"alias": "x", "prompt": f"p{number}", "scores": {"a": 0.2 + number % 3 / 10, "b": 0.8}}
        )
        assert said["experiment"] == f"x@{STARTED}"
    await experiments.write()
    assert in_force(experiments) == {"a": 0.0, "b": 0.5}
    told = (await experiments.report())["experiments"]["x"]["declared"]
    assert told["comparisons"]["b"]["score"]["effect"] == pytest.approx(0.5)
    assert told["scores"]["b"] == {"count": 60, "mean": pytest.approx(0.8)}
    await experiments.close()


# What outlives what


async def test_what_was_decided_outlives_a_restart_and_a_contract_that_says_nothing_new(tmp_path: Path) -> None:
    declared = spec(guards={"errorRate": 0.05})
    before = worker(tmp_path, declared)
    feed(before, "b", FAILED, times=40)
    await before.close()
    after = worker(tmp_path, declared)
    assert in_force(after) == {"a": 0.5, "b": 0.0}
    after.update({"x": {"a": 0.9, "b": 0.1}}, {"x": declared})
    assert in_force(after) == {"a": 0.9, "b": 0.0}
    assert after.news() == []
    await after.close()


async def test_the_same_contract_again_does_not_swallow_what_another_worker_decided(tmp_path: Path) -> None:
    declared = spec(guards={"errorRate": 0.05})
    one, other = worker(tmp_path, declared), worker(tmp_path, declared)
    feed(one, "b", FAILED, times=40)
    await one.write()
    other.update({"x": {"a": 0.5, "b": 0.5}}, {"x": declared})
    assert in_force(other) == {"a": 0.5, "b": 0.5}
    await other.write()
    assert in_force(other) == {"a": 0.5, "b": 0.0}
    assert [news["arm"] for news in other.news()] == ["b"]
    await one.close()
    await other.close()


async def test_a_test_that_begins_anew_begins_with_nothing(tmp_path: Path) -> None:
    before = worker(tmp_path, spec(guards={"errorRate": 0.05}))
    feed(before, "b", FAILED, times=40)
    vote = {"requestId": before.request_id(Assignment("x", "b", "b")), "score": 1}
    await before.close()
    after = worker(tmp_path, spec(guards={"errorRate": 0.05}, started="2026-11-24T12:00:00Z"))
    assert in_force(after) == {"a": 0.5, "b": 0.5}
    assert (await after.vote(vote))["alias"] == "x"
    report = (await after.report())["experiments"]
    assert report["x"]["arms"]["b"]["requests"] == 0
    assert report["x"]["arms"]["b"]["feedback"]["count"] == 0
    earlier = report[f"x@{STARTED}"]
    assert (earlier["running"], earlier["arms"]["b"]["requests"], earlier["arms"]["b"]["feedback"]["count"]) == (
        False,
        40,
        1,
    )
    await after.close()


async def test_a_file_of_the_release_before_is_taken_over(tmp_path: Path) -> None:
    import sqlite3

    from agent_runtime.router.experiments.records import FILE_NAME, Records
    from agent_runtime.router.experiments.tally import COLUMNS

    Records(tmp_path).close()
    new = COLUMNS[COLUMNS.index("trials") :]
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        for table in ("totals", "minutes"):
            for column in new:
                db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute(
            f"INSERT INTO totals (alias, arm, {', '.join(COLUMNS[: -len(new)])}) VALUES ('x', 'a'"
            + ", 7" * (len(COLUMNS) - len(new))
            + ")"
        )
        db.execute("PRAGMA user_version = 1")
    db.close()
    experiments = worker(tmp_path, spec())
    feed(experiments, "a", GOOD)
    report = (await experiments.report())["experiments"]
    assert report["x"]["arms"]["a"]["requests"] == 1
    experiments.update({"x": {"a": 0.5, "b": 0.5}}, {})
    feed(experiments, "a", GOOD)
    assert (await experiments.report())["experiments"]["x"]["arms"]["a"]["requests"] == 8
    await experiments.close()


async def test_history_ends_with_what_is_known_now() -> None:
    now = [1_790_000_000.0]
    experiments = Experiments(None, clock=lambda: now[0])
    experiments.update({"x": {"a": 0.5, "b": 0.5}}, {"x": spec()})
    for minute in range(12):
        for seconds in (0.8, 1.0, 1.25):
            feed(experiments, "a", Outcome(200, seconds), times=5)
            feed(experiments, "b", Outcome(200, seconds * (1 + minute / 12)), times=5)
        now[0] += 60
    declared = (await experiments.report(points=5))["experiments"]["x"]["declared"]
    assert len(declared["history"]) == 4
    last = declared["history"][-1]["comparisons"]["b"]["latency"]
    assert last == pytest.approx(declared["comparisons"]["b"]["latency"])
    widths = [one["comparisons"]["b"]["latency"] for one in declared["history"]]
    assert widths[-1]["high"] - widths[-1]["low"] < widths[0]["high"] - widths[0]["low"]
    await experiments.close()


# In a router


def answering(seconds: float = 0.0, status: str = "200 OK") -> Script:
    async def script(talk: Talk) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        await talk.reply(openai_whole() if status == "200 OK" else {"error": {"message": "no"}}, status=status)

    return script


def declared_contract(rig: Rig, **experiment: Any) -> dict[str, Any]:
    models = {name: {"endpoints": [{"url": engine.url}]} for name, engine in zip("ab", rig.engines, strict=True)}
    data = contract(models, {"x": {"a": 0.5, "b": 0.5}})
    return {**data, "experiments": {"x": {"baseline": "a", "started": STARTED, **experiment}}}


async def test_a_running_router_takes_requests_from_an_arm_that_errs(tmp_path: Path) -> None:
    settings = Settings(fleet=tmp_path / "fleet.json", data=tmp_path)
    scripts = answering(), answering(status="400 Bad Request")
    async with running(tmp_path, *scripts, settings=settings) as rig:
        rig.write_contract(declared_contract(rig, guards={"errorRate": 0.05}))
        await eventually(lambda: "x" in rig.router.fleet.aliases)
        for _ in range(40):
            await rig.completion(model="x")
        await rig.router.governance.experiments.write()
        await eventually(lambda: rig.router.fleet.aliases["x"] == {"a": 0.5, "b": 0.0})
        (event,) = rig.events("experiment")
        assert (event["alias"], event["arm"], event["kind"], event["level"]) == ("x", "b", "stopped", "warning")
        assert await rig.metric('paddock_experiment_weight{alias="x",arm="b"}') == 0
        assert await rig.metric('paddock_experiment_ruling{alias="x",arm="b",ruling="stopped"}') == 1
        status = (await rig.client.get("/api/paddock/status")).json()
        assert status["aliases"]["x"] == {"a": 0.5, "b": 0.0}
        assert status["experiments"]["x"]["rulings"][0]["arm"] == "b"
        before = len(rig.engines[1].asked)
        for _ in range(20):
            assert (await rig.completion(model="x")).status_code == 200
        assert len(rig.engines[1].asked) == before
        # Another contract, with the same test in it, does not bring the arm back.
        rig.write_contract({**declared_contract(rig, guards={"errorRate": 0.05}), "stack": "again"})
        await eventually(lambda: rig.router.fleet.stack == "again")
        assert rig.router.fleet.aliases["x"] == {"a": 0.5, "b": 0.0}
        # One without the test does.
        rig.write_contract({**declared_contract(rig), "experiments": {}})
        await eventually(lambda: rig.router.fleet.aliases["x"] == {"a": 0.5, "b": 0.5})


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"alias": "x", "prompt": "p", "scores": {"a": 1, "b": 0}}, 200, None),
        ({"alias": "y", "prompt": "p", "scores": {"a": 1}}, 404, "over: x"),
        ({"alias": "x", "prompt": "a whole prompt", "scores": {"a": 1}}, 400, "prompt must be"),
        ({"alias": "x", "prompt": "p", "scores": {}}, 400, "scores must be"),
        ({"alias": "x", "prompt": "p", "scores": {"c": 1}}, 400, "the arms are: a, b"),
        ({"alias": "x", "prompt": "p", "scores": {"a": 1.5}}, 400, "the score of"),
        ({"alias": "x", "prompt": "p", "scores": {"a": True}}, 400, "the score of"),
        ({"alias": "x", "prompt": "p", "scores": {"a": 1}, "text": "no"}, 400, "no field"),
    ],
)
async def test_scores_that_come_over_the_wire(
    tmp_path: Path, body: dict[str, Any], status: int, named: str | None
) -> None:
    async with running(tmp_path, answering(), answering()) as rig:
        rig.write_contract(declared_contract(rig))
        await eventually(lambda: "x" in rig.router.fleet.aliases)
        said = await rig.client.post("/api/paddock/experiments/scores", json=body)
        assert said.status_code == status
        assert named is None or named in said.json()["error"]


def test_a_contract_carries_its_experiments() -> None:
    data = contract({"a": {}, "b": {}}, {"x": {"a": 0.5, "b": 0.5}})
    data["experiments"] = {"x": {"guards": {"errorRate": 0.1}, "somethingNewer": 1}}
    parsed = FleetContract.from_mapping(json.loads(json.dumps(data)))
    assert parsed.experiments["x"].guards.error_rate == 0.1
    assert parsed.experiments["x"].baseline_of(parsed.aliases["x"]) == "a"
