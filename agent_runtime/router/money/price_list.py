"""What every model of a contract costs now: said, published, or from hours and the throughput that was measured."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

from agent_runtime.router.money.charges import MEASURES, Series
from agent_runtime.router.money.prices import Price, price_of
from agent_runtime.router.money.throughput import Throughput
from fleet_spec.contract import FleetContract, ModelEndpoints

Place = tuple[str, str]
"""A tier, and the name that the contract gives a model there."""

_PRICE_TABLE: Final = "genai_prices"
_PROMPT, _COMPLETION, _BUSY = (MEASURES.index(name) for name in ("prompt_tokens", "completion_tokens", "busy_us"))


class PriceList:
    """Prices by tier and model. The table of published prices is read beside the requests, once it is needed."""

    def __init__(self) -> None:
        self.entries: dict[Place, ModelEndpoints] = {}
        self.prices: dict[Place, Price] = {}
        """Those that are known."""
        self._flat_usd: dict[str, float | None] = {}
        self._throughputs: dict[Place, Throughput] = {}
        self._unpriced: list[Place] = []
        self._asking: asyncio.Task[None] | None = None

    def update(self, contract: FleetContract) -> None:
        """Take a contract's models in."""
        entries: dict[Place, ModelEndpoints] = {("local", name): entry for name, entry in contract.models.items()}
        self._flat_usd = {}
        for tier, beyond in contract.tiers.items():
            self._flat_usd[tier] = beyond.usd_per_thousand_tokens
            for name, entry in beyond.models.items():
                entries[tier, name] = entry if entry.tier == tier else entry.model_copy(update={"tier": tier})
        self.entries = entries
        self.prices = {}
        self._unpriced = []
        loaded = _PRICE_TABLE in sys.modules
        for place, entry in entries.items():
            if entry.tier == "commercial" and entry.price is None and not loaded:
                self._unpriced.append(place)
            else:
                self._set(place, entry)

    def missing(self, tier: str, model: str) -> str:
        """Why there is no price of a model, and what to do."""
        if (tier, model) in self._unpriced:
            return "the price table is being read; try again in a second"
        entry = self.entries.get((tier, model))
        named = "" if entry is None else f" ({entry.model})"
        return (
            f"nobody knows what {model}{named} costs on the {tier} tier: "
            f"set tiers.{tier}.prices or tiers.{tier}.usdPerThousandTokens in the stack's config"
        )

    def learn(self, series: Series, sums: list[int]) -> None:
        """Take charges of an own tier into account."""
        if series.tier == "commercial":
            return
        place = series.tier, series.model
        throughput = self._throughputs.get(place)
        if throughput is None:
            throughput = self._throughputs[place] = Throughput()
        throughput.add(sums[_PROMPT] + sums[_COMPLETION], sums[_BUSY] / 1e6)
        entry = self.entries.get(place)
        if entry is not None and entry.usd_per_hour is not None:
            self._set(place, entry)

    def throughputs(self) -> dict[Place, float]:
        """Tokens a second of one replica, where enough was seen to say."""
        found = {place: throughput.tokens_per_second() for place, throughput in self._throughputs.items()}
        return {place: value for place, value in found.items() if value is not None}

    def tick(self) -> None:
        """Begin to read the table of published prices where that is needed."""
        if self._unpriced and (self._asking is None or self._asking.done()):
            self._asking = asyncio.get_running_loop().create_task(self.complete())

    async def complete(self) -> None:
        """Read the table of published prices, if some model needs it."""
        if not self._unpriced:
            return
        # Its import takes a third of a second: not in the event loop.
        await asyncio.to_thread(__import__, "agent_runtime.router.money.price_table")
        unpriced, self._unpriced = self._unpriced, []
        for place in unpriced:
            self._set(place, self.entries[place])

    async def close(self) -> None:
        """Stop what was begun."""
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking

    def _set(self, place: Place, entry: ModelEndpoints) -> None:
        throughput = self._throughputs.get(place)
        price = price_of(
            entry,
            tokens_per_second=None if throughput is None else throughput.tokens_per_second(),
            flat_usd_per_thousand_tokens=self._flat_usd.get(place[0]),
        )
        if price is not None:
            self.prices[place] = price
