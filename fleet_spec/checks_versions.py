"""Which Kubernetes a setting needs."""

from __future__ import annotations

from collections.abc import Iterator

from fleet_spec.errors import Problem
from fleet_spec.spec import FleetSpec

NEEDED_VERSIONS = {
    "image volumes": "1.35",  # on by default from here on
    "GPU claims (dynamic resource allocation)": "1.34",  # resource.k8s.io/v1
    "an HPA that scales to zero": "1.37",  # HPAScaleToZero on by default
}


def older(version: str, than: str) -> bool:
    """Whether one release of Kubernetes comes before another."""
    return _minor(version) < _minor(than)


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def too_old(key: str, feature: str, rest: FleetSpec, otherwise: str) -> Iterator[Problem]:
    """The mistake of asking for a feature that the fleet's oldest cluster does not have."""
    needed = NEEDED_VERSIONS[feature]
    if older(rest.kubernetes.version, needed):
        yield Problem(
            key,
            f"{feature} need{'s' if feature.startswith('an ') else ''} Kubernetes {needed}; "
            f"the fleet is to run on {rest.kubernetes.version}",
            f"write kubernetes.version: '{needed}' or later if every cluster has it, {otherwise}",
        )
