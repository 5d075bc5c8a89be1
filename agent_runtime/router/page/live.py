"""The stream of events that the page lives on: one look a second at most, one text for all who watch.

An event holds only what has changed since the one before; who comes, or could not be written to for a while, gets
everything once. Whoever watches is asked for the key again at every event: a key that is revoked sees no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agent_runtime.router.access.caller import Caller
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.http_head import header_lines, status_line
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.page.files import GUARDS
from agent_runtime.router.request import Request

if TYPE_CHECKING:
    from agent_runtime.router.service import Router

BEAT_SECONDS: Final = 1.0
MOST_VIEWERS: Final = 256
_QUIET_BEATS: Final = 5
"""After so many seconds without a change an empty line says that the router is still there."""
_HEAD: Final = status_line(200) + header_lines(
    {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", **GUARDS}.items()
)
_SIGN_OF_LIFE: Final = b":\n\n"


class Viewer:
    """Somebody who watches."""

    def __init__(self, live: Live, client: ClientConnection, request: Request) -> None:
        self._live = live
        self.client = client
        self.request = request
        self.behind = True
        """Whether it needs everything, and not only what has changed."""
        self.paused_at: float | None = None
        """Since when it does not read, in the event loop's time."""

    def client_left(self) -> None:
        """Nobody watches any more."""
        self._live.viewers.discard(self)

    def client_paused(self) -> None:
        """Events for it are left out until it reads again."""
        self.behind = True
        self.paused_at = self._live.router.loop.time()

    def client_resumed(self) -> None:
        """The next event will be whole."""
        self.paused_at = None

    def begin(self) -> None:
        """Write the head of the answer."""
        framing = b"Transfer-Encoding: chunked\r\n" if self.request.version == "1.1" else b""
        self.client.transport.write(_HEAD + framing + self.client.closing_lines(self.request))

    def write(self, data: bytes, framed: bytes) -> None:
        """Write an event; ``framed`` is the same as a chunk of HTTP/1.1."""
        self.client.transport.write(framed if self.request.version == "1.1" else data)

    def end(self) -> None:
        """End the answer."""
        if self.request.version == "1.1":
            self.client.transport.write(b"0\r\n\r\n")
        self.client.done(keep_alive=False)


class Live:
    """All who watch one worker, and what they were told last."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.viewers: set[Viewer] = set()
        self._told: dict[str, bytes] = {}
        """The parts that were told last, as JSON."""
        self._decisions: list[dict[str, Any]] = []
        self._quiet = 0

    def join(self, client: ClientConnection, request: Request) -> None:
        """Let somebody watch. The first event comes with the next :meth:`tell`.

        Raises:
            RequestError: 503 the router ends, or too many watch.
        """
        if self.router.draining or len(self.viewers) >= MOST_VIEWERS:
            error = RequestError(503, "the router ends" if self.router.draining else "too many pages are open")
            error.headers["Retry-After"] = "5"
            raise error
        viewer = Viewer(self, client, request)
        viewer.begin()
        client.work = viewer
        self.viewers.add(viewer)

    def tell(self, parts: Mapping[str, object], new_decisions: Iterable[dict[str, Any]], kept: int) -> None:
        """Tell everybody what has changed.

        Args:
            parts: Everything that the page shows, by name.
            new_decisions: Requests that have ended since the last time, the oldest first.
            kept: How many of those one who comes anew gets to see.
        """
        fresh = {name: encode(part) for name, part in parts.items()}
        changed = {name: text for name, text in fresh.items() if self._told.get(name) != text}
        gone = [name for name in self._told if name not in fresh]
        decided = list(new_decisions)[-kept:]
        self._told = fresh
        self._decisions = [*self._decisions, *decided][-kept:]
        event = _event("change", changed, gone, decided) if changed or gone or decided else b""
        self._quiet = 0 if event else self._quiet + 1
        if not event and self._quiet >= _QUIET_BEATS:
            event, self._quiet = _SIGN_OF_LIFE, 0
        framed = _chunk(event) if event else b""
        for viewer in list(self.viewers):
            self._tell_one(viewer, event, framed)

    def _tell_one(self, viewer: Viewer, event: bytes, framed: bytes) -> None:
        try:
            caller = self._still_allowed(viewer)
        except RequestError:
            self.viewers.discard(viewer)
            viewer.end()
            return
        if viewer.paused_at is not None:
            if self.router.loop.time() - viewer.paused_at > self.router.limits.idle_gap_seconds:
                self.viewers.discard(viewer)
                viewer.client.abort()
        elif viewer.behind:
            viewer.behind = False
            whole = _event("hello", {"you": encode(self._you(caller)), **self._told}, [], self._decisions)
            viewer.write(whole, _chunk(whole))
        elif event:
            viewer.write(event, framed)

    def _still_allowed(self, viewer: Viewer) -> Caller:
        return self.router.governance.access.admit(viewer.request, "metrics", viewer.client.address)

    def _you(self, caller: Caller) -> dict[str, Any]:
        return {
            "name": caller.name,
            "scopes": sorted(caller.scopes),
            "signedIn": self.router.governance.access.required or caller.name != "anonymous",
        }

    def close(self) -> None:
        """Send everybody away."""
        for viewer in list(self.viewers):
            viewer.end()
        self.viewers.clear()


def _event(name: str, changed: Mapping[str, bytes], gone: list[str], decided: list[dict[str, Any]]) -> bytes:
    parts = b",".join(encode(key) + b":" + text for key, text in changed.items())
    body = b'{"set":{%b},"gone":%b,"decisions":%b}' % (parts, encode(gone), encode(decided))
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
