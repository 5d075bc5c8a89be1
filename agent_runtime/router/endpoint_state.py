"""One address of a model server as the router sees it now: how to reach it, and whether it can be reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from fleet_spec.contract import EngineName
from fleet_spec.governance_spec import Tier

if TYPE_CHECKING:
    from agent_runtime.router.balancing.discovery import HostName
    from agent_runtime.router.model_state import Replica
    from agent_runtime.router.upstream import UpstreamConnection

Health = Literal["unknown", "up", "down"]

USER_AGENT: Final = "paddock"
_FIRST_BACK_OFF_SECONDS = 0.5
_LONGEST_BACK_OFF_SECONDS = 15.0

Credential = Callable[[], str | None]
"""Gives the key that a server asks for, as it is now; None where there is none. Its answer is never kept in sight."""


class EndpointState:
    """One address of a model server. Models may share it, as several models of one Ollama do."""

    def __init__(
        self,
        url: str,
        engine: EngineName,
        tier: Tier = "local",
        *,
        address: str = "",
        name: HostName | None = None,
        credential: Credential | None = None,
    ) -> None:
        """``address`` is one of those that the host of ``url`` stands for, where it is an endpoint of its own."""
        parts = urlsplit(url)
        self.engine: EngineName = engine
        self.tier: Tier = tier
        self.tls = parts.scheme == "https"
        self.server_name = parts.hostname or ""
        """What the server's certificate must be made out to."""
        self.host = address or self.server_name
        """What is connected to."""
        self.port = parts.port or (443 if self.tls else 80)
        self.authority = parts.netloc.rpartition("@")[2]
        self.base_path = parts.path.rstrip("/")
        """What comes before the engine's own paths."""
        self.url = url if not address else _url_at(parts.scheme, address, self.port, self.base_path)
        self.name = name
        """The name that the address was found under."""
        self.replicas: list[Replica] = []
        """The models that it serves."""
        self.limited = False
        """Whether requests of one of its models may wait for room here."""
        self.idle: list[UpstreamConnection] = []
        """Open connections without a request, the last used last."""
        self.outstanding = 0
        """Requests that were sent here and have not ended: computed, or waiting at the engine."""
        self.health: Health = "unknown"
        self.problem = ""
        """Why it is down."""
        self.next_try = 0.0
        """When it may be tried again after a failure, in the event loop's time."""
        self.next_probe = 0.0
        self.failures = 0
        """Failures without a success between them."""
        self.removed = False
        """Whether the contract no longer holds it. Requests in flight go on."""
        self.drained = False
        """Whether somebody has taken it out of service by hand. Requests in flight go on."""
        self._credential = credential
        self._key: str | None = None
        self._plain_lines = (
            f"Host: {self.authority}\r\nUser-Agent: {USER_AGENT}\r\nContent-Type: application/json\r\n"
        ).encode("latin-1", "replace")
        self._lines = self._plain_lines

    def adopt(self, newer: EndpointState) -> None:
        """Take over what a new contract may say of the same address. The models are told again after that."""
        self.replicas, self.limited, self.name = [], False, newer.name
        if newer._credential is None or self._credential is None:
            self._key, self._lines = None, self._plain_lines
        self._credential = newer._credential

    @property
    def probed(self) -> bool:
        """Whether it is asked for its health. An API that is paid for is known by its answers only."""
        return self.tier != "commercial"

    def head_lines(self) -> bytes:
        """Lines of the head of every request: whom it is for, and the key that is asked for."""
        if self._credential is None:
            return self._plain_lines
        key = self._credential()
        if key != self._key:
            self._key = key
            self._lines = self._plain_lines
            # What could end its line is no key, and is not sent.
            if key and key.isascii() and key.isprintable():
                self._lines += f"Authorization: Bearer {key}\r\n".encode("ascii")
        return self._lines

    @property
    def locked(self) -> bool:
        """Whether it is drained, or asks for a key that is missing: a prompt is not shown to who will refuse it."""
        return self.drained or (self._credential is not None and not self._credential())

    def succeeded(self, now: float, probe_after_seconds: float) -> bool:
        """Note an answer. True where the endpoint was not known to be up."""
        self.next_probe = now + probe_after_seconds
        if self.health == "up":
            return False
        self.health, self.problem, self.failures, self.next_try = "up", "", 0, 0.0
        return True

    def failed(self, now: float, problem: str) -> bool:
        """Note that it could not be reached. True where the endpoint was not known to be down."""
        # The exponent has a bound of its own: after a night of failures no float could hold the power.
        back_off = min(_FIRST_BACK_OFF_SECONDS * 2 ** min(self.failures, 20), _LONGEST_BACK_OFF_SECONDS)
        self.failures += 1
        self.next_try = now + back_off
        changed = self.health != "down"
        self.health, self.problem = "down", problem
        if self.name is not None:
            self.name.look_again(now)
        return changed

    def may_be_tried(self, now: float) -> bool:
        """Whether a request may go here although it is down: gently, one at a time, after a pause."""
        return self.health != "down" or (now >= self.next_try and self.outstanding == 0)

    def serve_waiting(self, now: float) -> None:
        """Let requests of its models that wait have a place, if there is one."""
        for replica in self.replicas:
            if replica.model.line.size:
                replica.model.serve(now)

    def made_room(self, now: float) -> None:
        """A request has ended here: another may have its place."""
        for replica in self.replicas:
            if replica.model.line.size:
                replica.model.give(replica, now)

    def close_stale(self, now: float, after_seconds: float) -> None:
        """Close the connections that nobody has used for a while."""
        for connection in list(self.idle):
            if connection.idle_since is None:
                connection.idle_since = now
            elif now - connection.idle_since > after_seconds:
                connection.close()

    def close_idle(self) -> None:
        """Close all connections without a request."""
        for connection in list(self.idle):
            connection.close()


def _url_at(scheme: str, address: str, port: int, path: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}:{port}{path}"
