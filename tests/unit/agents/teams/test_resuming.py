"""A run that broke off goes on where it was; what was finished is not done again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime.agents.builder import OpenSourceAgentBuilder
from agent_runtime.agents.teams import journal
from agent_runtime.agents.teams.errors import JournalCorruptError, ResumeError, TeamRunError
from agent_runtime.agents.teams.events import TeamEvent, TeamStepEnded
from agent_runtime.agents.teams.systems import research_team
from agent_runtime.agents.teams.team import TeamLimits
from fleet_spec.errors import BadInputError
from tests.programs import REPOSITORY
from tests.unit.agents.teams.scripted import Script
from tests.unit.agents.test_builder import fleet

REPLIES = {"gatherer": ["new facts"], "analyzer": ["sure"], "synthesizer": ["5642 metres."]}


def only_run(directory: Path) -> str:
    (path,) = directory.glob("*.jsonl")
    return path.stem


def test_a_run_that_was_killed_is_resumed_after_its_last_finished_step(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.unit.agents.teams.crashing_run", str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as crashing:
        assert crashing.stdout is not None
        assert crashing.stdout.readline() == "asked\n"
        run_id = only_run(tmp_path)
        with pytest.raises(ResumeError, match="at work in another process"):
            research_team(Script(dict(REPLIES)).builder()).run_sync(runs_directory=tmp_path, resume=run_id)
        crashing.send_signal(signal.SIGKILL)
    script = Script(dict(REPLIES))
    told: list[TeamEvent] = []
    result = research_team(script.builder()).run_sync(runs_directory=tmp_path, resume=run_id, tell=told.append)
    assert script.asked("gatherer") == [], "its step was finished"
    assert "5642 m" in script.asked("analyzer")[0]
    assert [e.replayed for e in told if isinstance(e, TeamStepEnded)] == [True, False, False]
    assert result.outcome.succeeded
    assert result.run_id == run_id
    assert sum(one.output_tokens for one in result.members) > 0


def test_a_run_that_ended_gives_its_result_again_and_asks_nobody(tmp_path: Path) -> None:
    first = research_team(Script(dict(REPLIES)).builder()).run_sync("How high?", runs_directory=tmp_path)
    script = Script(dict(REPLIES))
    again = research_team(script.builder()).run_sync(runs_directory=tmp_path, resume=first.run_id)
    assert again == first
    assert script.prompts == []


def test_a_member_that_fails_stops_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    def fail(_: str) -> str:
        raise ConnectionError("the server is gone")

    failing = Script({**REPLIES, "analyzer": [fail]})
    with pytest.raises((TeamRunError, ConnectionError)):
        research_team(failing.builder()).run_sync("How high?", runs_directory=tmp_path)
    script = Script(dict(REPLIES))
    result = research_team(script.builder()).run_sync(runs_directory=tmp_path, resume=only_run(tmp_path))
    assert script.asked("gatherer") == []
    assert result.outcome.succeeded


def test_a_fleet_that_does_not_answer_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    team = research_team(OpenSourceAgentBuilder(fleet(assistant="gemma3:270m")))
    with pytest.raises(TeamRunError, match="because gatherer failed") as stopped:
        team.run_sync("How high?", runs_directory=tmp_path)
    assert f"--resume {stopped.value.run_id}" in str(stopped.value)
    script = Script(dict(REPLIES))
    result = research_team(script.builder()).run_sync(runs_directory=tmp_path, resume=stopped.value.run_id)
    assert result.outcome.succeeded, "what failed is done anew, by whoever the team has now"


def test_halves_of_characters_in_replies_are_replaced(tmp_path: Path) -> None:
    script = Script({"gatherer": ["odd \ud83d reply"], "analyzer": ["."], "synthesizer": ["fine"]})
    result = research_team(script.builder()).run_sync("How high?", runs_directory=tmp_path)
    assert result.steps[0].output == "odd ? reply"


@pytest.mark.parametrize("task", ["", "  ", "caf\udce9"])
def test_a_task_that_is_none_is_refused(task: str) -> None:
    with pytest.raises(BadInputError, match="the task is"):
        research_team(Script(dict(REPLIES)).builder()).run_sync(task)


def test_a_limit_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    team = research_team(Script(dict(REPLIES)).builder(), TeamLimits(steps=1))
    with pytest.raises(TeamRunError, match="at its limit of 1 steps") as stopped:
        team.run_sync("How high?", runs_directory=tmp_path)
    assert f"--resume {stopped.value.run_id}" in str(stopped.value)


def test_the_line_that_a_crash_cut_off_is_dropped(tmp_path: Path) -> None:
    first = research_team(Script(dict(REPLIES)).builder()).run_sync("How high?", runs_directory=tmp_path)
    path = tmp_path / f"{first.run_id}.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    script = Script(dict(REPLIES))
    result = research_team(script.builder()).run_sync(runs_directory=tmp_path, resume=first.run_id)
    assert [name for name, _ in script.prompts] == ["synthesizer"]
    assert result.outcome == first.outcome
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_journal_that_is_damaged_elsewhere_is_left_as_it_is(tmp_path: Path) -> None:
    first = research_team(Script(dict(REPLIES)).builder()).run_sync("How high?", runs_directory=tmp_path)
    path = tmp_path / f"{first.run_id}.jsonl"
    damaged = path.read_text().replace('"step"', '"step', 1)
    path.write_text(damaged)
    with pytest.raises(JournalCorruptError, match="at line 2"):
        research_team(Script(dict(REPLIES)).builder()).run_sync(runs_directory=tmp_path, resume=first.run_id)
    assert path.read_text() == damaged


def test_a_run_of_something_else_is_not_resumed(tmp_path: Path) -> None:
    first = research_team(Script(dict(REPLIES)).builder()).run_sync("How high?", runs_directory=tmp_path)
    path = tmp_path / f"{first.run_id}.jsonl"
    path.write_text(path.read_text().replace('"task": "How high?"', '"task": "How deep?"'))
    with pytest.raises(ResumeError, match="was changed"):
        research_team(Script(dict(REPLIES)).builder()).run_sync(runs_directory=tmp_path, resume=first.run_id)
    path.write_text(path.read_text().replace('"team": "research"', '"team": "cooks"'))
    with pytest.raises(ResumeError, match="is of team 'cooks'"):
        research_team(Script(dict(REPLIES)).builder()).run_sync(runs_directory=tmp_path, resume=first.run_id)


@pytest.mark.parametrize("run_id", ["20260101-000000-abcdef", "../secrets", ""])
def test_a_run_that_there_is_not_is_named(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(ResumeError, match="there is no run"):
        journal.head_of(tmp_path, run_id)
