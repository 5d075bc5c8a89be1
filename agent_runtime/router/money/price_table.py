"""Published prices of commercial APIs, from the genai-prices package: its own data, no network."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from genai_prices import Usage, calc_price
from genai_prices.types import ModelPrice, TieredPrices

from agent_runtime.router.money.prices import Price

_OPENAI_PATH: Final = "/v1"


def published_price(url: str, model: str) -> Price | None:
    """What the API at an address asks for a model by the token, or None where the table knows no price of it.

    Args:
        url: an endpoint's base address, with or without ``/v1``.
        model: the model's name there.
    """
    # A price that depends on the hour of the day is taken as of now.
    for address in dict.fromkeys((url, url.rstrip("/") + _OPENAI_PATH)):
        try:
            found = calc_price(Usage(input_tokens=1, output_tokens=1), model, provider_api_url=address)
        except LookupError:
            continue
        source = f"genai-prices: {found.model.id} at {urlsplit(url).hostname}"
        return _price(found.model_price, source)
    return None


def _price(table: ModelPrice, source: str) -> Price | None:
    found = {name: getattr(table, name, None) for name in ("input_mtok", "output_mtok", "cache_read_mtok")}
    if found["input_mtok"] is None:
        return None
    starts = sorted({tier.start for price in found.values() if isinstance(price, TieredPrices) for tier in price.tiers})

    def step(prompt_tokens: int) -> Price:
        dollars = {name: _at(price, prompt_tokens) for name, price in found.items()}
        asked = dollars["input_mtok"] or 0.0
        cached = dollars["cache_read_mtok"]
        # A model without a price of its answers, such as one that embeds, writes none.
        return Price(asked, dollars["output_mtok"] or 0.0, asked if cached is None else cached, source)

    first = step(0)
    above = tuple((start, step(start + 1)) for start in starts)
    return Price(
        first.input_usd_per_million, first.output_usd_per_million, first.cached_input_usd_per_million, source, above
    )


def _at(price: Decimal | TieredPrices | None, prompt_tokens: int) -> float | None:
    """The price at a prompt's length. Past a threshold it holds for all of the request, as genai-prices has it."""
    if price is None:
        return None
    if not isinstance(price, TieredPrices):
        return float(price)
    dollars = price.base
    for tier in price.tiers:
        if prompt_tokens > tier.start:
            dollars = tier.price
    return float(dollars)
