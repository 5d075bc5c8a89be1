"""The research team: facts are gathered with tools, analysed, and become an answer with sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runtime.agents.events import ToolResult
from agent_runtime.agents.teams.events import MemberEvent, TeamEnded, TeamEvent, TeamStarted, TeamStepEnded
from agent_runtime.agents.teams.systems import team_named
from agent_runtime.agents.tools.catalogue import ToolSettings
from tests.unit.agents.teams.scripted import Call, Script

QUESTION = "How high is Mount Elbrus?"


@pytest.fixture
def library(tmp_path: Path) -> ToolSettings:
    (tmp_path / "mountains.md").write_text("# Mountains\n\nMount Elbrus is 5642 metres high.\n")
    (tmp_path / "rivers.md").write_text("# Rivers\n\nThe Volga is 3530 kilometres long.\n")
    return ToolSettings(folder=tmp_path)


def test_each_member_works_on_what_the_one_before_it_found(library: ToolSettings) -> None:
    script = Script(
        {
            "gatherer": [Call("search_documents", {"query": "Elbrus height"}), "Elbrus: 5642 m [mountains.md:1]"],
            "analyzer": ["Certain: [1] says 5642 m."],
            "synthesizer": ["Mount Elbrus is 5642 metres high [1]."],
        }
    )
    result = team_named("research", script.builder(library)).run_sync(QUESTION)
    assert "Mount Elbrus is 5642 metres high." in script.asked("gatherer")[1]
    assert "[1] mountains.md:1" in script.asked("analyzer")[0]
    assert "Elbrus: 5642 m" in script.asked("analyzer")[0]
    assert "Certain: [1] says 5642 m." in script.asked("synthesizer")[0]
    assert result.output == "Mount Elbrus is 5642 metres high [1].\n\nSources:\n[1] mountains.md:1"
    assert result.outcome.succeeded
    assert [use.name for use in result.steps[0].tools] == ["search_documents"]


def test_where_the_gatherer_calls_no_tool_the_question_itself_is_searched_for(library: ToolSettings) -> None:
    script = Script({"gatherer": ["I know it."], "analyzer": ["Fine."], "synthesizer": ["5642 metres [1]."]})
    result = team_named("research", script.builder(library)).run_sync(QUESTION)
    assert "search for the question" in result.steps[1].purpose
    assert "Mount Elbrus is 5642 metres high." in script.asked("analyzer")[0]
    assert result.output.endswith("[1] mountains.md:1")


def test_an_answer_that_cites_what_is_not_there_is_given_back_once(library: ToolSettings) -> None:
    script = Script({"gatherer": ["."], "analyzer": ["."], "synthesizer": ["High [7].", "5642 metres [1][9]."]})
    result = team_named("research", script.builder(library)).run_sync(QUESTION)
    assert "it cites [7], and there are sources 1 to 1 only" in script.asked("synthesizer")[1]
    assert len(script.asked("synthesizer")) == 2
    assert "[9]" not in result.output


def test_without_any_source_the_answer_says_so() -> None:
    script = Script({"gatherer": ["5642 m, certain"], "analyzer": ["."], "synthesizer": ["5642 metres."]})
    result = team_named("research", script.builder()).run_sync(QUESTION)
    assert result.output == "5642 metres.\n\nSources: none. This rests on what the models know alone."
    assert [step.member for step in result.steps] == ["gatherer", "analyzer", "synthesizer"]


def test_progress_is_told_as_it_happens(library: ToolSettings) -> None:
    script = Script(
        {
            "gatherer": [Call("search_documents", {"query": "Elbrus"}), "found"],
            "analyzer": ["."],
            "synthesizer": ["5642 metres [1]."],
        }
    )
    told: list[TeamEvent] = []
    result = team_named("research", script.builder(library)).run_sync(QUESTION, tell=told.append)
    assert isinstance(told[0], TeamStarted)
    assert told[-1] == TeamEnded(result)
    ended = [event.record.member for event in told if isinstance(event, TeamStepEnded)]
    assert ended == ["gatherer", "analyzer", "synthesizer"]
    tools = [e.event for e in told if isinstance(e, MemberEvent) and isinstance(e.event, ToolResult)]
    assert [tool.name for tool in tools] == ["search_documents"]


def test_tokens_are_counted_for_each_member(library: ToolSettings) -> None:
    script = Script({"gatherer": ["."], "analyzer": ["."], "synthesizer": ["5642 metres [1]."]})
    result = team_named("research", script.builder(library)).run_sync(QUESTION)
    assert [one.member for one in result.members] == ["gatherer", "analyzer", "synthesizer"]
    assert all(one.input_tokens > 0 and one.output_tokens > 0 for one in result.members)
    assert all(one.cost_usd is None for one in result.members), "nobody said what a scripted model costs"
