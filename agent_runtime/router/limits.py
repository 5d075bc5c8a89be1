"""How long and how much the router lets a request take."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit, with its unit in its name. They are apart because a slow model is not a dead one."""

    connect_seconds: float = 5.0
    """To open a connection to a model server."""
    first_byte_seconds: float = 300.0
    """From the request to the first byte of the answer. A cold load takes minutes."""
    idle_gap_seconds: float = 120.0
    """Between two reads of an answer, and for a client that stopped reading it."""
    head_seconds: float = 10.0
    """For a client to send a whole request head, from its first byte."""
    body_gap_seconds: float = 30.0
    """Between two reads of a request's body."""
    keep_alive_seconds: float = 75.0
    """How long a client's connection may stay open between requests."""
    upstream_keep_alive_seconds: float = 30.0
    """How long an idle connection to a model server is kept for the next request."""
    drain_seconds: float = 30.0
    """For the requests in flight to finish after SIGTERM."""
    linger_seconds: float = 1.0
    """How long to go on reading, and dropping, what a refused client still sends, so that it sees why."""
    probe_seconds: float = 2.0
    """Between two health checks of an endpoint that is down."""
    probe_answer_seconds: float = 2.0
    """For one health check to be answered."""
    probe_idle_seconds: float = 10.0
    """Between two health checks of an endpoint that is up."""
    contract_poll_seconds: float = 0.5
    """Between two looks at the contract's file."""
    head_bytes: int = 64 * 1024
    """The largest request head."""
    body_bytes: int = 32 * 1024 * 1024
    """The largest request body."""
    whole_reply_bytes: int = 1024 * 1024
    """An answer of known length up to this size is passed on only when all of it has come."""
    translated_reply_bytes: int = 64 * 1024 * 1024
    """The largest answer, not streamed, that is translated."""
    buffered_bytes: int = 512 * 1024 * 1024
    """Bodies of requests and answers that are kept whole, of all clients together."""
    pipelined_requests: int = 8
    """How many requests one connection may send ahead of the answers before it is read no further."""

    def tick_seconds(self) -> float:
        """How often limits are looked at: often enough for the shortest, seldom enough to cost nothing."""
        shortest = min(getattr(self, field.name) for field in fields(self) if field.name.endswith("_seconds"))
        return min(0.5, max(0.02, shortest / 4))
