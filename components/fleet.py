"""Fleet: the one entry to everything that Paddock builds. It picks the target and exports the contract."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components.docker.fleet import DockerFleet
from components.kubernetes.fleet import KubernetesFleet
from components.local.fleet import LocalFleet
from fleet_spec.contract import FleetContract
from fleet_spec.spec import FleetSpec


class Fleet(pulumi.ComponentResource):
    """Every model service of a stack, the router in front of them, and the contract.

    Attributes:
        contract: The fleet's contract as plain data, for the stack output ``fleet``.
        secrets: Keys and passwords by name, for the secret stack output ``fleetSecrets``.
    """

    contract: pulumi.Output[dict[str, object]]
    secrets: pulumi.Output[dict[str, str]]

    def __init__(
        self,
        name: str,
        *,
        spec: FleetSpec,
        stack: str,
        project: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the fleet.

        Args:
            name: The resource's name; everything below takes its name from it.
            spec: What to build.
            stack: The stack's name, which the contract carries.
            project: The project's directory; the local target keeps its files below it.
            opts: Options of the component.

        Raises:
            SpecError: this machine cannot serve a model.
        """
        super().__init__("paddock:fleet:Fleet", name, None, opts)
        below = pulumi.ResourceOptions(parent=self)
        if spec.target == "kubernetes":
            built = KubernetesFleet(name, spec=spec, stack=stack, project=project, opts=below)
        elif spec.target == "docker":
            built = DockerFleet(name, spec=spec, stack=stack, project=project, opts=below)
        else:
            built = LocalFleet(name, spec=spec, stack=stack, project=project, opts=below)
        self.contract = built.contract.apply(FleetContract.to_mapping)
        self.secrets = built.secrets
        self.register_outputs({"contract": self.contract})
