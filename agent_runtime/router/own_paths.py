"""What the router tells of itself under /api/paddock/: how the fleet is, what was spent, how A/B tests do."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qs

from agent_runtime.router import fleet_view
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.fields import decode_object
from agent_runtime.router.http_head import JSON_TYPE
from agent_runtime.router.money.ledger import LedgerError
from agent_runtime.router.request import Request
from fleet_spec.governance_spec import Scope

if TYPE_CHECKING:
    from agent_runtime.router.local import Answer
    from agent_runtime.router.service import Router

_MOST_MINUTES: Final = 35 * 24 * 60


async def status(router: Router, _request: Request) -> Answer:
    """/api/paddock/status: models, endpoints and queues, and what does not work as it should."""
    body = fleet_view.status(router.fleet, router.loop.time())
    body["draining"] = router.draining
    body["problems"] = [
        *([router.contract_problem] if router.contract_problem is not None else []),
        *router.governance.problems(),
    ]
    return 200, encode(body), JSON_TYPE


async def costs(router: Router, request: Request) -> Answer:
    """/api/paddock/costs?from=2026-11-01&to=2026-11-30: the cost report, of this month (UTC) by default.

    Raises:
        RequestError: 400 a day is none; 503 the ledger cannot be read.
    """
    today = datetime.datetime.now(datetime.UTC).date()
    first = _day(request, "from") or today.replace(day=1)
    last = _day(request, "to") or today
    if last < first:
        raise RequestError(400, f"from={first} is after to={last}", param="from")
    try:
        return 200, encode(await router.governance.purse.report(first.isoformat(), last.isoformat())), JSON_TYPE
    except LedgerError as error:
        refusal = RequestError(503, str(error), code="ledger_unavailable")
        refusal.headers["Retry-After"] = "5"
        raise refusal from error


async def experiments(router: Router, request: Request) -> Answer:
    """/api/paddock/experiments?minutes=60: how the arms of each alias did, and how in each of the last minutes.

    Raises:
        RequestError: 400 minutes is no number that can be; 503 the records cannot be read.
    """
    text = _asked(request, "minutes") or "0"
    if not text.isdecimal() or int(text) > _MOST_MINUTES:
        raise RequestError(400, f"minutes={text[:20]} is no number from 0 to {_MOST_MINUTES}", param="minutes")
    return 200, encode(await router.governance.experiments.report(last_minutes=int(text))), JSON_TYPE


async def feedback(router: Router, request: Request) -> Answer:
    """POST /api/paddock/feedback: what somebody thinks of an answer.

    Raises:
        RequestError: 400 a field is wrong; 404 the request is none of an A/B test's; 503 it cannot be written down.
    """
    return 200, encode(await router.governance.experiments.vote(decode_object(request.body))), JSON_TYPE


@dataclass(frozen=True, slots=True)
class OwnPath:
    """One of them."""

    method: Literal["GET", "POST"]
    scope: Scope
    answer: Callable[[Router, Request], Awaitable[Answer]]


OWN_PATHS: Final = {
    "/api/paddock/status": OwnPath("GET", "metrics", status),
    "/api/paddock/costs": OwnPath("GET", "metrics", costs),
    "/api/paddock/experiments": OwnPath("GET", "metrics", experiments),
    "/api/paddock/feedback": OwnPath("POST", "chat", feedback),
}


def _asked(request: Request, name: str) -> str | None:
    return parse_qs(request.query).get(name, [None])[-1]


def _day(request: Request, name: str) -> datetime.date | None:
    text = _asked(request, name)
    if text is None:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise RequestError(400, f"{name}={text[:20]!r} is no day; write it as 2026-11-01", param=name) from None
