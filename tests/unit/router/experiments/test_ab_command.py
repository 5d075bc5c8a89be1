"""paddock ab at a running router: status, report and its page, watch, judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agent_runtime.router.experiments import Assignment, Outcome
from cli.main import app
from fleet_spec.errors import BadInputError
from tests.unit.router.rig import Rig, Talk, contract, eventually, openai_whole, running

pytestmark = pytest.mark.unit

STARTED = "2026-11-23T12:00:00Z"


@asynccontextmanager
async def declared(tmp_path: Path, **experiment: Any) -> AsyncIterator[Rig]:
    """A router with a test over alias x: arm a says Tokyo, arm b Paris; j judges, and j only says 6."""

    def saying(text: str) -> Any:
        async def script(talk: Talk) -> None:
            await talk.reply(openai_whole(text))

        return script

    async with running(tmp_path, saying("Tokyo"), saying("Paris"), saying('{"score": 6}')) as rig:
        models = {name: {"endpoints": [{"url": one.url}]} for name, one in zip("abj", rig.engines, strict=True)}
        data = contract(models, {"x": {"a": 0.5, "b": 0.5}})
        data["experiments"] = {"x": {"baseline": "a", "started": STARTED, **experiment}}
        rig.write_contract(data)
        await eventually(lambda: "x" in rig.router.fleet.aliases)
        yield rig


def record(rig: Rig, arm: str, *seconds: float, times: int = 1) -> None:
    for duration in seconds * times:
        rig.router.governance.experiments.record(Assignment("x", arm, arm), Outcome(200, duration, duration / 4))


async def paddock(rig: Rig, *arguments: str) -> Result:
    """The command as a person types it, in a thread: the router answers in this one."""
    command = ["ab", *arguments, "--router", f"http://127.0.0.1:{rig.port}"]
    return await asyncio.to_thread(CliRunner().invoke, app, command, catch_exceptions=False)


async def test_status_shows_arms_and_effects(tmp_path: Path) -> None:
    async with declared(tmp_path) as rig:
        record(rig, "a", 0.8, 1.0, 1.25, times=40)
        record(rig, "b", 0.4, 0.5, 0.625, times=40)
        said = (await paddock(rig, "status")).stdout
        assert f"x: since {STARTED}, by latency against a; guards: none; promotes nothing by itself" in said
        (line,) = [words for line in said.splitlines() if (words := line.split())[:2] == ["b", "latency"]]
        assert line[2:4] == ["-50.0", "%"]
        assert line[-1] == "better"
        told = json.loads((await paddock(rig, "status", "--json")).stdout)["experiments"]["x"]
        assert told["declared"]["comparisons"]["b"]["latency"]["pValue"] < 0.001


class Page(HTMLParser):
    """What a page shows, and whether it loads anything."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "data")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


async def test_the_page_shows_plots_and_loads_nothing(tmp_path: Path) -> None:
    async with declared(tmp_path, guards={"latencyP95Ms": 900}) as rig:
        record(rig, "a", 0.4, 0.5, 0.625, times=40)
        record(rig, "b", 0.8, 1.0, 1.25, times=40)
        await rig.router.governance.experiments.write()
        path = tmp_path / "report.html"
        said = await paddock(rig, "report", "x", "--html", str(path))
        assert "b (stopped)" in said.stdout
        assert "ab end x --keep a" in said.stdout
        page = Page(path.read_text())
        assert page.loads == []
        assert "script" not in page.tags
        assert page.tags.count("svg") == 5  # three effects over time, two kinds of times
        assert {"polygon", "polyline"} <= set(page.tags)
        assert any("answers after 900 ms, limit 5%" in text for text in page.texts)


async def test_a_report_of_no_test_says_which_there_are(tmp_path: Path) -> None:
    async with declared(tmp_path) as rig:
        with pytest.raises(BadInputError, match=r"no A/B test over 'y'\. It knows: x"):
            await paddock(rig, "report", "y")


async def test_watch_ends_with_a_decision(tmp_path: Path) -> None:
    async with declared(tmp_path, promote=True) as rig:
        watching = asyncio.ensure_future(
            paddock(rig, "watch", "x", "--until-decided", "--interval-seconds", "0.1", "--json")
        )
        record(rig, "a", 0.8, 1.0, 1.25, times=40)
        record(rig, "b", 0.4, 0.5, 0.625, times=40)
        told = json.loads((await watching).stdout)
        assert told["decided"]
        assert told["declared"]["weights"] == {"a": 0.0, "b": 0.5}
        assert told["declared"]["rulings"][0]["kind"] == "promoted"


async def test_watch_ends_with_its_time(tmp_path: Path) -> None:
    async with declared(tmp_path) as rig:
        said = (await paddock(rig, "watch", "x", "--timeout-seconds", "0")).stdout
        assert said.count("against a") == 1
        with pytest.raises(BadInputError, match="add --until-decided"):
            await paddock(rig, "watch", "x", "--json")


async def test_checkable_prompts_score_both_arms_and_the_router_keeps_it(tmp_path: Path) -> None:
    async with declared(tmp_path) as rig:
        path = tmp_path / "prompts.jsonl"
        lines = [
            {"prompt": f"What is the capital of Japan? ({n})", "expect": "Tokyo", "stream": False} for n in range(25)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        for _ in range(2):  # judged again, it is the same
            told = json.loads((await paddock(rig, "judge", "x", "--prompts", str(path), "--json")).stdout)
            assert told["scores"] == {"a": {"count": 25, "mean": 1.0}, "b": {"count": 25, "mean": 0.0}}
            assert told["comparisons"]["b"]["score"]["verdict"] == "worse"
        # Nobody was asked through the alias: clients' times are not mixed with these.
        report = (await rig.client.get("/api/paddock/experiments")).json()
        assert [arm["requests"] for arm in report["experiments"]["x"]["arms"].values()] == [0, 0]


async def test_open_prompts_are_judged_by_a_model(tmp_path: Path) -> None:
    async with declared(tmp_path) as rig:
        path = tmp_path / "prompts.jsonl"
        path.write_text('{"prompt": "Write a poem.", "stream": false}\n')
        said = (await paddock(rig, "judge", "x", "--prompts", str(path), "--judge", "j")).stdout
        assert [line.split() for line in said.splitlines()[1:3]] == [["a", "1", "0.600"], ["b", "1", "0.600"]]
        with pytest.raises(BadInputError, match="name a model that judges with --judge"):
            await paddock(rig, "judge", "x", "--prompts", str(path))
        with pytest.raises(BadInputError, match="give one of them"):
            await paddock(rig, "judge", "x")
