"""The cost report: what was spent on what, how it went, and what it would have cost elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from agent_runtime.router.money.charges import COUNTS, MEASURES, Series, add, duration_percentile_seconds
from agent_runtime.router.money.ledger import Row
from agent_runtime.router.money.metrics import Spending
from agent_runtime.router.money.months import NANO, to_usd
from agent_runtime.router.money.prices import (
    REFERENCE_COMMERCIAL_USD_PER_THOUSAND_TOKENS,
    Price,
    flat_price,
)

_MILLION: Final = 1_000_000
_COMPARISON: Final = flat_price(
    REFERENCE_COMMERCIAL_USD_PER_THOUSAND_TOKENS,
    f"taken to be {REFERENCE_COMMERCIAL_USD_PER_THOUSAND_TOKENS:g} USD for a thousand tokens",
)


def cost_report(
    rows: Sequence[Row],
    *,
    first_day: str,
    last_day: str,
    generated_at: str,
    spending: Spending | None = None,
    commercial: Mapping[str, Price] | None = None,
) -> dict[str, Any]:
    """Everything there is to say about what was spent, as JSON data.

    ``total`` and each entry of ``byTier``, ``byKey``, ``byModel`` and ``byDay`` hold: requests, errors, errorRate (of
    requests, or None), promptTokens, cachedTokens, completionTokens, usd, usdPerMillionTokens (None without tokens),
    meanSeconds and p95Seconds of the response (None without requests; the 95th percentile is read from a histogram
    whose bounds grow by half), commercialUsd (what the same tokens would have cost commercially) and savedUsd
    (commercialUsd - usd; zero by itself for what was commercial). A request that was tried on several tiers counts as
    one of each.

    Args:
        rows: charges by day and series.
        first_day: of the report, such as ``2026-11-01``.
        last_day: of the report, itself included.
        generated_at: such as ``2026-11-23T09:00:00Z``.
        spending: the current month against its budgets, where that is known.
        commercial: commercial prices to compare with, by the fleet's names of models. What has none is compared with
            the mean price of the commercial tokens of this report, else with 0.03 USD for a thousand tokens.
    """
    compare = _comparison(rows, commercial or {})
    return {
        "from": first_day,
        "to": last_day,
        "generatedAt": generated_at,
        "budget": None if spending is None else spending.to_mapping(),
        "comparedWith": {
            name: {
                "inputUsdPerMillion": price.input_usd_per_million,
                "outputUsdPerMillion": price.output_usd_per_million,
                "source": price.source,
            }
            for name in sorted({row.series.model for row in rows})
            for price in [compare(name)]
        },
        "total": _summary(rows, compare),
        "byTier": _grouped(rows, "tier", lambda row: row.series.tier, compare),
        "byKey": _grouped(rows, "key", lambda row: row.series.key, compare),
        "byModel": _grouped(rows, "model", lambda row: row.series.model, compare),
        "byDay": _grouped(rows, "day", lambda row: row.day, compare),
        "byDayAndTier": [
            {"day": day, "tier": tier, "usd": usd} for (day, tier), usd in sorted(_daily_usd(rows).items())
        ],
    }


def _comparison(rows: Iterable[Row], known: Mapping[str, Price]) -> Callable[[str], Price]:
    usd = tokens = 0
    for row in rows:
        if row.series.tier == "commercial":
            found = dict(zip(COUNTS, row.measures, strict=False))
            usd += found["nano_usd"]
            tokens += found["prompt_tokens"] + found["completion_tokens"]
    rest = flat_price(usd / NANO / tokens * 1000, "mean of this report's commercial tokens") if tokens else _COMPARISON
    return lambda model: known.get(model, rest)


def _daily_usd(rows: Iterable[Row]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        place = row.day, row.series.tier
        found[place] = found.get(place, 0.0) + to_usd(row.measures[MEASURES.index("nano_usd")])
    return found


def _grouped(
    rows: Iterable[Row], name: str, group: Callable[[Row], str], compare: Callable[[str], Price]
) -> list[dict[str, Any]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(group(row), []).append(row)
    return [{name: value, **_summary(members, compare)} for value, members in sorted(found.items())]


def _summary(rows: Iterable[Row], compare: Callable[[str], Price]) -> dict[str, Any]:
    sums = [0] * len(MEASURES)
    elsewhere_nano_usd = 0
    for row in rows:
        add(sums, row.measures)
        elsewhere_nano_usd += _elsewhere_nano_usd(row.series, row.measures, compare)
    counts = dict(zip(COUNTS, sums, strict=False))
    requests = counts["requests"]
    timed = sum(sums[len(COUNTS) :])
    tokens = counts["prompt_tokens"] + counts["completion_tokens"]
    usd = to_usd(counts["nano_usd"])
    return {
        "requests": requests,
        "errors": counts["errors"],
        "errorRate": counts["errors"] / requests if requests else None,
        "promptTokens": counts["prompt_tokens"],
        "cachedTokens": counts["cached_tokens"],
        "completionTokens": counts["completion_tokens"],
        "usd": usd,
        "usdPerMillionTokens": usd / tokens * _MILLION if tokens else None,
        "meanSeconds": counts["duration_us"] / _MILLION / timed if timed else None,
        "p95Seconds": duration_percentile_seconds(sums, 0.95),
        "commercialUsd": to_usd(elsewhere_nano_usd),
        "savedUsd": to_usd(elsewhere_nano_usd - counts["nano_usd"]),
    }


def _elsewhere_nano_usd(series: Series, sums: Sequence[int], compare: Callable[[str], Price]) -> int:
    counts = dict(zip(COUNTS, sums, strict=False))
    if series.tier == "commercial":
        return counts["nano_usd"]
    # A day's sum of prompts is no long prompt: the price of ordinary ones holds for it.
    price = compare(series.model)
    plain = Price(price.input_usd_per_million, price.output_usd_per_million, price.cached_input_usd_per_million, "")
    return plain.cost_nano_usd(counts["prompt_tokens"], counts["completion_tokens"])
