"""A real Prometheus reads a real router by the rendered files: panels have data, alerts are raised and clear."""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from agent_runtime.router.money.sqlite_ledger import FILE_NAME
from tests import programs
from tests.runtime.watched_fleet import BUDGET_USD, MOST_WAITING, WatchedFleet, wait_for, watched_fleet

pytestmark = [pytest.mark.runtime, pytest.mark.slow]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedFleet]:
    prometheus, _ = programs.prometheus_programs()
    with watched_fleet(tmp_path_factory.mktemp("watched"), prometheus) as running:
        yield running


def expressions(fleet: WatchedFleet) -> dict[str, str]:
    """Every query of the dashboard, by panel and line."""
    panels = [panel for panel in fleet.dashboard["panels"] if panel["type"] != "row"]
    return {f"{panel['title']}/{one['refId']}": one["expr"] for panel in panels for one in panel["targets"]}


def raised_and_cleared(
    fleet: WatchedFleet, *names: str, by: Callable[[], object], mended_by: Callable[[], object]
) -> None:
    """Something breaks: alerts come. It is mended: they go."""
    wait_for("quiet", lambda: not set(names) & fleet.firing().keys())
    by()
    try:
        wait_for(f"{names} to be raised", lambda: set(names) <= fleet.firing().keys())
    finally:
        mended_by()
    wait_for(f"{names} to clear", lambda: not set(names) & fleet.firing().keys())


def test_what_is_rendered_passes_promtool(fleet: WatchedFleet) -> None:
    _, promtool = programs.prometheus_programs()
    for kind, name in (("config", "prometheus.yml"), ("rules", "rules.yml")):
        checked = subprocess.run(
            [promtool, "check", kind, fleet.directory / name], capture_output=True, text=True, timeout=60, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_panel_has_data_under_load(fleet: WatchedFleet) -> None:
    one = fleet.servers["one"]
    fleet.servers["two"].mood = "gone"  # what is sent there is sent once more, to the other one
    missing = expressions(fleet)

    def none_missing() -> bool:
        fleet.ask(key="poor")
        fleet.ask(key="hurried")
        # With nobody left in the fleet, another tier takes over.
        one.mood = "gone" if one.mood == "well" else "well"
        fleet.leave()
        for name, expression in list(missing.items()):
            values = [float(one["value"][1]) for one in fleet.query(expression)]
            if values and not all(math.isnan(value) for value in values):
                del missing[name]
        return not missing

    try:
        wait_for("data of every panel", none_missing)
    except AssertionError as error:
        raise AssertionError(f"these panels stay empty: {json.dumps(missing, indent=1)}") from error
    finally:
        one.mood = fleet.servers["two"].mood = "well"


def test_nothing_is_raised_while_all_is_well(fleet: WatchedFleet) -> None:
    # What the tests before have broken may take its time to clear.
    of_the_poor = {"PaddockBudgetSoftLimit", "PaddockBudgetUsedUp"}
    wait_for("quiet", lambda: not fleet.firing().keys() - of_the_poor)


def test_a_model_whose_servers_are_gone(fleet: WatchedFleet) -> None:
    server = fleet.servers["other"]
    names = ("PaddockEndpointDown", "PaddockModelDown", "PaddockUnanswered")
    raised_and_cleared(fleet, *names, by=server.stop, mended_by=server.start)


def test_a_model_that_answers_with_errors(fleet: WatchedFleet) -> None:
    server = fleet.servers["other"]

    def be(mood: str) -> None:
        server.mood = mood

    raised_and_cleared(fleet, "PaddockErrors", by=lambda: be("broken"), mended_by=lambda: be("well"))


def test_one_of_two_replicas_that_answers_with_errors(fleet: WatchedFleet) -> None:
    server = fleet.servers["one"]

    def be(mood: str) -> None:
        server.mood = mood

    raised_and_cleared(fleet, "PaddockBreakerOpen", by=lambda: be("broken"), mended_by=lambda: be("well"))


def test_a_queue_that_is_nearly_full(fleet: WatchedFleet) -> None:
    server = fleet.servers["other"]
    crowd = [threading.Thread(target=fleet.ask, args=("other",)) for _ in range(2 + MOST_WAITING)]

    def come() -> None:
        server.mood = "slow"
        for one in crowd:
            one.start()

    def serve() -> None:
        server.mood = "well"
        server.let.set()
        for one in crowd:
            one.join()

    raised_and_cleared(fleet, "PaddockQueueFull", by=come, mended_by=serve)


def test_a_key_that_asks_too_often(fleet: WatchedFleet) -> None:
    enough = threading.Event()

    def hurry() -> None:
        while not enough.wait(0.005):
            fleet.ask("other", key="hurried")

    hurrying = threading.Thread(target=hurry, daemon=True)

    def stop() -> None:
        enough.set()
        hurrying.join()

    raised_and_cleared(fleet, "PaddockTooManyRequests", by=hurrying.start, mended_by=stop)


def test_a_budget_that_is_spent(fleet: WatchedFleet) -> None:
    (spent,) = fleet.query('max(sum by (tier) (paddock_month_spend_usd{tier="commercial"}))')

    def cut() -> None:
        fleet.write_contract(budget={"monthlyUsd": float(spent["value"][1]) / 2, "softLimit": 0.8})

    def refused() -> bool:
        return fleet.ask(headers={"X-Paddock-Tier": "commercial"}) == 429

    names = ("PaddockBudgetSoftLimit", "PaddockBudgetUsedUp")
    wait_for("quiet", lambda: not set(names) & fleet.firing().keys())
    cut()
    wait_for("the refusal", refused)
    wait_for("the alerts", lambda: set(names) <= fleet.firing().keys())
    assert fleet.firing()["PaddockBudgetUsedUp"]["scope"] == "fleet"
    fleet.write_contract(budget={"monthlyUsd": BUDGET_USD, "softLimit": 0.8})
    wait_for("the alerts to clear", lambda: not set(names) & fleet.firing().keys())


def test_a_ledger_that_cannot_be_written(fleet: WatchedFleet) -> None:
    other = sqlite3.connect(fleet.directory / "data" / FILE_NAME, isolation_level=None)
    try:
        raised_and_cleared(
            fleet,
            "PaddockLedgerDown",
            by=lambda: other.execute("BEGIN IMMEDIATE"),
            mended_by=lambda: other.execute("ROLLBACK"),
        )
    finally:
        other.close()


def test_a_contract_that_cannot_be_read(fleet: WatchedFleet) -> None:
    raised_and_cleared(
        fleet,
        "PaddockContractUnusable",
        by=lambda: fleet.write_contract_text("{"),
        mended_by=fleet.write_contract,
    )


def test_a_router_that_is_gone(fleet: WatchedFleet) -> None:
    raised_and_cleared(fleet, "PaddockRouterDown", by=fleet.stop_router, mended_by=fleet.start_router)
