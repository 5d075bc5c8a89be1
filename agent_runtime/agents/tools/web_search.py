"""Searches the web through a provider of your own choice: anything that speaks SearXNG's JSON API."""

from __future__ import annotations

import os
from typing import Any, cast

import httpx

from agent_runtime.agents.tools.errors import ToolError, ToolSetupError

URL_VARIABLE = "PADDOCK_SEARCH_URL"
TIMEOUT_SECONDS = 20.0
_FORBIDDEN = 403
_MOST_BYTES = 4 << 20
_SNIPPET_CHARACTERS = 400


class WebSearch:
    """``web_search`` through a SearXNG server, for an agent."""

    def __init__(self, url: str | None = None, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Make the tool.

        Args:
            url: the server's address, such as ``http://searxng:8080``; the environment's PADDOCK_SEARCH_URL by default.
            transport: where requests go in a test.

        Raises:
            ToolSetupError: no server is named, or it is no URL.
        """
        found = url or os.environ.get(URL_VARIABLE)
        if not found:
            raise ToolSetupError(
                "web_search has no provider. fix: run SearXNG with the format json switched on, "
                f"and name its address with --search-url or {URL_VARIABLE}"
            )
        if not found.startswith(("http://", "https://")):
            raise ToolSetupError(f"the search provider {found!r} is no URL. fix: such as http://127.0.0.1:8888")
        self.url = found.rstrip("/").removesuffix("/search")
        self._transport = transport

    async def web_search(self, query: str, limit: int = 5) -> str:
        """Search the web. Returns titles, addresses and short excerpts of pages.

        Args:
            query: What to look for.
            limit: How many results, 1 to 10.
        """
        if not query.strip():
            raise ToolError("the query is empty. fix: a few words to look for")
        results = await self._results(query)
        if not results:
            return f"nothing was found for {query!r}"
        shown = results[: max(1, min(limit, 10))]
        return "\n\n".join(
            "\n".join(
                [f"{number}. {_line(one, 'title')}", _line(one, "url"), _line(one, "content")[:_SNIPPET_CHARACTERS]]
            )
            for number, one in enumerate(shown, 1)
        )

    async def _results(self, query: str) -> list[dict[str, Any]]:
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
                response = await client.get(f"{self.url}/search", params={"q": query, "format": "json"})
        except httpx.HTTPError as error:
            raise ToolError(
                f"the search provider at {self.url} does not answer: {error or type(error).__name__}"
            ) from error
        if response.status_code == _FORBIDDEN:
            raise ToolError(f"{self.url} refuses JSON. fix: add json to search.formats in SearXNG's settings.yml")
        if not response.is_success or len(response.content) > _MOST_BYTES:
            raise ToolError(f"the search provider at {self.url} answered {response.status_code}")
        try:
            found = response.json()["results"]
        except (ValueError, KeyError, TypeError) as error:
            raise ToolError(f"what answers at {self.url} is no SearXNG") from error
        return [cast("dict[str, Any]", one) for one in found if isinstance(one, dict)]


def _line(result: dict[str, Any], key: str) -> str:
    return " ".join(str(result.get(key) or "").split())
