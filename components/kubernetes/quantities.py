"""Amounts in Kubernetes' notation, compared."""

from __future__ import annotations

from fleet_spec.quantities import amount

__all__ = ["amount", "larger", "smaller"]


def larger(one: str, other: str) -> str:
    """Whichever of two quantities is more; the first where they are the same."""
    return one if amount(one) >= amount(other) else other


def smaller(one: str, other: str) -> str:
    """Whichever of two quantities is less; the first where they are the same."""
    return one if amount(one) <= amount(other) else other
