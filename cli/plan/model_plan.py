"""What a plan says of one model."""

from __future__ import annotations

from dataclasses import dataclass

from cli.plan.sizes import Size
from fleet_spec.cost import MonthlyCost, Occupation, TokenCost
from fleet_spec.errors import Problem
from fleet_spec.prices.advice import Holding


@dataclass(frozen=True)
class ModelPlan:
    """One model, sized and priced."""

    name: str
    model: str
    size: Size
    gpu: str | None
    gpus_per_replica: int
    occupation: Occupation
    cost: MonthlyCost
    tokens: TokenCost | None
    overloaded_hours: int
    """Hours of the expected day in which more replicas are wanted than there may be."""
    problems: tuple[Problem, ...] = ()
    """Why it does not fit, where a cluster's plan says so."""
    cheapest: Holding | None = None
    """For a model that does not fit its GPUs: the cheapest of the price table that hold it."""

    @property
    def fits(self) -> bool | None:
        """Whether a replica fits; None where that is not known."""
        return False if self.problems else self.size.fits

    @property
    def most_gpus(self) -> int:
        """GPUs of every replica that it may have."""
        return self.gpus_per_replica * self.occupation.most_replicas

    @property
    def least_gpus(self) -> int:
        """GPUs of the fewest replicas."""
        return self.gpus_per_replica * self.occupation.least_replicas

    @property
    def storage_gib(self) -> tuple[float, float]:
        """Of the fewest replicas, and of the most."""
        one, shared = self.occupation.storage_gib_per_replica, self.occupation.storage_gib_shared
        return shared + one * self.occupation.least_replicas, shared + one * self.occupation.most_replicas
