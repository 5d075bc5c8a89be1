"""Search through a SearXNG server."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from agent_runtime.agents.tools.errors import ToolError, ToolSetupError
from agent_runtime.agents.tools.web_search import URL_VARIABLE, WebSearch

RESULTS = [{"title": f"Page {n}", "url": f"https://example.org/{n}", "content": "some\n text"} for n in range(1, 21)]


def searched(answer: httpx.Response, query: str = "bees", limit: int = 2) -> str:
    def handle(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://127.0.0.1:8888/search?q=bees&format=json"
        return answer

    search = WebSearch("http://127.0.0.1:8888/", transport=httpx.MockTransport(handle))
    return asyncio.run(search.web_search(query, limit))


def test_results_have_a_title_an_address_and_an_excerpt() -> None:
    assert searched(httpx.Response(200, json={"results": RESULTS})) == (
        "1. Page 1\nhttps://example.org/1\nsome text\n\n2. Page 2\nhttps://example.org/2\nsome text"
    )


def test_no_results_are_told() -> None:
    assert searched(httpx.Response(200, json={"results": []})) == "nothing was found for 'bees'"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(403), "add json to search.formats"),
        (httpx.Response(500), "answered 500"),
        (httpx.Response(200, text="<html>"), "is no SearXNG"),
        (httpx.Response(200, json=[1]), "is no SearXNG"),
    ],
)
def test_a_server_that_is_none_is_told(answer: httpx.Response, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        searched(answer)


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(ToolError, match="query is empty"):
        searched(httpx.Response(200), query=" ")


def test_without_a_provider_the_tool_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with pytest.raises(ToolSetupError, match=r"has no provider.*SearXNG"):
        WebSearch()
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:8888")
    assert WebSearch().url == "http://127.0.0.1:8888"
    with pytest.raises(ToolSetupError, match="is no URL"):
        WebSearch("searxng")
