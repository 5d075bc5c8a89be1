"""A fleet with money in it, and a clock that tests move."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fleet_spec.contract import FleetContract


class Clock:
    """Unix time that stands still until it is moved."""

    def __init__(self, text: str = "2026-11-10T12:00:00") -> None:
        self.at = 0.0
        self.set(text)

    def __call__(self) -> float:
        return self.at

    def set(self, text: str) -> None:
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


DAY = "2026-11-10"
MONTH = "2026-11"


def contract(
    *,
    monthly_usd: float | None = 1.0,
    soft_limit: float = 0.8,
    tier_budgets: dict[str, float] | None = None,
    key_budgets: dict[str, float] | None = None,
    price: dict[str, float] | None = None,
    usd_per_hour: float | None = 0.5,
    commercial_url: str = "https://api.example.com",
    commercial_model: str = "large",
    flat: float | None = None,
) -> FleetContract:
    """A fleet with one model, which the cloud has too, and a commercial API at a dollar for a million tokens."""
    asked = {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 1.0} if price is None else price
    model: dict[str, Any] = {"model": "m", "engine": "ollama", "contextLength": 1000}
    commercial = {**model, "engine": "openai", "tier": "commercial", "model": commercial_model}
    commercial["endpoints"] = [{"url": commercial_url}]
    if asked:
        commercial["price"] = asked
    tier: dict[str, Any] = {"models": {"assistant": commercial}, "secret": "tier-commercial"}
    if flat is not None:
        tier["usdPerThousandTokens"] = flat
    document: dict[str, Any] = {
        "version": 1,
        "stack": "dev",
        "target": "local",
        "router": {"url": "u", "openai": "o", "ollama": "a", "metrics": "m"},
        "models": {"assistant": {**model, "usdPerHour": usd_per_hour}},
        "tiers": {
            "commercial": tier,
            "cloud": {"models": {"assistant": {**model, "tier": "cloud", "usdPerHour": 0.8, "tokensPerSecond": 100}}},
        },
        "keys": {
            name: {"hash": "sha256:" + f"{number:064x}", "monthlyUsd": usd}
            for number, (name, usd) in enumerate((key_budgets or {}).items())
        },
    }
    if monthly_usd is not None:
        document["budget"] = {"monthlyUsd": monthly_usd, "softLimit": soft_limit, "tiers": tier_budgets or {}}
    return FleetContract.from_mapping(document)
