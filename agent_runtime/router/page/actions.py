"""What the page can change: endpoints in service, and weights of aliases. Each is written down before it is made.

A change needs a key with the scope admin, where keys are asked for. It must also come from this very page, where it
comes from a page at all: on a router that asks for no key, that is all that tells its user's wish from another page's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from agent_runtime.router.access.caller import Caller
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.fields import check_fields, decode_object
from agent_runtime.router.http_head import JSON_TYPE, header_lines
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.page.audit import MOST_SHOWN
from agent_runtime.router.page.files import GUARDS
from agent_runtime.router.request import Request
from fleet_spec.governance_spec import Scope

if TYPE_CHECKING:
    from agent_runtime.router.service import Router

_USUALLY_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class PagePath:
    """An address that the page asks."""

    method: Literal["GET", "POST"]
    scope: Scope
    begin: Callable[[Router, ClientConnection, Request, Caller], None]
    """Answers, now or over time. Raises RequestError."""


def _watch(router: Router, client: ClientConnection, request: Request, _caller: Caller) -> None:
    """/api/paddock/live: what the page shows, as events, until the client leaves."""
    router.page.watch(client, request)


def _audit(router: Router, client: ClientConnection, request: Request, _caller: Caller) -> None:
    """/api/paddock/audit?limit=100: who changed what, the newest first."""
    text = parse_qs(request.query).get("limit", [str(_USUALLY_SHOWN)])[-1]
    if not text.isdecimal() or not 0 < int(text) <= MOST_SHOWN:
        raise RequestError(400, f"limit={text[:20]} is no number from 1 to {MOST_SHOWN}", param="limit")
    _answer(router, client, request, {"entries": router.page.audit.last(int(text))})


def _drain(router: Router, client: ClientConnection, request: Request, caller: Caller) -> None:
    """POST /api/paddock/drain: ``{"endpoint": URL, "drained": true}`` takes an endpoint out of service, false back in.

    What is in flight there goes on.
    """
    body = _demanded(request, {"endpoint": str, "drained": bool})
    url, drained = body["endpoint"], body["drained"]
    page = router.page
    page.overrides.check_drained(router.fleet, url, drained)
    page.audit.note(caller.name, client.address, "drain" if drained else "undrain", endpoint=url)
    page.overrides.set_drained(url, drained, caller.name)
    page.overridden()
    _answer(router, client, request, {"overrides": page.overrides.to_mapping()})


def _weights(router: Router, client: ClientConnection, request: Request, caller: Caller) -> None:
    """POST /api/paddock/weights: ``{"alias": NAME, "weights": {MODEL: WEIGHT}}``; null for what the contract says."""
    body = _demanded(request, {"alias": str})
    if "weights" not in body:
        raise RequestError(400, "weights is required: an object, or null for what the contract says", param="weights")
    page, alias = router.page, body["alias"]
    weights = page.overrides.checked_weights(router.fleet, router.contract, alias, body["weights"])
    before = router.fleet.aliases.get(alias)
    page.audit.note(caller.name, client.address, "weights", alias=alias, before=before, after=weights)
    page.overrides.set_weights(router.contract, alias, weights, caller.name)
    page.overridden()
    _answer(router, client, request, {"overrides": page.overrides.to_mapping()})


PAGE_PATHS: Final = {
    "/api/paddock/live": PagePath("GET", "metrics", _watch),
    "/api/paddock/audit": PagePath("GET", "admin", _audit),
    "/api/paddock/drain": PagePath("POST", "admin", _drain),
    "/api/paddock/weights": PagePath("POST", "admin", _weights),
}


def _answer(router: Router, client: ClientConnection, request: Request, body: dict[str, Any]) -> None:
    request.extra_lines += header_lines(GUARDS.items()) + b"Cache-Control: no-store\r\n"
    router.answer(client, request, 200, encode(body), JSON_TYPE)


def _demanded(request: Request, fields: dict[str, type]) -> dict[str, Any]:
    """The body of a change, which must have these fields.

    Raises:
        RequestError: 400 a field is missing or wrong; 403 another page asks; 415 it is no JSON.
    """
    demand_own_page(request)
    body = decode_object(request.body)
    check_fields(body, dict(fields))
    for name in fields:
        if body.get(name) is None:
            raise RequestError(400, f"{name} is required", param=name)
    return body


def demand_own_page(request: Request) -> None:
    """Refuse a change that another page asks for. Programs that are no browsers send no Origin, and pass.

    A form can be sent by any page, but not as JSON; Origin and Sec-Fetch-Site are written by the browser, and no page
    can change them.

    Raises:
        RequestError: 403 another page asks; 415 it is not sent as JSON.
    """
    headers = dict(request.headers)
    content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if content_type != b"application/json":
        raise RequestError(415, "send it as application/json", code="unsupported_media_type")
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        # Behind a proxy that changes Host, only the browser knows whose page it is.
        own = site == b"same-origin"
    elif origin is not None:
        own = _authority(origin) == headers.get(b"host", b"").decode("latin-1").lower()
    else:
        own = True
    if not own:
        raise RequestError(403, "no other page than the router's own may change this", code="other_page")


def _authority(origin: bytes) -> str:
    try:
        return urlsplit(origin.decode("latin-1").lower()).netloc
    except ValueError:
        return ""
