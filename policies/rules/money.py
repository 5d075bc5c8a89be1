"""Money: the fleet keeps under its ceiling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policies.rules.rule import Facts, Finding, Manifest, Rule


def _monthly_cost(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del manifests
    ceiling, most = facts.ceiling_monthly_usd, facts.most_monthly_usd
    if ceiling is None:
        return
    if most is None:
        yield Finding(
            "policies.monthlyUsd",
            f"whether the fleet keeps under {ceiling:,.0f} USD a month is not known: a price is missing",
            "`paddock plan` says which; add it to prices",
        )
    elif most > ceiling:
        yield Finding(
            "policies.monthlyUsd",
            f"with every replica the fleet costs {most:,.0f} USD a month, over the ceiling of {ceiling:,.0f}",
            "lower replicas.max, take cheaper GPUs, or raise the ceiling",
        )


RULES = (
    Rule(
        "monthly-cost",
        "The fleet's monthly cost keeps under its ceiling",
        "An autoscaler spends up to its maximum without asking anybody.",
        "mandatory",
        _monthly_cost,
        "fleet",
    ),
)
