"""What a model server's refusal means: whose fault it is, and when it makes sense to ask again.

A server of the fleet answers for its own requests: what it refuses, the client should hear, unless it is only busy.
A tier beyond the fleet is asked in the router's name: that its key is refused, or its quota used up, is nothing that
the client has done or should read, and another tier may still answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from agent_runtime.router.http_head import ReplyHead
from fleet_spec.governance_spec import Tier

_LONGEST_PAUSE_SECONDS: Final = 300.0
_QUOTA_PAUSE_SECONDS: Final = 1.0
"""After a 429 of a tier's that does not say how long."""
_MISCONFIGURED_PAUSE_SECONDS: Final = 30.0
_OVERLOAD: Final = (429, 503)
_MISCONFIGURED: Final = (401, 402, 403, 404)
_TIMEOUT: Final = 408


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal that another server may make good."""

    kind: str
    """For the metrics: overload, refused, status."""
    problem: str
    ill: bool = False
    """Whether it counts against the server's health."""
    pause_seconds: float = 0.0
    """How long it should be left alone."""


def fault_in(head: ReplyHead, tier: Tier) -> Fault | None:
    """What is wrong with an answer; None where it is the client's, whatever it says."""
    status = head.status
    if status in _OVERLOAD:
        pause_seconds = _retry_after_seconds(head)
        if pause_seconds is None:
            pause_seconds = _QUOTA_PAUSE_SECONDS if tier != "local" and status == 429 else 0.0
        return Fault("overload", f"answered {status}", pause_seconds=min(pause_seconds, _LONGEST_PAUSE_SECONDS))
    if tier == "local":
        return None
    if status in _MISCONFIGURED:
        problem = f"answered {status}: check the {tier} tier's address, model and key"
        return Fault("refused", problem, pause_seconds=_MISCONFIGURED_PAUSE_SECONDS)
    if status == _TIMEOUT or status >= 500:
        return Fault("status", f"answered {status}", ill=True)
    return None


def _retry_after_seconds(head: ReplyHead) -> float | None:
    """How long a server asks to be left alone: a number of seconds, or a date (RFC 9110, section 10.2.3)."""
    for name, value in head.headers:
        if name == b"retry-after":
            text = value.decode("latin-1").strip()
            if text.isdecimal():
                return float(text)
            try:
                return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
            except ValueError:
                return None
    return None
