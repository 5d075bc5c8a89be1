"""Teams on a real model. What a very small one says is not judged, only that work goes on to a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.agents.builder import OpenSourceAgentBuilder
from agent_runtime.agents.teams.journal import head_of
from agent_runtime.agents.teams.systems import research_team, software_team
from agent_runtime.agents.teams.team import TeamLimits
from agent_runtime.agents.teams.transcript import markdown
from agent_runtime.agents.tools.catalogue import ToolSettings
from agent_runtime.fleet import Fleet
from fleet_spec.contract import FleetContract
from tests.runtime.conftest import RouterFor, contract

CONTEXT_LENGTH = 1024
"""Less than the server has: replies stay short, and work has to be cut to be handed on."""

pytestmark = [pytest.mark.runtime, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def fleet(llamacpp_url: str, router_for: RouterFor) -> Fleet:
    """A router in front of llama.cpp, found through its contract; an hour of the model costs half a dollar."""
    url = router_for("llamacpp", llamacpp_url)
    said: dict[str, Any] = contract("llamacpp", llamacpp_url)
    said["models"]["assistant"] |= {"usdPerHour": 0.5, "contextLength": CONTEXT_LENGTH}
    said["router"] = {"url": url, "openai": f"{url}/v1", "ollama": url, "metrics": f"{url}/metrics"}
    return Fleet(FleetContract.from_mapping(said))


def test_a_research_team_works_end_to_end_on_the_fleets_own_model(fleet: Fleet, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "elbrus.md").write_text("Mount Elbrus in the Caucasus is 5642 metres high.\n")
    builder = OpenSourceAgentBuilder(fleet, settings=ToolSettings(folder=documents))
    runs = tmp_path / "runs"
    result = research_team(builder).run_sync("How high is Mount Elbrus?", runs_directory=runs)

    assert {step.member for step in result.steps} >= {"gatherer", "analyzer", "synthesizer"}
    assert [source.location for source in result.outcome.sources] == ["elbrus.md:1"], "found by a tool, or by the team"
    for one in result.members:
        assert one.model == "gemma3:270m"
        assert one.output_tokens > 0
        assert one.cost_usd is not None
        assert one.cost_usd > 0
    assert "stands in: it is the only model of the fleet that chats" in result.models["analyzer"]["reason"]
    assert head_of(runs, result.run_id)["task"] == "How high is Mount Elbrus?"
    assert json.loads(json.dumps(result.to_mapping()))["steps"][0]["member"] == "gatherer"
    assert "elbrus.md:1" in markdown(result)


def test_a_software_team_ends_within_its_rounds_whatever_the_model_writes(fleet: Fleet) -> None:
    builder = OpenSourceAgentBuilder(fleet, settings=ToolSettings(allow_unisolated=True))
    result = software_team(builder, TeamLimits(rework_rounds=1)).run_sync("A function that adds two numbers.")
    members = [step.member for step in result.steps if step.member is not None]
    assert members[:3] == ["architect", "developer", "tester"]
    assert members[-1] == "reviewer"
    assert [step.purpose for step in result.steps].count("run the tests") in (1, 2)
    assert all(step.input_tokens + step.output_tokens <= CONTEXT_LENGTH for step in result.steps), (
        "nobody was asked more than the window holds"
    )
