"""Which targets this release builds."""

from __future__ import annotations

from fleet_spec.errors import Problem
from fleet_spec.spec import FleetSpec

BUILT_TARGETS = ("local", "kubernetes")


def target_problems(spec: FleetSpec) -> list[Problem]:
    """What keeps this release from building a spec's target; empty where nothing does."""
    if spec.target in BUILT_TARGETS:
        return []
    fix = f"write one of: {', '.join(BUILT_TARGETS)}"
    return [Problem("target", f"{spec.target!r} cannot be brought up yet in this release", fix)]
