"""The tools by name, and that every one of them can be offered to a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runtime.agents.functions import as_tools, to_pydantic
from agent_runtime.agents.tools.catalogue import ToolSettings, make_tools, research_tools, tool_names
from agent_runtime.agents.tools.errors import ToolSetupError
from agent_runtime.agents.tools.sandbox import run as running
from agent_runtime.agents.tools.web_search import URL_VARIABLE


def test_every_tool_has_a_name_a_description_and_a_schema(tmp_path: Path) -> None:
    settings = ToolSettings(
        folder=tmp_path, allowed_hosts=("example.org",), search_url="http://127.0.0.1:8888", allow_unisolated=True
    )
    tools = as_tools(make_tools(tool_names(), settings))
    assert sorted(tool.called for tool in tools) == list(tool_names())
    for tool in tools:
        made = to_pydantic(tool)
        schema = made.function_schema.json_schema
        assert made.description
        assert "self" not in schema["properties"]
        assert all("description" in one for one in schema["properties"].values()), tool.called


def test_every_mistake_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with pytest.raises(ToolSetupError) as refused:
        make_tools(["calculator", "search_documents", "http_fetch", "web_search", "calculation"])
    told = str(refused.value)
    assert "there is no tool 'calculator'" in told
    assert "search_documents: no folder is named" in told
    assert "http_fetch needs hosts" in told
    assert "web_search has no provider" in told


@pytest.mark.parametrize("name", ["run_python", "run_tests"])
def test_tools_that_run_code_are_refused_before_any_model_is_asked_where_it_cannot_be_isolated(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.sys, "platform", "darwin")
    with pytest.raises(ToolSetupError, match=f"{name}: this machine cannot isolate code"):
        make_tools([name])
    assert len(make_tools([name], ToolSettings(allow_unisolated=True))) == 1


def test_research_is_done_with_what_the_settings_are_enough_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    assert research_tools(ToolSettings()) == []
    assert research_tools(ToolSettings(allowed_hosts=("example.org",))) == ["http_fetch"]
    assert research_tools(ToolSettings(folder=tmp_path)) == ["search_documents", "read_document", "list_documents"]
    assert research_tools(ToolSettings(search_url="http://127.0.0.1:8888")) == ["web_search"]
