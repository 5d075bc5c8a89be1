"""Reads a ledger that a router keeps, running or not, without changing it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from agent_runtime.router.money import sqlite_store as store
from agent_runtime.router.money.budgets import Budgets
from agent_runtime.router.money.ledger import LedgerError
from agent_runtime.router.money.metrics import Spending
from agent_runtime.router.money.months import instant_text, month_of
from agent_runtime.router.money.prices import Price, price_of
from agent_runtime.router.money.report import cost_report
from agent_runtime.router.money.sqlite_ledger import FILE_NAME
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError


def report_from_files(
    data: Path, contract: FleetContract | None, *, first_day: str, last_day: str, at: float | None = None
) -> dict[str, Any]:
    """The cost report of a router's data directory.

    What a router took in during its last tick may be missing; what a killed one left counts once a router runs again.

    Args:
        data: the directory that the router was given with ``--data``.
        contract: for budgets and prices; None where the stack is not up.
        first_day: such as ``2026-11-01``.
        last_day: the last one of the report.
        at: Unix time, now by default.

    Raises:
        BadInputError: there is no ledger.
        LedgerError: it cannot be read.
    """
    now = time.time() if at is None else at
    path = data / FILE_NAME
    if not path.is_file():
        raise BadInputError(
            f"there is no ledger at {path}: no router has kept its spending there. fix: paddock up, or name the "
            "router's data directory with --data"
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            rows = store.rows(connection, first_day, last_day)
            totals = store.totals(connection, month_of(now))
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {path} cannot be read: {error}") from error
    budgets = Budgets(None, {}) if contract is None else Budgets.of(contract)
    return cost_report(
        rows,
        first_day=first_day,
        last_day=last_day,
        generated_at=instant_text(now),
        spending=Spending.of(budgets, totals, now),
        commercial={} if contract is None else commercial_prices(contract),
    )


def commercial_prices(contract: FleetContract) -> dict[str, Price]:
    """The commercial tier's prices, by the names of the fleet's models and aliases, where they are known."""
    tier = contract.tiers.get("commercial")
    if tier is None:
        return {}
    found = {
        name: price_of(
            entry.model_copy(update={"tier": "commercial"}),
            flat_usd_per_thousand_tokens=tier.usd_per_thousand_tokens,
        )
        for name, entry in tier.models.items()
    }
    return {name: price for name, price in found.items() if price is not None}
