"""What must hold of prices, the expected load and the policies' exceptions."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime

from fleet_spec.errors import Problem
from fleet_spec.gpus import GPUS
from fleet_spec.prices.table import load_price_table
from fleet_spec.spec import FleetSpec


def plan_problems(rest: FleetSpec, names: Collection[str], *, today: date | None = None) -> Iterator[Problem]:
    """What is wrong with the sections ``prices``, ``load`` and ``policies``.

    Args:
        rest: The config.
        names: The fleet's models.
        today: The day (UTC) on which exceptions must still hold; the present by default.
    """
    yield from _prices(rest)
    for name in rest.load.models:
        if name not in names:
            yield Problem(f"load.models.{name}", f"{name!r} is not a model of this fleet", _fix(name, names))
    day = today or datetime.now(UTC).date()
    for index, exception in enumerate(rest.policies.exceptions):
        if exception.until < day:
            yield Problem(
                f"policies.exceptions.{index}.until",
                f"the exception of {exception.where} from {exception.rule} expired on {exception.until}",
                "put right what it excepts and remove it, or agree on a later day",
            )


def _prices(rest: FleetSpec) -> Iterator[Problem]:
    prices = rest.prices
    if prices == type(prices)():
        return  # the table need not be read to find the defaults in order
    table = load_price_table()
    if prices.provider is not None and prices.provider not in table.providers:
        yield Problem(
            "prices.provider",
            f"{prices.provider!r} is in no price table",
            _fix(prices.provider, table.providers),
        )
    # A pool may have a name of its own for its GPUs.
    known = {*GPUS, *(pool.gpu_type for pool in rest.gpu_pools.values())}
    for section, given in (("gpuHours", prices.gpu_hours), ("ownHardware", prices.own_hardware)):
        for gpu in given:
            if gpu not in known:
                yield Problem(f"prices.{section}.{gpu}", f"{gpu!r} is no known GPU", _fix(gpu, known))
    for gpu, usd in prices.gpu_hours.items():
        if not 0 <= usd < float("inf"):
            yield Problem(f"prices.gpuHours.{gpu}", f"{usd:g} is no price", "write US dollars an hour, 0 or more")
    for gpu, hardware in prices.own_hardware.items():
        if gpu in prices.gpu_hours:
            yield Problem(f"prices.gpuHours.{gpu}", "has a price in ownHardware as well", "keep one of them")
        if hardware.watts is None and gpu not in table.watts:
            yield Problem(f"prices.ownHardware.{gpu}.watts", "is missing, and no data sheet of it is known", "add it")
    if prices.compare_with not in table.commercial.models:
        yield Problem(
            "prices.compareWith",
            f"{prices.compare_with!r} is in no price table",
            _fix(prices.compare_with, table.commercial.models),
        )


def _fix(wanted: str, known: Iterable[str]) -> str:
    choices = sorted(known)
    near = difflib.get_close_matches(wanted, choices, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"write one of {', '.join(choices)}"
