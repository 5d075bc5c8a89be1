"""A client's request, whole."""

from __future__ import annotations

from agent_runtime.router.dialects.errors import Dialect, RequestError
from agent_runtime.router.upload import Upload


class Request:
    """What a client asks. Built while it is read."""

    __slots__ = (
        "body",
        "extra_lines",
        "headers",
        "id",
        "keep_alive",
        "method",
        "origin",
        "path",
        "query",
        "refusal",
        "started",
        "upload",
        "version",
    )

    def __init__(self) -> None:
        self.method = ""
        self.path = "/"
        self.query = ""
        """What follows the path's question mark."""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        """Names in lower case."""
        self.body = b""
        self.origin = b""
        """The page that it comes from, once it is known to be one that may ask."""
        self.id = ""
        """What the log and the answer call it."""
        self.extra_lines = b""
        """Further lines of the answer's head, each with its end."""
        self.keep_alive = True
        self.started = 0.0
        """When its last byte came, in the event loop's time."""
        self.upload: Upload | None = None
        """The body, where it is too large to be kept: it is still coming."""
        self.refusal: RequestError | None = None
        """Why it is refused before anybody looks at what it asks."""

    @property
    def dialect(self) -> Dialect:
        """The language of the client, by the path it asks for."""
        return "openai" if self.path.startswith("/v1") else "ollama"
