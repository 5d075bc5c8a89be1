"""paddock bench against a simulated engine on a real port: every form, and what happens when things fail."""

from __future__ import annotations

import csv
import html
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.fleet import Fleet
from cli.commands import bench
from cli.main import main
from cli.project import Project
from fleet_spec.contract import FleetContract
from tests.ports import free_port
from tests.unit.benchmark.simulated_engine import Reply, SimulatedEngine, serving

pytestmark = pytest.mark.unit
QUICK = Reply(0.002, 0.001, tokens=4)


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts simulated engines."""
    with ExitStack() as stack:
        yield lambda engine, **more: stack.enter_context(serving(engine, **more))


@pytest.fixture
def paddock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line; gives its exit code."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["paddock", "bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def fleet_file(folder: Path, router: str, **models: str) -> Path:
    """A contract whose router, and each of whose models, answers at an address."""
    path = folder / "fleet.json"
    path.write_text(
        json.dumps(
            {
                "version": 1,
                "stack": "test",
                "target": "local",
                "router": {"url": router, "openai": f"{router}/v1", "ollama": router, "metrics": router},
                "models": {
                    name: {
                        "model": name,
                        "engine": "vllm",
                        "contextLength": 2048,
                        "usdPerHour": 1,
                        "endpoints": [{"url": url}],
                    }
                    for name, url in models.items()
                },
            }
        )
    )
    return path


def test_json_holds_everything_and_nothing_else_is_printed(
    serve: Any, paddock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = SimulatedEngine(lambda *_: QUICK)
    url = serve(engine)
    wanted = ("--concurrency", "1,2", "--requests", "12", "--warmup", "1", "--slo", "ttft=5000", "--json")
    assert paddock("--url", url, "--usd-per-hour", "1", *wanted) == 0
    document = json.loads(capsys.readouterr().out)
    (model,) = document["models"]
    assert (model["name"], model["engine"], model["status"], document["complete"]) == (
        "simulated",
        "vllm",
        "complete",
        True,
    )
    assert [level["load"]["value"] for level in model["levels"]] == [1, 2]
    assert all(level["requests"]["good"] == 12 for level in model["levels"])
    assert model["levels"][0]["goodput"]["share"] == 1
    assert model["levels"][0]["money"]["usdPerMillionOutputTokens"] > 0
    assert model["levels"][0]["generator"]["cpuMicrosecondsPerChunk"] > 0
    assert model["memory"]["rssPeakBytes"] > 0  # the engine runs in this very process
    assert len(engine.asked) == 1 + 1 + 24  # the first, the one to warm up, both levels
    assert engine.asked[0]["ignore_eos"] is True
    assert "ITL" in document["formulas"]


def test_every_form_shows_the_same_numbers(
    serve: Any, paddock: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(SimulatedEngine(lambda *_: QUICK))
    saved, page = tmp_path / "run.json", tmp_path / "run.html"
    few = ("--url", url, "--concurrency", "1,2,3", "--requests", "25", "--warmup", "0")
    assert paddock(*few, "--csv", "--save", str(saved), "--report", str(page)) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    document = json.loads(saved.read_text())
    levels = document["models"][0]["levels"]
    assert [float(row["latency.ttftSeconds.p50.value"]) for row in rows] == [
        level["latency"]["ttftSeconds"]["p50"]["value"] for level in levels
    ]
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4  # three latencies and the throughput
    assert "src=" not in text
    assert "://" not in text.replace(url, "")
    assert all(name in html.unescape(text) for name in document["formulas"])
    assert paddock(*few, "--markdown", "--baseline", str(saved)) == 0
    markdown = capsys.readouterr().out
    assert "| simulated | 1 at once" in markdown
    assert "Beside the baseline" in markdown
    assert paddock(*few) == 0
    assert "TTFT p50 ms" in capsys.readouterr().out


def test_a_stack_is_measured_through_its_router_with_its_own_key(
    serve: Any, paddock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = SimulatedEngine(lambda *_: QUICK)
    url = serve(engine)
    contract = FleetContract.parse(fleet_file(tmp_path, url, one=url, two=url).read_text())
    monkeypatch.setattr(bench, "read_contract", lambda stack: contract)
    monkeypatch.setattr(bench, "fleet_of", lambda stack, contract: Fleet(contract, api_key="stack-key"))
    monkeypatch.setattr(bench, "find_project", lambda: Project(tmp_path))
    assert paddock("--concurrency", "1", "--requests", "2", "--warmup", "0", "--json") == 0
    assert [model["name"] for model in json.loads(capsys.readouterr().out)["models"]] == ["one", "two"]
    assert {body["model"] for body in engine.asked} == {"one", "two"}
    assert all("Authorization: Bearer stack-key" in head for head in engine.heads)


def test_one_models_failure_does_not_stop_the_rest(
    serve: Any, paddock: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(_number: int, body: dict[str, Any]) -> Reply:
        return Reply(status=503) if body["model"] == "broken" else QUICK

    url = serve(SimulatedEngine(answer))
    fleet = fleet_file(tmp_path, url, broken=url, sound=url)
    assert paddock("--fleet", str(fleet), "--concurrency", "1", "--requests", "5", "--json") == 1
    broken, sound = json.loads(capsys.readouterr().out)["models"]
    assert (broken["status"], sound["status"]) == ("failed", "complete")
    assert "http_503: simulated" in broken["problem"]
    assert sound["levels"][0]["requests"]["good"] == 5


def test_a_server_that_dies_halfway_leaves_what_was_measured(
    serve: Any, paddock: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = SimulatedEngine(lambda number, _: QUICK if number < 20 else None)
    saved = tmp_path / "part.json"
    url = serve(engine)
    wanted = ("--concurrency", "1,2", "--requests", "15", "--warmup", "0", "--save", str(saved))
    assert paddock("--url", url, *wanted) == 1
    printed = capsys.readouterr()
    (model,) = json.loads(saved.read_text())["models"]
    assert [level["status"] for level in model["levels"]] == ["complete", "partial"]
    assert model["levels"][1]["requests"]["good"] == 4
    assert model["status"] == "partial"
    assert "partial" in printed.out
    assert "not all could be measured of: simulated" in printed.err


@pytest.fixture
def ctrl_c_counts() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so would the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_counts")
def test_ctrl_c_keeps_what_was_measured(serve: Any, paddock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(number: int, _body: dict[str, Any]) -> Reply:
        if number == 12:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return QUICK if number < 12 else Reply(100.0)

    url = serve(SimulatedEngine(answer))
    assert paddock("--url", url, "--concurrency", "1", "--warmup", "0", "--json") == 130
    document = json.loads(capsys.readouterr().out)
    assert document["interrupted"] is True
    assert document["complete"] is False
    assert document["models"][0]["levels"][0]["requests"]["good"] == 11


def test_a_key_comes_from_the_environment(
    serve: Any, paddock: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "-".join(["sk", "simulated"])
    monkeypatch.setenv("THEIR_KEY", key)
    engine = SimulatedEngine(lambda *_: QUICK)
    few = ("--concurrency", "1", "--requests", "1", "--warmup", "0", "--json")
    assert paddock("--url", serve(engine), "--key-variable", "THEIR_KEY", *few) == 0
    assert f"Authorization: Bearer {key}" in engine.heads[0]
    assert key not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--concurrency", "1", "--rate", "1"), "two kinds of load"),
        (("--csv", "--markdown"), "print to the same place"),
        (("--url", "http://127.0.0.1:1", "--tier", "local"), "leave one out"),
        (("--usd-per-hour", "1"), "add --url"),
        (("--url", "http://127.0.0.1:1", "--key-variable", "NOT_SET_ANYWHERE"), "not set"),
        (("--save", "/no/such/folder/run.json"), "cannot be written"),
        (("--baseline", "/no/such/run.json"), "cannot be read"),
        (("--prompts", "/no/such/prompts.txt"), "cannot be read"),
        (("--fleet", "/no/such/fleet.json"), "there is no contract"),
        (("--slo", "speed=1"), "is no limit"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_anything_is_sent(
    paddock: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    assert paddock(*arguments) == 2
    assert why in capsys.readouterr().err


def test_nobody_at_the_address(paddock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert paddock("--url", f"http://127.0.0.1:{free_port()}") == 1
    assert "no server answers" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_file_that_cannot_be_written_loses_nothing(
    serve: Any,
    paddock: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    url = serve(SimulatedEngine(lambda *_: QUICK))
    earlier = tmp_path / "today.json"
    earlier.write_text("an earlier run")

    def full(path: Path, data: bytes, mode: int = 0o600) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(bench, "atomic_write", full)
    asked = ("--url", url, "--requests", "2", "--concurrency", "1", "--max-tokens", "4", form, "--save", str(earlier))
    assert paddock(*asked) == 1
    told = capsys.readouterr()
    assert "today.json was not written: No space left on device" in told.err
    assert earlier.read_text() == "an earlier run"
    if form == "--json":
        assert json.loads(told.out)["models"][0]["status"] == "complete"
    else:
        assert told.out.startswith("model,")
