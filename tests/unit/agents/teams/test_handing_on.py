"""How work is handed on: prompts that fit, files out of replies, sources, costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.agents.result import Usage
from agent_runtime.agents.teams.code_blocks import files_in
from agent_runtime.agents.teams.costs import cost_of
from agent_runtime.agents.teams.handoff import Section, compose, prompt_characters, reply_tokens
from agent_runtime.agents.teams.records import Source, ToolUse
from agent_runtime.agents.teams.sources import cited, sources_of, with_list
from agent_runtime.agents.teams.transcript import fenced
from agent_runtime.agents.tools.errors import ToolError
from fleet_spec.contract import FleetContract


def test_a_prompt_that_fits_is_not_cut() -> None:
    prompt, notes = compose("Do it.", [Section("Task", "sum"), Section("Empty", " ")], 1000)
    assert prompt == "## Task\nsum\n\nDo it."
    assert notes == ()


def test_the_longest_sections_are_cut_and_it_is_said_but_never_the_task() -> None:
    sections = [Section("Task", "t" * 300, keep=True), Section("Short", "s" * 50), Section("Long", "l" * 5000)]
    prompt, notes = compose("Do it.", sections, 1000)
    assert len(prompt) <= 1000
    assert "t" * 300 in prompt
    assert "s" * 50 in prompt
    assert "[...]" in prompt
    assert prompt.endswith("Do it.")
    assert len(notes) == 1
    assert "of 5000 characters of 'Long' were left out" in notes[0]


@given(st.lists(st.tuples(st.text(max_size=400), st.booleans()), max_size=6), st.integers(0, 2000))
def test_a_prompt_is_no_longer_than_it_may_be_unless_what_must_stay_is(
    texts: list[tuple[str, bool]], most: int
) -> None:
    sections = [Section(f"S{index}", text, keep=keep) for index, (text, keep) in enumerate(texts)]
    prompt, _ = compose("Do it.", sections, most)
    must_stay = sum(len(section.text) for section in sections if section.keep)
    overhead = len("Do it.") + sum(len(section.title) + 8 for section in sections)
    assert len(prompt) <= max(most, must_stay + overhead)


@pytest.mark.parametrize("window", [512, 2048, 8192, 131_072])
def test_prompt_reply_and_tools_share_the_window(window: int) -> None:
    prompt_tokens = prompt_characters(window, "Be brief.", with_tools=False) / 3
    assert reply_tokens(window) + prompt_tokens <= window
    assert prompt_characters(window, "Be brief.", with_tools=True) <= prompt_characters(window, "", with_tools=False)


@pytest.mark.parametrize(
    "reply",
    [
        "```python\n# file: shapes.py\nx = 1\n```",
        "Sure!\n```python\n# shapes.py\nx = 1\n```\nDone.",
        "```py\n# filename: shapes.py\nx = 1\n```",
        "```python shapes.py\nx = 1\n```",
        "**shapes.py**\n```python\nx = 1\n```",
        "Here is `shapes.py`:\n\n```\nx = 1\n```",
    ],
)
def test_files_are_found_however_a_model_names_them(reply: str) -> None:
    (name,) = files_in(reply, default="main.py")
    assert name == "shapes.py"


def test_one_block_without_a_name_is_the_default_file() -> None:
    assert files_in("```python\nx = 1\n```\n```sh\nls\n```", default="main.py") == {"main.py": "x = 1\n"}
    with pytest.raises(ToolError, match="two blocks of code have no name"):
        files_in("```python\nx = 1\n```\n```python\ny = 1\n```", default="main.py")
    with pytest.raises(ToolError, match="no fenced block"):
        files_in("def f(): pass", default="main.py")


def test_sources_are_read_from_what_tools_gave() -> None:
    uses = [
        ToolUse("search_documents", {"query": "x"}, "[a.md:1]\none\n\n[b/c.txt:12]\ntwo\n\nthree", False),
        ToolUse("search_documents", {"query": "y"}, "[a.md:1]\none", False),
        ToolUse("http_fetch", {"url": "https://e.org/"}, "[https://e.org/x]\ntext", False),
        ToolUse("web_search", {"query": "z"}, "1. Title\nhttps://e.org/y\nsnippet", False),
        ToolUse("read_document", {"path": "d.md", "first_line": 3}, "four", False),
        ToolUse("search_documents", {"query": "q"}, "[never.md:1]\nfailed", True),
        ToolUse("search_documents", {"query": "r"}, "no document holds any word of 'r'. Documents: a.md", False),
    ]
    found = {source.location: source.excerpt for source in sources_of(uses)}
    assert found == {
        "a.md:1": "one",
        "b/c.txt:12": "two\n\nthree",
        "https://e.org/x": "text",
        "https://e.org/y": "Title\nsnippet",
        "d.md:3": "four",
    }


def test_citations_are_checked_and_listed() -> None:
    sources = [Source("a.md:1", "", "t"), Source("b.md:1", "", "t")]
    assert cited("one [2], two [1, 2] and [10; 11], not [x] or [2024]") == [1, 2, 10, 11]
    assert with_list("Yes [2][7].", sources) == "Yes [2].\n\nSources:\n[2] b.md:1"
    assert "the text cites none of them" in with_list("Yes.", sources)


def priced(**model: Any) -> FleetContract:
    root = "http://127.0.0.1:1"
    return FleetContract.from_mapping(
        {
            "version": 1,
            "stack": "test",
            "target": "local",
            "router": {"url": root, "openai": f"{root}/v1", "ollama": root, "metrics": f"{root}/metrics"},
            "models": {"one": {"model": "gemma3:270m", "engine": "ollama", "contextLength": 4096, **model}},
            "aliases": {"default": {"one": 1.0}},
        }
    )


def test_what_the_router_says_comes_before_what_the_contract_says() -> None:
    usage = Usage(input_tokens=900, output_tokens=100, cost_usd=0.25)
    assert cost_of(usage, priced(usdPerHour=0.5), "one") == (0.25, "router")


def test_the_contracts_prices_are_worked_out_for_aliases_too() -> None:
    usage = Usage(input_tokens=900, output_tokens=100)
    by_token = priced(price={"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 3.0})
    assert cost_of(usage, by_token, "default") == (pytest.approx(0.0012), "contract")
    # 1000 tokens at 100 a second are 10 seconds of an hour that costs 0.50.
    assert cost_of(usage, priced(usdPerHour=0.5), "one") == (pytest.approx(0.5 / 360), "contract")
    assert cost_of(usage, priced(), "one") == (None, "unknown")
    assert cost_of(usage, None, "one") == (None, "unknown")


def test_a_block_holds_whatever_fences_are_in_it() -> None:
    assert fenced("a\n```\nb\n```") == "````\na\n```\nb\n```\n````"
