"""Teams from YAML files: what they may say, and what is told of their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runtime.agents.teams.own_team import own_team
from agent_runtime.agents.teams.team_file import load_team_file, parse_team
from fleet_spec.errors import BadInputError, SpecError
from tests.programs import REPOSITORY
from tests.unit.agents.teams.scripted import Script

GOOD = """
name: brief
members:
  reader: {specialisation: general, instructions: You read., tools: [calculation]}
  writer: {specialisation: creative, instructions: You write., tools: []}
steps:
  - {member: reader, prompt: "Find what there is about {task}"}
  - {member: writer, prompt: "Write from the notes {reader}"}
  - member: reader
    name: check
    prompt: "Is this right? {writer} Say OK, or what is wrong."
    rework: {from: writer, until: OK, rounds: 2}
result: writer
"""
ROLES = {"reader": ("You read.",), "writer": ("You write.",)}


def script(**replies: list[str]) -> Script:
    return Script(dict(replies), roles=ROLES)


def test_steps_get_the_task_and_what_earlier_steps_said() -> None:
    said = script(reader=["notes on bees", "OK"], writer=["Bees dance."])
    result = own_team(parse_team(GOOD, "brief.yaml"), said.builder()).run_sync("bees")
    assert "## task\nbees" in said.asked("reader")[0]
    assert "## reader\nnotes on bees" in said.asked("writer")[0]
    assert result.output == "Bees dance."
    assert result.outcome.succeeded
    assert [step.purpose for step in result.steps] == ["reader", "writer", "check"]


def test_work_is_given_back_with_the_reason_until_it_is_good() -> None:
    said = script(reader=["notes", "Too short.", "OK now"], writer=["Bees.", "Bees dance in eights."])
    result = own_team(parse_team(GOOD, "brief.yaml"), said.builder()).run_sync("bees")
    assert "## feedback\nToo short." in said.asked("writer")[1]
    assert result.output == "Bees dance in eights."
    assert result.outcome.succeeded


def test_rounds_of_rework_are_bounded() -> None:
    said = script(reader=["notes", "No."], writer=["Bees."])
    result = own_team(parse_team(GOOD, "brief.yaml"), said.builder()).run_sync("bees")
    assert len(said.asked("writer")) == 3
    assert not result.outcome.succeeded
    assert result.outcome.summary == "check did not say 'OK' after 2 rounds of rework"


def test_every_mistake_is_found_at_once_with_key_value_and_fix() -> None:
    text = """
name: my team
members:
  reader: {specialisation: sciense, tools: [calculator, search_documents], colour: red}
steps:
  - {member: raeder, prompt: "About {taks}"}
  - {member: reader, prompt: "", rework: {form: x, until: OK, rounds: many}}
  - {member: reader, prompt: again}
result: report
limit: {}
"""
    with pytest.raises(SpecError) as refused:
        parse_team(text, "team.yaml")
    found = {problem.key: (problem.message, problem.fix) for problem in refused.value.problems}
    assert found["name"][0].startswith("'my team' is no usable name")
    assert found["members.reader.specialisation"] == ("'sciense' is no specialisation", "write 'science'")
    assert found["members.reader.tools.0"] == ("'calculator' is no tool", "write 'calculation'")
    assert found["members.reader.colour"][1] == "known here: specialisation, instructions, model, tools"
    assert found["steps.0.member"] == ("'raeder' is no member", "write 'reader'")
    assert found["steps.0.prompt"] == ("'{taks}' is no earlier step", "write '{task}'")
    assert found["steps.1.prompt"] == ("'' is empty", "write something")
    assert found["steps.1.rework.form"][1] == "write 'from'"
    assert found["steps.1.rework.from"] == ("is missing", "add it")
    assert found["steps.1.rework.rounds"] == ("'many' is no whole number", "write a whole number")
    assert found["steps.2.name"][0] == "'reader' is the name of an earlier step"
    assert found["result"][0] == "'report' is no step"
    assert found["limit"][1] == "write 'limits'"
    assert refused.value.exit_code == 2


def test_the_example_in_the_documentation_is_a_team() -> None:
    page = (REPOSITORY / "docs" / "teams.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    team = parse_team(example, "docs/teams.md")
    assert (team.name, team.result_step, team.limits.timeout_seconds) == ("brief", "writer", 3600)


@pytest.mark.parametrize("text", ["", "- a list", "name: [", "just words"])
def test_what_is_no_team_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_team(text, "team.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"missing\.yaml cannot be read"):
        load_team_file(tmp_path / "missing.yaml")
