"""Fetches pages from hosts that were allowed, and from nowhere else.

Every address that is asked, after each redirect too, has to be in the list. The name is looked up once, the address is
checked and then used as it is, so that a name that changes its address in between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html.parser import HTMLParser

import httpx

from agent_runtime.agents.tools.allowed_hosts import AllowedHost, Resolve, destination, resolve
from agent_runtime.agents.tools.errors import ToolError, ToolSetupError

TIMEOUT_SECONDS = 20.0
MOST_BYTES = 2 << 20
MOST_REDIRECTS = 5
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/xhtml+xml", "application/javascript")
_REDIRECTS = (301, 302, 303, 307, 308)


class WebPages:
    """``http_fetch`` over a list of allowed hosts, for an agent."""

    def __init__(
        self,
        allowed_hosts: Sequence[str],
        *,
        most_bytes: int = MOST_BYTES,
        timeout_seconds: float = TIMEOUT_SECONDS,
        find: Resolve = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Make the tool.

        Args:
            allowed_hosts: such as ``docs.python.org``, ``*.wikipedia.org``. A private address is allowed where it
                stands here itself, with its port: ``127.0.0.1:8080``.
            most_bytes: the longest page, decompressed.
            timeout_seconds: for everything, redirects included.
            find: how names become addresses.
            transport: where requests go in a test.

        Raises:
            ToolSetupError: the list is empty, or an entry is no host.
        """
        self._allowed = [AllowedHost.parse(entry) for entry in allowed_hosts]
        if not self._allowed:
            raise ToolSetupError("http_fetch needs hosts that it may ask. fix: allow some, such as docs.python.org")
        self._most_bytes = most_bytes
        self._timeout_seconds = timeout_seconds
        self._find = find
        self._transport = transport

    async def http_fetch(self, url: str) -> str:
        """Fetch a page of the web and return its text.

        Only some hosts are allowed; the error names them.

        Args:
            url: The page's address, beginning with https:// or http://.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._fetch(url)
        except TimeoutError as error:
            raise ToolError(f"{url} did not answer in {self._timeout_seconds:g} s") from error
        except httpx.HTTPError as error:
            raise ToolError(f"{url} could not be fetched: {error or type(error).__name__}") from error

    async def _fetch(self, url: str) -> str:
        try:
            wanted = httpx.URL(url)
        except (httpx.InvalidURL, TypeError) as error:
            raise ToolError(f"{url[:200]!r} is no URL: {error}") from error
        async with httpx.AsyncClient(
            transport=self._transport, trust_env=False, follow_redirects=False, timeout=self._timeout_seconds
        ) as client:
            for _ in range(MOST_REDIRECTS + 1):
                to = await destination(wanted, self._allowed, self._find)
                async with client.stream(
                    "GET",
                    to.url,
                    headers={"Host": to.host_header, "User-Agent": "paddock-http-fetch", "Accept": "text/*, */*;q=0.1"},
                    extensions={"sni_hostname": to.server_name},
                ) as response:
                    if response.status_code in _REDIRECTS and "location" in response.headers:
                        wanted = wanted.join(response.headers["location"])
                        continue
                    return await self._text(wanted, response)
        raise ToolError(f"{url} was redirected more than {MOST_REDIRECTS} times")

    async def _text(self, url: httpx.URL, response: httpx.Response) -> str:
        if not response.is_success:
            raise ToolError(f"{url} answered {response.status_code} {response.reason_phrase}".rstrip())
        kind = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
        if not kind.startswith(_TEXT_TYPES) and not kind.endswith(("+json", "+xml")):
            raise ToolError(f"{url} is {kind}, not text")
        data = bytearray()
        async for piece in response.aiter_bytes(1 << 16):
            data += piece
            if len(data) > self._most_bytes:
                raise ToolError(f"{url} is longer than {self._most_bytes} bytes")
        try:
            text = bytes(data).decode(response.charset_encoding or "utf-8", errors="replace")
        except LookupError:
            text = bytes(data).decode("utf-8", errors="replace")
        return f"[{url}]\n{page_text(text) if 'html' in kind else text}"


class _PageText(HTMLParser):
    """Collects what a reader of a page sees."""

    _SILENT = frozenset({"script", "style", "noscript", "template", "svg", "head"})
    _BREAKS = frozenset(
        {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "table", "ul", "ol"}
        | {"pre", "blockquote", "title", "dt", "dd"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in self._SILENT:
            self._silent.append(tag)
        elif tag == "body":
            self._silent.clear()  # a head that nobody closed
        elif tag in self._BREAKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            del self._silent[self._silent.index(tag) :]
        elif tag in self._BREAKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)


def page_text(html: str) -> str:
    """What a reader of a page sees: no scripts, no styles, no tags."""
    parser = _PageText()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).splitlines())
    return "\n".join(line for line in lines if line)
