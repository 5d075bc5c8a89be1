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
_MOST_POINTS: Final = 500


async def status(router: Router, _request: Request) -> Answer:
    """/api/paddock/status: models, endpoints and queues, and what does not work as it should."""
    body = fleet_view.status(router.fleet, router.loop.time())
    body["draining"] = router.draining
    body["problems"] = [
        *([router.contract_problem] if router.contract_problem is not None else []),
        *router.governance.problems(),
    ]
    body["experiments"] = {alias: trial.to_mapping() for alias, trial in router.governance.experiments.declared.items()}
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
    """/api/paddock/experiments?minutes=60&points=100: how the arms of each alias did, and in each of the last minutes.

    ``points`` asks for how the effects of declared tests came to be, at so many moments.

    Raises:
        RequestError: 400 minutes or points is no number that can be; 503 the records cannot be read.
    """
    minutes, points = _number(request, "minutes", _MOST_MINUTES), _number(request, "points", _MOST_POINTS)
    return 200, encode(await router.governance.experiments.report(last_minutes=minutes, points=points)), JSON_TYPE


async def scores(router: Router, request: Request) -> Answer:
    """POST /api/paddock/experiments/scores: what a judge gave the arms of a declared test for one prompt.

    Raises:
        RequestError: 400 a field is wrong; 404 there is no such test; 503 it cannot be written down.
    """
    return 200, encode(await router.governance.experiments.note_scores(decode_object(request.body))), JSON_TYPE


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
    "/api/paddock/experiments/scores": OwnPath("POST", "admin", scores),
    "/api/paddock/feedback": OwnPath("POST", "chat", feedback),
}


def _asked(request: Request, name: str) -> str | None:
    return parse_qs(request.query).get(name, [None])[-1]


def _number(request: Request, name: str, most: int) -> int:
    text = _asked(request, name) or "0"
    if not text.isdecimal() or int(text) > most:
        raise RequestError(400, f"{name}={text[:20]} is no number from 0 to {most}", param=name)
    return int(text)


def _day(request: Request, name: str) -> datetime.date | None:
    text = _asked(request, name)
    if text is None:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise RequestError(400, f"{name}={text[:20]!r} is no day; write it as 2026-11-01", param=name) from None
