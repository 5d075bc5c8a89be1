"""Whose fault a refusal is."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from agent_runtime.router.balancing.faults import fault_in
from agent_runtime.router.http_head import ReplyHead
from fleet_spec.governance_spec import Tier

pytestmark = pytest.mark.unit


def head(status: int, retry_after: str | None = None) -> ReplyHead:
    headers = [] if retry_after is None else [(b"retry-after", retry_after.encode())]
    return ReplyHead(status, headers, keep_alive=True)


@pytest.mark.parametrize(
    ("status", "tier", "kind", "ill", "pause_seconds"),
    [
        (400, "commercial", None, False, 0),
        (401, "commercial", "refused", False, 30),
        (402, "cloud", "refused", False, 30),
        (404, "cloud", "refused", False, 30),
        (408, "commercial", "status", True, 0),
        (429, "commercial", "overload", False, 1),
        (500, "commercial", "status", True, 0),
        (503, "commercial", "overload", False, 0),
        (401, "local", None, False, 0),
        (429, "local", "overload", False, 0),
        (500, "local", None, False, 0),
        (503, "local", "overload", False, 0),
    ],
)
def test_whose_fault_it_is(status: int, tier: Tier, kind: str | None, ill: bool, pause_seconds: float) -> None:
    fault = fault_in(head(status), tier)
    if kind is None:
        assert fault is None
    else:
        assert fault is not None
        assert (fault.kind, fault.ill, fault.pause_seconds) == (kind, ill, pause_seconds)


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("0", 0), ("100000", 300), ("soon", 1)])
def test_a_server_says_how_long_to_leave_it_alone(said: str, seconds: float) -> None:
    fault = fault_in(head(429, said), "commercial")
    assert fault is not None
    assert fault.pause_seconds == seconds


def test_it_may_say_so_by_a_date() -> None:
    fault = fault_in(head(503, formatdate(time.time() + 60, usegmt=True)), "local")
    assert fault is not None
    assert 55 < fault.pause_seconds <= 60
    past = fault_in(head(503, formatdate(0, usegmt=True)), "local")
    assert past is not None
    assert past.pause_seconds == 0
