"""Amounts in Kubernetes' notation, as numbers."""

from __future__ import annotations

_FACTORS = {
    "": 1.0,
    "m": 0.001,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
}


def amount(quantity: str) -> float:
    """The number that a quantity of the spec stands for.

    >>> amount("500m"), amount("2Ki")
    (0.5, 2048.0)
    """
    number = quantity.rstrip("kmMGTPi")
    return float(number) * _FACTORS[quantity[len(number) :]]
