"""What a model costs in a month: at least, as expected, at most; and beside a commercial API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleet_spec.governance_spec import TokenPrice
from fleet_spec.load import Capacity, DayOfReplicas, replicas_over_a_day
from fleet_spec.price_spec import LoadProfile
from fleet_spec.prices.hourly import HourlyPrice
from fleet_spec.prices.table import HOURS_PER_MONTH

_MILLION = 1e6


@dataclass(frozen=True)
class Commercial:
    """A commercial model to compare with."""

    name: str
    price: TokenPrice

    def usd_per_request(self, profile: LoadProfile) -> float:
        """What a request of the profile costs there, nothing found in its cache."""
        asked = profile.input_tokens * self.price.input_usd_per_million
        return (asked + profile.output_tokens * self.price.output_usd_per_million) / _MILLION


@dataclass(frozen=True)
class Occupation:
    """What a model takes of machines and storage."""

    least_replicas: int
    most_replicas: int
    price: HourlyPrice | None
    """Of one replica; None where nobody knows."""
    storage_gib_per_replica: float = 0.0
    storage_gib_shared: float = 0.0
    usd_per_gib_month: float | None = None
    capacity: Capacity | None = None
    """None where nothing is known of its throughput."""


@dataclass(frozen=True)
class MonthlyCost:
    """US dollars in a month of 730 hours. None where a price is not known."""

    least_usd: float | None
    """With the fewest replicas."""
    expected_usd: float | None
    """Under the load profile; None where there is none, or the throughput is not known."""
    most_usd: float | None
    """With every replica that there may be, all month."""
    storage_least_usd: float | None
    """What of ``least_usd`` is storage."""
    storage_most_usd: float | None

    def to_mapping(self) -> dict[str, float | None]:
        """As plain JSON data."""
        return {
            "leastUsd": rounded(self.least_usd),
            "expectedUsd": rounded(self.expected_usd),
            "mostUsd": rounded(self.most_usd),
            "storageLeastUsd": rounded(self.storage_least_usd),
            "storageMostUsd": rounded(self.storage_most_usd),
        }


@dataclass(frozen=True)
class TokenCost:
    """What tokens cost beside a commercial API, prompt and answer counted together as the profile mixes them."""

    usd_per_million_when_busy: float
    """When no replica is ever idle."""
    usd_per_million_expected: float | None
    """Under the load profile, idle hours and storage paid too."""
    commercial: Commercial
    commercial_usd_per_million: float
    break_even_requests_per_hour: float | None
    """The load from which the fleet is cheaper; None where it never is, since even a busy replica costs more."""


def monthly_cost(occupation: Occupation) -> MonthlyCost:
    """What a model costs in a month."""
    least_storage = _storage(occupation, occupation.least_replicas)
    most_storage = _storage(occupation, occupation.most_replicas)
    day = day_of(occupation)
    mean_storage = None if day is None else _storage(occupation, day.mean)
    return MonthlyCost(
        least_usd=_added(_hours(occupation, occupation.least_replicas), least_storage),
        expected_usd=None if day is None else _added(_hours(occupation, day.mean), mean_storage),
        most_usd=_added(_hours(occupation, occupation.most_replicas), most_storage),
        storage_least_usd=least_storage,
        storage_most_usd=most_storage,
    )


def day_of(occupation: Occupation) -> DayOfReplicas | None:
    """How many replicas the load profile takes; None where there is none, or the throughput is not known."""
    if occupation.capacity is None:
        return None
    return replicas_over_a_day(occupation.capacity, occupation.least_replicas, occupation.most_replicas)


def token_cost(occupation: Occupation, commercial: Commercial) -> TokenCost | None:
    """What tokens cost; None where the price of a replica or its throughput is not known.

    The break-even load is where the replicas that must run anyway cost what the API asks for the requests:
    ``replicas x usd per hour / usd per request``, the fewest replicas or one. Beyond, each further replica pays for
    itself where the first did.
    """
    capacity, price = occupation.capacity, occupation.price
    if capacity is None or price is None:
        return None
    profile = capacity.profile
    tokens = profile.input_tokens + profile.output_tokens
    asked = commercial.usd_per_request(profile)
    even = None
    if asked > 0 and price.usd / asked <= capacity.requests_per_hour:
        even = max(occupation.least_replicas, 1) * price.usd / asked
    expected = monthly_cost(occupation).expected_usd
    hours = profile.hours
    monthly_tokens = 0.0 if hours is None else sum(hours) / len(hours) * HOURS_PER_MONTH * tokens
    return TokenCost(
        usd_per_million_when_busy=price.usd / (capacity.requests_per_hour * tokens) * _MILLION,
        usd_per_million_expected=None
        if expected is None or not monthly_tokens
        else expected / monthly_tokens * _MILLION,
        commercial=commercial,
        commercial_usd_per_million=asked / tokens * _MILLION,
        break_even_requests_per_hour=even,
    )


def total(amounts: Iterable[float | None]) -> float | None:
    """The sum; None where one of them is not known."""
    known = list(amounts)
    return None if any(amount is None for amount in known) else sum(amount for amount in known if amount is not None)


def rounded(usd: float | None) -> float | None:
    """US dollars to the cent."""
    return None if usd is None else round(usd, 2)


def _hours(occupation: Occupation, replicas: float) -> float | None:
    if replicas == 0:
        return 0.0
    return None if occupation.price is None else replicas * occupation.price.usd * HOURS_PER_MONTH


def _storage(occupation: Occupation, replicas: float) -> float | None:
    gib = occupation.storage_gib_shared + replicas * occupation.storage_gib_per_replica
    if gib == 0:
        return 0.0
    return None if occupation.usd_per_gib_month is None else gib * occupation.usd_per_gib_month


def _added(one: float | None, other: float | None) -> float | None:
    return total((one, other))
