"""Every rule. Pure functions over manifests and facts."""

from __future__ import annotations

from policies.rules import (
    availability,
    containers,
    gpus,
    images,
    models,
    money,
    network,
    pods,
    scaling,
    secrets,
    storage,
)
from policies.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *images.RULES,
    *pods.RULES,
    *containers.RULES,
    *gpus.RULES,
    *scaling.RULES,
    *network.RULES,
    *secrets.RULES,
    *storage.RULES,
    *availability.RULES,
    *money.RULES,
    *models.RULES,
)
"""In the order in which findings are listed."""
