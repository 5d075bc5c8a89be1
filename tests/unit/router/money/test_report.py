"""The cost report: sums, shares, percentiles, and what was saved; and its page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.money.charges import MEASURES, Charge, Series, add, count_in, duration_percentile_seconds
from agent_runtime.router.money.ledger import Row
from agent_runtime.router.money.page import cost_page
from agent_runtime.router.money.purse import Purse
from agent_runtime.router.money.reading import report_from_files
from agent_runtime.router.money.report import cost_report
from agent_runtime.router.money.sqlite_ledger import SqliteLedger
from fleet_spec.errors import BadInputError
from tests.unit.router.money.fleet import Clock, contract


def row(
    day: str, series: Series, prompt: int, answer: int, usd: float, seconds: float = 1.0, *, failed: bool = False
) -> Row:
    columns = [0] * len(MEASURES)
    count_in(columns, int(failed), prompt, 0, answer, round(usd * 1e9), seconds, seconds)
    return Row(day, series, columns)


LOCAL = Series("alice", "local", "assistant")
COMMERCIAL = Series("bob", "commercial", "assistant")
ROWS = [
    row("2026-11-01", LOCAL, 600_000, 400_000, 1.0),
    row("2026-11-02", LOCAL, 0, 0, 0.0, failed=True),
    row("2026-11-02", COMMERCIAL, 300_000, 200_000, 5.0, 3.0),
]


def report(rows: list[Row] = ROWS) -> dict[str, Any]:
    return cost_report(rows, first_day="2026-11-01", last_day="2026-11-30", generated_at="2026-11-23T09:00:00Z")


def test_sums_by_tier_key_model_and_day() -> None:
    found = report()
    by_tier = {group["tier"]: group for group in found["byTier"]}
    assert by_tier["local"]["requests"] == 2
    assert by_tier["local"]["errorRate"] == 0.5
    assert by_tier["local"]["usdPerMillionTokens"] == pytest.approx(1.0)
    assert by_tier["commercial"]["meanSeconds"] == pytest.approx(3.0)
    assert by_tier["commercial"]["p95Seconds"] == pytest.approx(3.0, rel=0.5)
    assert [group["key"] for group in found["byKey"]] == ["alice", "bob"]
    assert [group["day"] for group in found["byDay"]] == ["2026-11-01", "2026-11-02"]
    assert found["total"]["usd"] == pytest.approx(6.0)


def test_what_was_saved_is_told_at_the_price_that_was_paid_commercially() -> None:
    total = report()["total"]
    # Ten dollars for a million tokens were paid; the fleet computed a million for one.
    assert total["commercialUsd"] == pytest.approx(15.0)
    assert total["savedUsd"] == pytest.approx(9.0)


def test_where_nothing_was_bought_the_reference_price_compares() -> None:
    found = report(ROWS[:1])
    assert found["total"]["commercialUsd"] == pytest.approx(30.0)
    assert "0.03 USD" in found["comparedWith"]["assistant"]["source"]


def test_a_report_of_nothing_has_no_rates() -> None:
    total = report([])["total"]
    assert (total["usd"], total["errorRate"], total["usdPerMillionTokens"], total["p95Seconds"]) == (
        0,
        None,
        None,
        None,
    )


@given(st.lists(st.floats(0.011, 500), min_size=1, max_size=200))
def test_a_percentile_is_within_a_bucket_of_the_true_one(times: list[float]) -> None:
    sums = [0] * len(MEASURES)
    for seconds in times:
        add(sums, row("2026-11-01", LOCAL, 0, 0, 0, seconds).measures)
    found = duration_percentile_seconds(sums, 0.95)
    true = sorted(times)[max(0, -(-len(times) * 95 // 100) - 1)]
    assert found is not None
    assert true / 1.5001 <= found <= true * 1.5001


def test_the_page_holds_everything_it_shows_and_no_markup_of_others() -> None:
    strange = Series('<script>alert("x")</script>', "local", "a&b")
    page = cost_page(report([*ROWS, row("2026-11-03", strange, 1, 1, 0.5)]), "Costs of <dev>")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?:src|href|url\()\s*=?\s*[\"']?https?:", page)
    days, models = (ET.fromstring(found) for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    titles = [one.findtext("title") for one in days.iter("rect")]
    assert titles == [
        "2026-11-01 local: 1.00 USD",
        "2026-11-02 local: 0.00 USD",
        "2026-11-02 commercial: 5.00 USD",
        "2026-11-03 local: 0.5 USD",
    ]
    assert models.findtext("desc") == "assistant: 6.00 USD; a&b: 0.5 USD"  # the dearest first


def test_the_page_of_nothing_says_so() -> None:
    assert "Nothing was spent" in cost_page(report([]), "Costs")


async def test_a_routers_files_are_read_while_it_runs(tmp_path: Path, clock: Clock) -> None:
    purse = Purse(SqliteLedger(tmp_path, clock=clock), tmp_path / "journals", clock=clock)
    limits = contract(monthly_usd=2.0)
    purse.update(limits)
    await purse.open()
    purse.settle(None, Charge("alice", "local", "assistant", Usage(60, 40), 0.1))
    await purse._books.flush()
    found = report_from_files(tmp_path, limits, first_day="2026-11-01", last_day="2026-11-30", at=clock())
    assert found["total"]["promptTokens"] == 60
    assert found["budget"]["remainingUsd"] == 2.0
    assert found["comparedWith"]["assistant"]["inputUsdPerMillion"] == 1.0
    assert found == await purse.report("2026-11-01", "2026-11-30")
    await purse.close()


def test_a_directory_without_a_ledger_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no ledger"):
        report_from_files(tmp_path, None, first_day="2026-11-01", last_day="2026-11-30")
