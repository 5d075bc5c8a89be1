"""costs: what was spent on what, from the router's own files or from the router."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx

from agent_runtime.authorization import KEY_VARIABLE, authorization
from agent_runtime.router.money.page import COLUMNS, cost_page, shown
from agent_runtime.router.money.reading import report_from_files
from agent_runtime.router.money.sqlite_ledger import FILE_NAME
from cli.console import note, table, write, write_json
from cli.contract import read_contract
from cli.project import find_project
from cli.router_access import require_way, stack_key
from components.local.paths import DATA_DIRECTORY_NAME
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, ContractError, PaddockError

By = Literal["tier", "key", "model", "day"]
COSTS_PATH = "/api/paddock/costs"
_GROUPS: dict[str, str] = {"tier": "byTier", "key": "byKey", "model": "byModel", "day": "byDay"}
_TIMEOUT_SECONDS = 30.0


class CostsUnavailableError(PaddockError):
    """The router did not give its report."""


@dataclass(frozen=True)
class Period:
    """Days of a report, both included, UTC."""

    first_day: str
    last_day: str


def run(
    stack: str,
    *,
    data: Path | None,
    router: str | None,
    since: str | None,
    until: str | None,
    by: By,
    as_csv: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    """Print the report, as a table, CSV or JSON, and write it as a page where one is asked for."""
    if data is not None and router is not None:
        raise BadInputError("--data and --router name two sources. fix: give one of them")
    if as_csv and as_json:
        raise BadInputError("--csv and --json are two forms. fix: give one of them")
    period = period_of(since, until)
    report = read_report(stack, data, router, period)
    if page is not None:
        page.write_text(cost_page(report, f"What {stack} cost"), encoding="utf-8")
        note(f"wrote {page}")
    if as_json:
        write_json(report)
    elif as_csv:
        write(as_comma_separated(report, by).rstrip("\n"))
    else:
        _print(report, by)


def period_of(since: str | None, until: str | None, today: date | None = None) -> Period:
    """The days of a report: by default this month so far, UTC.

    Raises:
        BadInputError: a day is none, or the last comes before the first.
    """
    last = _day("--until", until) if until else today or datetime.now(UTC).date()
    first = _day("--since", since) if since else last.replace(day=1)
    if first > last:
        raise BadInputError(f"--since {first} comes after --until {last}. fix: turn them round")
    return Period(first.isoformat(), last.isoformat())


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInputError(f"{option} {text!r} is no day. fix: write it as 2026-11-01") from error


def read_report(stack: str, data: Path | None, router: str | None, period: Period) -> dict[str, Any]:
    """The report from where it was asked for: a data directory, a router, or wherever the stack keeps it.

    Raises:
        BadInputError: there is no ledger, no such stack, or the router wants another key.
        CostsUnavailableError: the router cannot be reached or failed.
        LedgerError: the ledger cannot be read.
    """
    if router is not None:
        return ask_router(router, os.environ.get(KEY_VARIABLE), period)
    if data is not None:
        return report_from_files(data, _contract(stack), first_day=period.first_day, last_day=period.last_day)
    own = find_project().stack_directory(stack) / DATA_DIRECTORY_NAME
    if (own / FILE_NAME).is_file():
        return report_from_files(own, _contract(stack), first_day=period.first_day, last_day=period.last_day)
    contract = read_contract(stack)
    key = os.environ.get(KEY_VARIABLE) or stack_key(find_project(), contract)
    return ask_router(require_way(contract), key, period)


def _contract(stack: str) -> FleetContract | None:
    """The stack's contract, for budgets and prices. What was spent can be read without it."""
    try:
        return read_contract(stack)
    except ContractError:
        raise
    except BadInputError:
        return None


def ask_router(
    url: str, key: str | None, period: Period, transport: httpx.BaseTransport | None = None
) -> dict[str, Any]:
    """The report that a router gives.

    Args:
        url: the router's root address, with or without ``/v1``.
        key: one with the scope ``metrics``, where the router asks for keys.
        period: the days.
        transport: where the request goes in a test.

    Raises:
        BadInputError: the address is none, or the router wants another key.
        CostsUnavailableError: the router cannot be reached or failed.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadInputError(f"--router {url} is no address. fix: such as http://127.0.0.1:8080")
    root = url.rstrip("/").removesuffix("/v1")
    headers = authorization(key)
    asked = {"from": period.first_day, "to": period.last_day}
    try:
        with httpx.Client(timeout=_TIMEOUT_SECONDS, transport=transport) as client:
            response = client.get(root + COSTS_PATH, params=asked, headers=headers)
    except httpx.HTTPError as error:
        raise CostsUnavailableError(f"no router answers at {root}: {error}. fix: paddock up") from error
    if response.status_code in (401, 403):
        raise BadInputError(
            f"the router at {root} does not give its costs to this key. fix: export {KEY_VARIABLE} with one of scope "
            "metrics"
        )
    if not response.is_success:
        raise CostsUnavailableError(f"the router at {root} answered {response.status_code}: {response.text[:200]}")
    try:
        return cast("dict[str, Any]", response.json())
    except ValueError as error:
        raise CostsUnavailableError(f"what answers at {root} is no router of Paddock") from error


def as_comma_separated(report: Mapping[str, Any], by: By) -> str:
    """One group a line, every field of it, in plain numbers."""
    groups = cast("Sequence[Mapping[str, Any]]", report[_GROUPS[by]])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = list(groups[0] if groups else {by: "", **report["total"]})
    writer.writerow(fields)
    writer.writerows([group[field] for field in fields] for group in groups)
    return out.getvalue()


def _print(report: Mapping[str, Any], by: By) -> None:
    groups = cast("Sequence[Mapping[str, Any]]", report[_GROUPS[by]])
    rows = [[str(group[by]), *_cells(group)] for group in groups]
    rows.append(["total", *_cells(report["total"])])
    write(f"{report['from']} to {report['to']} (UTC)")
    table([by, *(title for title, _ in COLUMNS)], rows)
    budget = report["budget"]
    if budget is None:
        return
    write()
    for name, found in (("fleet", budget), *budget["tiers"].items(), *budget["keys"].items()):
        if found["monthlyUsd"] is not None:
            write(
                f"budget {name}: {shown('usd', found['spentUsd'])} of {shown('usd', found['monthlyUsd'])} USD spent in "
                f"{budget['month']}, {shown('usd', found['reservedUsd'])} set aside, forecast "
                f"{shown('usd', found['forecastUsd'])}"
            )
    if budget["state"] != "unlimited":
        write(f"tiers beyond the fleet: {_STATES[budget['state']]}; begins anew at {budget['resetsAt']}")


_STATES = {
    "open": "open",
    "soft": "past the soft limit: commercial for high priority alone",
    "closed": "closed: the budget is spent",
}


def _cells(group: Mapping[str, Any]) -> list[str]:
    return [shown(field, group[field]) for _, field in COLUMNS]
