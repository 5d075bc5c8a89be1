"""Agents by what they are for: the model that is meant where the fleet has it, else the best that it really has."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai.models.test import TestModel

from agent_runtime.agents.builder import SPECIALISATIONS, OpenSourceAgentBuilder
from agent_runtime.fleet import Fleet
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError


def fleet(**models: str) -> Fleet:
    """A fleet of these models: name -> its name in the catalogue."""
    root = "http://127.0.0.1:1"
    served: dict[str, Any] = {
        name: {"model": model, "engine": "ollama", "contextLength": 4096, "capabilities": ["chat", "tools"]}
        for name, model in models.items()
    }
    return Fleet(
        FleetContract.from_mapping(
            {
                "version": 1,
                "stack": "test",
                "target": "local",
                "router": {"url": root, "openai": f"{root}/v1", "ollama": root, "metrics": f"{root}/metrics"},
                "models": served,
                "aliases": {"default": dict.fromkeys(list(models)[:1], 1.0)},
            }
        )
    )


@pytest.mark.parametrize(
    ("specialisation", "model", "tools"),
    [
        ("general", "llama3.1:8b", []),
        ("code", "codellama:13b", ["code_analysis"]),
        ("math", "mathstral:7b", ["calculation"]),
        ("science", "llama3.1:70b", []),
        ("creative", "mistral:7b", []),
    ],
)
def test_each_specialisation_has_its_model_and_its_tools(specialisation: str, model: str, tools: list[str]) -> None:
    builder = OpenSourceAgentBuilder(fleet(small="gemma3:270m", one=model))
    choice = builder.choose(specialisation)
    assert (choice.name, choice.model, choice.is_fallback) == ("one", model, False)
    agent = builder.create_research_agent(specialisation)
    assert agent.model == "one"
    assert [tool.called for tool in agent.tools] == tools


def test_another_model_for_the_same_use_stands_in_and_it_is_said() -> None:
    choice = OpenSourceAgentBuilder(fleet(chat="llama3.1:8b", small="codellama:7b", big="codellama:34b")).choose("code")
    assert choice.model == "codellama:7b", "the nearest in size to codellama:13b"
    assert choice.is_fallback
    assert choice.reason == (
        "codellama:13b is not in the fleet; small (codellama:7b) stands in: the catalogue names it for code"
    )


def test_without_one_for_the_use_the_nearest_in_size_that_chats_stands_in() -> None:
    choice = OpenSourceAgentBuilder(fleet(tiny="gemma3:270m", chat="gemma3:12b")).choose("code")
    assert choice.model == "gemma3:12b"
    assert "nothing in the fleet is made for it" in choice.reason


def test_a_fleet_of_one_model_does_everything() -> None:
    builder = OpenSourceAgentBuilder(fleet(assistant="gemma3:270m"))
    for name in SPECIALISATIONS:
        assert builder.choose(name).name == "assistant"
        assert "the only model of the fleet that chats" in builder.choose(name).reason


def test_a_model_of_ones_own_counts_by_its_capabilities() -> None:
    served = fleet(chat="gemma3:1b", own="my-coder.gguf")
    own = served.contract.models["own"].model_copy(update={"capabilities": ("chat", "code")})
    contract = served.contract.model_copy(update={"models": {**served.contract.models, "own": own}})
    assert OpenSourceAgentBuilder(Fleet(contract)).choose("code").name == "own"


def test_an_unknown_specialisation_is_told_with_those_there_are() -> None:
    builder = OpenSourceAgentBuilder(fleet(assistant="gemma3:270m"))
    for ask in (builder.choose, builder.create_research_agent):
        with pytest.raises(BadInputError, match=r"no specialisation 'law'\. fix: one of general, code, math, science"):
            ask("law")
    with pytest.raises(BadInputError, match="no specialisation 'law'"):
        OpenSourceAgentBuilder(models={"law": "assistant"})


def test_an_unknown_team_is_told_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match=r"no team 'cooking'\. fix: one of research, software_development"):
        OpenSourceAgentBuilder(fleet(assistant="gemma3:270m")).create_multi_agent_system("cooking")


def test_a_fleet_that_cannot_chat_is_told() -> None:
    served = fleet(embed="nomic-embed-text:v1.5")
    only = served.contract.models["embed"].model_copy(update={"capabilities": ("embedding",)})
    contract = served.contract.model_copy(update={"models": {"embed": only}})
    with pytest.raises(BadInputError, match="no model that chats"):
        OpenSourceAgentBuilder(Fleet(contract)).choose("general")


def test_a_model_can_be_asked_for_by_name_or_handed_over() -> None:
    served = fleet(chat="llama3.1:8b", other="gemma3:1b")
    assert OpenSourceAgentBuilder(served).choose("general", "default").name == "default"
    assert OpenSourceAgentBuilder(served, models={"general": "other"}).choose("general").model == "gemma3:1b"
    handed_over = OpenSourceAgentBuilder(models={"general": TestModel(custom_output_text="hello")})
    assert handed_over.create_research_agent("general").run_sync("hi").output == "hello"
    assert handed_over.choose("general").reason == "it was handed over"
