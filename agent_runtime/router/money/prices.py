"""What tokens cost, and where that is known from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleet_spec.contract import ModelEndpoints
from fleet_spec.governance_spec import TokenPrice

REFERENCE_TOKENS_PER_SECOND: Final = 100.0
"""What one replica of an own tier is taken to compute until somebody says or the router has measured it."""
REFERENCE_COMMERCIAL_USD_PER_THOUSAND_TOKENS: Final = 0.03
"""What a commercial API is taken to ask where a report compares with one and no price of one is known."""
_SECONDS_PER_HOUR: Final = 3600
_MILLION: Final = 1_000_000
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input_usd_per_million: float
    output_usd_per_million: float
    cached_input_usd_per_million: float
    """Prompt tokens that the model server had in its cache."""
    source: str
    """Where it is known from, for a person."""
    above: tuple[tuple[int, Price], ...] = ()
    """Prices of long prompts: (more prompt tokens than, price of the whole request), in rising order."""

    def cost_nano_usd(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
        """What a request costs, rounded up to the next billionth of a dollar.

        ``(prompt - cached) * input + cached * cached input + completion * output``, each price for one token. It never
        falls when a count rises, so that a reservation of at least as many tokens covers the request.

        Args:
            prompt_tokens: all of the prompt, cached or not.
            completion_tokens: what was written, thinking included.
            cached_tokens: those of the prompt that were in the cache.
        """
        price = self
        for start, higher in self.above:
            if prompt_tokens > start:
                price = higher
        cached = min(cached_tokens, prompt_tokens)
        micro_usd = (
            (prompt_tokens - cached) * price.input_usd_per_million
            + cached * price.cached_input_usd_per_million
            + completion_tokens * price.output_usd_per_million
        )
        nano_usd = micro_usd * 1000
        whole = int(nano_usd)
        # What floating point adds to a whole number must not become a billionth of its own.
        return whole if nano_usd - whole < _ROUNDING else whole + 1

    def highest(self) -> Price:
        """The price that no request exceeds: of an empty cache and of the longest prompts."""
        every = [self, *(price for _, price in self.above)]
        dearest_input = max(max(price.input_usd_per_million, price.cached_input_usd_per_million) for price in every)
        dearest_output = max(price.output_usd_per_million for price in every)
        return Price(dearest_input, dearest_output, dearest_input, self.source)


FREE: Final = Price(0.0, 0.0, 0.0, "nobody said what it costs")
"""The price of an own tier whose hours have no price."""


def said_price(price: TokenPrice, source: str = "the contract") -> Price:
    """The price that a stack's config gives."""
    cached = price.cached_input_usd_per_million
    return Price(
        price.input_usd_per_million,
        price.output_usd_per_million,
        price.input_usd_per_million if cached is None else cached,
        source,
    )


def flat_price(usd_per_thousand_tokens: float, source: str = "the flat price of the contract") -> Price:
    """The same price for every token: ``usd_per_thousand_tokens * 1000`` for a million."""
    per_million = usd_per_thousand_tokens * 1000
    return Price(per_million, per_million, per_million, source)


def hourly_price(usd_per_hour: float, tokens_per_second: float) -> Price:
    """The price of a token of a replica that is paid by the hour.

    ``usd_per_hour / 3600 / tokens_per_second``, for prompt and answer alike, with the throughput that the replica has
    over both. So the charges of a replica that is never idle add up to its hours; idle hours are charged to nobody.
    """
    per_million = usd_per_hour / _SECONDS_PER_HOUR / tokens_per_second * _MILLION
    source = f"{usd_per_hour:g} USD an hour at {tokens_per_second:.4g} tokens/s"
    return Price(per_million, per_million, per_million, source)


def own_price(entry: ModelEndpoints, measured_tokens_per_second: float | None) -> Price:
    """The price of a model on hardware of one's own: said by the token, or from hours and throughput.

    The throughput is the measured one, else the one said in the contract, else 100 tokens/s.
    """
    if entry.price is not None:
        return said_price(entry.price)
    if entry.usd_per_hour is None:
        return FREE
    throughput = measured_tokens_per_second or entry.tokens_per_second or REFERENCE_TOKENS_PER_SECOND
    return hourly_price(entry.usd_per_hour, throughput)


def price_of(
    entry: ModelEndpoints,
    *,
    tokens_per_second: float | None = None,
    flat_usd_per_thousand_tokens: float | None = None,
) -> Price | None:
    """What a model of the contract costs; None where it is commercial and nobody knows, which is never taken for 0.

    A commercial model costs what the contract says, else what the price table (genai-prices, the data that it was
    published with, no network) says of its name at the API's address, else the flat price. The table takes a third of
    a second to load, once: only a commercial model without a price in the contract asks it.

    Args:
        entry: the model.
        tokens_per_second: the measured throughput of one replica, for own tiers.
        flat_usd_per_thousand_tokens: the price of whatever no price is known of, for the commercial tier.
    """
    if entry.tier != "commercial":
        return own_price(entry, tokens_per_second)
    if entry.price is not None:
        return said_price(entry.price)
    from agent_runtime.router.money.price_table import published_price

    for endpoint in entry.endpoints:
        published = published_price(endpoint.url, entry.model)
        if published is not None:
            return published
    if flat_usd_per_thousand_tokens is not None:
        return flat_price(flat_usd_per_thousand_tokens)
    return None
