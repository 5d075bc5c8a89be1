"""Lines of progress, as they come: what Ollama's clients draw their bars from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import BadReplyError, RequestError
from agent_runtime.router.http_head import header_lines, status_line
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.request import Request

_HEAD: Final = status_line(200) + header_lines([("Content-Type", "application/x-ndjson")])


class Progress:
    """Writes lines to a client. What goes wrong after the first of them is a line as well."""

    def __init__(self, client: ClientConnection, request: Request, note: Callable[[Request, int], None]) -> None:
        self._client = client
        self._request = request
        self._note = note
        self._begun = False

    async def run(self, lines: AsyncIterator[dict[str, Any]]) -> None:
        """Write all of them, and be done with the request.

        Raises:
            RequestError: it went wrong before the first line.
        """
        try:
            async for line in lines:
                self._write(line)
        except (RequestError, BadReplyError) as error:
            if not self._begun:
                raise RequestError(502, str(error)) if isinstance(error, BadReplyError) else error from error
            self._write({"error": str(error)})
        self._note(self._request, 200)
        self._begin()
        if self._request.version == "1.1":
            self._client.transport.write(b"0\r\n\r\n")
        self._client.done(keep_alive=self._request.keep_alive)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            framing = b"Transfer-Encoding: chunked\r\n" if self._request.version == "1.1" else b""
            self._client.transport.write(_HEAD + framing + self._client.closing_lines(self._request))

    def _write(self, line: dict[str, Any]) -> None:
        self._begin()
        data = encode(line) + b"\n"
        self._client.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._request.version == "1.1" else data)
