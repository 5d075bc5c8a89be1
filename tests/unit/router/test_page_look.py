"""What the page shows of one look at a router, and of several workers together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.page import look
from agent_runtime.router.page.recorder import BUCKET_SECONDS, DECISIONS_KEPT, WINDOW_SECONDS, Ended, Recorder
from agent_runtime.router.page.shared import SharedLook
from agent_runtime.router.workers import Seat
from tests.unit.router.rig import Talk, openai_whole, running

pytestmark = pytest.mark.unit


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def ended(**fields: Any) -> Ended:
    usual: dict[str, Any] = {
        "request_id": "r",
        "path": "/v1/chat/completions",
        "status": 200,
        "model": "m",
        "tier": "local",
    }
    return Ended(**{**usual, **fields})


def test_a_window_forgets_what_is_older_than_a_minute() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    recorder.ended(ended(usage=Usage(7, 3), usd=0.5))
    clock.now += WINDOW_SECONDS / 2
    recorder.ended(ended(status=500))
    sums = recorder.window()["local", "m"]
    assert (sums.requests, sums.errors, sums.completion_tokens, sums.usd) == (2, 1, 3, 0.5)
    clock.now += WINDOW_SECONDS / 2 + BUCKET_SECONDS
    assert recorder.window()["local", "m"].requests == 1
    clock.now += WINDOW_SECONDS
    assert recorder.window() == {}


def test_how_fast_an_answer_is_written_is_measured_after_its_first_token() -> None:
    recorder = Recorder(Clock())
    recorder.ended(ended(usage=Usage(7, 101), seconds=12.0, first_byte_seconds=2.0, streamed=True))
    sums = recorder.window()["local", "m"]
    assert sums.writing_tokens / sums.writing_seconds == pytest.approx(10)


def test_only_the_last_requests_are_kept_one_by_one() -> None:
    recorder = Recorder(Clock())
    for number in range(DECISIONS_KEPT + 20):
        recorder.ended(ended(request_id=str(number)))
    assert recorder.count == DECISIONS_KEPT + 20
    assert [one.number for one in recorder.decisions][:2] == [21, 22]


def test_a_refused_request_is_a_decision_and_counts_for_no_model() -> None:
    recorder = Recorder(Clock())
    recorder.ended(ended(model="", tier="", status=404, kind="refused"))
    assert recorder.decisions[0].to_mapping()["kind"] == "refused"
    assert recorder.window() == {}


async def answers(talk: Talk) -> None:
    await talk.reply(openai_whole())


async def test_workers_add_up_and_of_healths_the_worst_holds(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig:
        await rig.completion()
        part = look.part_of(rig.router)
        [endpoint] = part["models"][0]["endpoints"]
        ill = {**endpoint, "health": "down", "problem": "refused", "outstanding": 2}
        other = {**part, "models": [{**part["models"][0], "endpoints": [ill], "active": 4}]}
        whole = look.together([part, other])
        [model] = look.models_shown(whole).values()
        assert model["active"] == 4
        assert model["requestsPerMinute"] == 2
        assert model["endpoints"] == [ill]
        assert look.totals_shown(whole)["requestsPerMinute"] == 2
        assert len(whole["decisions"]) == whole["count"] == 2


def test_a_worker_reads_what_others_told_and_each_decision_once(tmp_path: Path) -> None:
    mine, its = (SharedLook(Seat(number, 2, tmp_path, 1)) for number in (0, 1))
    assert not its.watched
    mine.watch()
    assert its.watched
    its.tell({"count": 2, "decisions": [{"id": "a"}, {"id": "b"}]})
    assert [one["id"] for part in mine.others() for one in part["decisions"]] == ["a", "b"]
    its.tell({"count": 3, "decisions": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})
    assert [one["id"] for part in mine.others() for one in part["decisions"]] == ["c"]
    its.tell({"count": 1, "decisions": [{"id": "d"}]})  # it was started again
    assert [one["id"] for part in mine.others() for one in part["decisions"]] == ["d"]
    (tmp_path / "page-1.json").write_text("{")
    assert mine.others() == []
