"""`paddock team`: what it refuses, and what it shows of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime.agents.teams import journal
from agent_runtime.agents.teams.systems import research_team
from agent_runtime.agents.tools.catalogue import ToolSettings
from cli.commands.team import Order, TeamProgress, run
from cli.one_call import connect
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, SpecError
from tests.programs import REPOSITORY
from tests.unit.agents.teams.scripted import Call, Script


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which no stack is up."""
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_task_is_needed(project: Path) -> None:
    with pytest.raises(BadInputError, match=r"the task is missing\. fix: paddock team research"):
        run(Order("research", "dev", None))


def test_mistakes_of_a_team_file_are_told_before_a_fleet_is_looked_for(project: Path) -> None:
    (project / "team.yaml").write_text(
        "name: x\nmembers: {a: {specialisation: law}}\nsteps: [{member: b, prompt: hi}]\n"
    )
    with pytest.raises(SpecError) as refused:
        run(Order("file", "dev", "do it", file=project / "team.yaml"))
    assert [problem.key for problem in refused.value.problems] == ["members.a.specialisation", "steps.0.member"]


def test_a_stack_that_is_not_up_is_told(project: Path) -> None:
    with pytest.raises(BadInputError, match="stack 'dev' is not up"):
        run(Order("research", "dev", "Why?"))


def test_a_run_is_resumed_by_the_command_that_began_it(project: Path) -> None:
    runs = project / ".paddock" / "teams"
    order = Order("research", "dev", "Why?", sources=project)
    with journal.begin(runs, "research", "Why?", order.to_mapping()) as begun:
        run_id = begun.run_id
    with pytest.raises(BadInputError, match="is of `paddock team research`"):
        run(Order("software_development", "dev"), resume=run_id)
    with pytest.raises(BadInputError, match="leave the task out"):
        run(Order("research", "dev", "How?"), resume=run_id)
    with pytest.raises(BadInputError, match="there is no run"):
        run(Order("research", "dev"), resume="20260101-000000-000000")
    assert Order.from_mapping(order.to_mapping()) == Order("research", "dev", "Why?", sources=project.resolve())


def test_progress_goes_to_stderr_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elbrus.md").write_text("Mount Elbrus is 5642 metres high.\n")
    script = Script(
        {
            "gatherer": [Call("search_documents", {"query": "Elbrus"}), "5642"],
            "analyzer": ["."],
            "synthesizer": ["5642 metres [1]."],
        }
    )
    with TeamProgress() as progress:
        research_team(script.builder(ToolSettings(folder=tmp_path))).run_sync("How high?", tell=progress.tell)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"team research, run {progress.run_id}" in shown.err
    assert '     search_documents {"query": "Elbrus", "limit": 5}' in shown.err
    assert "3. synthesizer: write the answer: " in shown.err


def test_help_is_quick_because_the_agents_are_imported_late() -> None:
    code = "import sys, cli.main; print([name for name in sys.modules if name.startswith('pydantic_ai')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert said.stdout == "[]\n"


def test_one_call_gives_the_service_the_team_and_where_everything_is(project: Path) -> None:
    root = "http://127.0.0.1:1"
    contract = FleetContract.from_mapping(
        {
            "version": 1,
            "stack": "dev",
            "target": "local",
            "router": {"url": root, "openai": f"{root}/v1", "ollama": root, "metrics": f"{root}/metrics"},
            "models": {
                "assistant": {
                    "model": "gemma3:270m",
                    "engine": "llamacpp",
                    "contextLength": 2048,
                    "endpoints": [{"url": "http://127.0.0.1:2"}],
                }
            },
        }
    )
    production = connect(contract, {"created": 3})
    assert production.service.url == root
    assert list(production.research_team.members) == ["gatherer", "analyzer", "synthesizer"]
    assert production.changes == {"created": 3}
    assert production.addresses == {
        "openai": f"{root}/v1",
        "ollama": root,
        "metrics": f"{root}/metrics",
        "webUi": None,
        "models": {"assistant": {"model": "gemma3:270m", "endpoints": ["http://127.0.0.1:2"]}},
    }
