"""What a stack's config may say of policies: how strict each is, what is allowed, and who is excepted until when."""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

from pydantic import Field

from fleet_spec.base import SpecPart

Level = Literal["advisory", "mandatory", "disabled"]
"""``advisory``: said; ``mandatory``: nothing goes up until it is put right; ``disabled``: not looked at."""

RuleName = Literal[
    "pinned-images",
    "image-registries",
    "no-privileged-pods",
    "restricted-pods",
    "limits-and-requests",
    "one-gpu-owner",
    "probes",
    "one-scaler",
    "no-open-door",
    "network-policies",
    "no-plain-secrets",
    "storage-class",
    "protected-claims",
    "spread-and-budgeted",
    "monthly-cost",
    "model-licences",
]
"""The rules, by the names that findings carry."""

RULE_NAMES: tuple[RuleName, ...] = get_args(RuleName)


class PolicyException(SpecPart):
    """Something that may break a rule for a while."""

    rule: RuleName
    where: str = Field(min_length=1)
    """What is excepted, as findings name it: ``Deployment/router``, ``models.llama``. ``*`` stands for any text."""
    reason: str = Field(min_length=10)
    """Why, for whoever reads it later."""
    until: date
    """The last day (UTC) on which it holds."""


class PoliciesSpec(SpecPart):
    """The stack's policies."""

    levels: dict[RuleName, Level] = Field(default_factory=dict[RuleName, Level])
    """Rule -> how strict, in place of the rule's own level."""
    exceptions: tuple[PolicyException, ...] = ()
    monthly_usd: float | None = Field(default=None, ge=0)
    """The most that the fleet may cost in a month with every replica that it may have. Default: no ceiling."""
    registries: tuple[str, ...] | None = None
    """Where images may come from, such as ``ghcr.io/my-team``. Default: anywhere."""
    licences: tuple[str, ...] | None = None
    """Licences that models may have, by the catalogue's names. Default: all that do not forbid commercial use."""
    storage_classes: tuple[str, ...] | None = None
    """Storage classes that claims may name. Default: any."""
