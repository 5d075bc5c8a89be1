"""The Docker target under the mocked engine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pulumi
import pulumi.runtime
import pytest

from components.docker import fleet as fleet_module
from components.docker.fleet import DockerFleet
from fleet_spec.contract import FleetContract
from fleet_spec.loading import load_spec
from tests.mock_engine import Run, run_program
from tests.standins.kubernetes_properties import SECRET, SIGNATURE
from tests.unit.components.docker.configurations import CONFIGURATIONS, ROOT

CONTAINER, NETWORK, VOLUME = (
    "docker:index/container:Container",
    "docker:index/network:Network",
    "docker:index/volume:Volume",
)
REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage"


def register(
    raw: Mapping[str, Any],
    *,
    preview: bool = False,
    failed: Mapping[str, str] | None = None,
) -> Run:
    """Run the fleet's program. ``failed``: the one-shots that the host says have failed the last time."""

    def program() -> None:
        built = DockerFleet("fleet", spec=load_spec(raw), stack="test", project=ROOT)
        pulumi.export("fleet", built.contract.apply(FleetContract.to_mapping))
        pulumi.export("fleetSecrets", built.secrets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet_module, "_failed", lambda *_: failed or {})
        return run_program(program, preview=preview, stack="test")


def recorded(name: str, *, preview: bool = False) -> Run:
    """What the configuration of this name registers. Look, and change nothing of it."""
    return _recorded(name, preview)


@cache
def _recorded(name: str, preview: bool) -> Run:
    return register(CONFIGURATIONS[name], preview=preview)


def inputs(run: Run, type_token: str) -> dict[str, dict[str, Any]]:
    """Inputs of a type's resources by name: secrets as they are, numbers as a program writes them."""
    return {name: _whole(one.inputs) for name, one in run.of_type(type_token).items()}


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return _whole(value["value"])
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def behind(run: Run) -> dict[str, set[str]]:
    """Which containers the engine makes each container behind, directly, by their whole names."""
    names = {name: one.inputs["name"] for name, one in run.of_type(CONTAINER).items()}
    found: dict[str, set[str]] = {}
    for request in run.requests:
        if request.type == CONTAINER:
            others = {urn.rpartition("::")[2] for urn in request.dependencies if f"{CONTAINER}::" in urn}
            found[names[request.name]] = {names[other] for other in others}
    return found
