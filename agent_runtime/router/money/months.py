"""Calendar months and days, in UTC, and amounts of money as whole numbers.

Money is counted in billionths of a US dollar (``nano_usd``), so that sums are exact in every order and in every store,
Valkey's scripts included: their numbers are exact up to 2^53, which is nine million dollars.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

NANO: Final = 1_000_000_000
DAY_SECONDS: Final = 86_400


def to_nano_usd(usd: float) -> int:
    """An amount of US dollars, rounded to the nearest billionth."""
    return round(usd * NANO)


def to_usd(nano_usd: int) -> float:
    """The amount in US dollars."""
    return nano_usd / NANO


def day_number(at: float) -> int:
    """Days since 1970-01-01 of a Unix time."""
    return int(at // DAY_SECONDS)


def day_text(number: int) -> str:
    """A day as ``2026-11-23``."""
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def month_of_day(day: str) -> str:
    """The month, such as ``2026-11``, of a day."""
    return day[:7]


def month_of(at: float) -> str:
    """The calendar month of a Unix time."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def month_bounds(month: str) -> tuple[float, float]:
    """When a month begins and when the next one does, as Unix times."""
    year, number = int(month[:4]), int(month[5:7])
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    return datetime(year, number, 1, tzinfo=UTC).timestamp(), datetime(*after, 1, tzinfo=UTC).timestamp()


def instant_text(at: float) -> str:
    """A Unix time as ``2026-12-01T00:00:00Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def forecast_usd(spent_usd: float, at: float) -> float:
    """What will have been spent by the end of the month, at the rate of the month so far.

    ``spent * length of the month / time gone by``; on a month's first day, as if that day were over, so that the first
    request of a month does not forecast a fortune.
    """
    begin, end = month_bounds(month_of(at))
    gone_seconds = min(max(at - begin, DAY_SECONDS), end - begin)
    return spent_usd * (end - begin) / gone_seconds
