"""The Docker target: every part of a fleet as a container of one host."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi

from components.docker.contract import build_contract
from components.docker.daemon import DaemonError, failed_one_shots, find_daemon
from components.docker.describe import describe
from components.docker.description import Container, DockerFleetDescription
from components.docker.engines import SETUP, TOKEN_FILE
from components.docker.host import Host
from components.docker.model import DockerPlan
from components.docker.plan import plan_fleet
from components.docker.platform import CONTRACT_FILE, PUBLISH, ROUTER, ROUTER_KEY, SESSION_KEY, WEB_UI
from components.docker.service import Service
from components.random_key import RandomKey
from components.router_image import RouterImage
from components.tier_sources import ROUTER_KEY as ROUTER_KEY_OUTPUT
from components.tier_sources import plainly, read_tiers
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from fleet_spec.spec import FleetSpec


class DockerFleet(pulumi.ComponentResource):
    """A fleet on a Docker host.

    Attributes:
        contract: The fleet's contract, known once the router answers.
        secrets: Its keys by name, secret.
    """

    contract: pulumi.Output[FleetContract]
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
        """Describe the fleet; the arguments are those of :class:`components.fleet.Fleet`.

        Raises:
            SpecError: with everything that keeps the fleet from the host, as far as the config tells.
            BadInputError: a package that the config makes necessary is not installed.
        """
        super().__init__("paddock:docker:DockerFleet", name, None, opts)
        if importlib.util.find_spec("pulumi_docker") is None:
            raise BadInputError(
                "target 'docker' needs the package pulumi-docker. fix: pip install 'paddock[docker]', or write the "
                "fleet as a compose file: paddock render --target docker"
            )
        plan = plan_fleet(spec, stack, spec.catalogue, project)
        fleet = describe(plan)
        below = pulumi.ResourceOptions(parent=self)
        build = spec.router.build
        image = RouterImage("router-image", build=build, project=project, opts=below) if build is not None else None
        host = Host(f"{name}-host", plan=plan, fleet=fleet, built=image, opts=below)
        tiers = read_tiers(spec.tiers, self)
        contract = pulumi.Output.from_input(tiers.other).apply(plainly(lambda other: build_contract(plan, other)))
        router_key = RandomKey("router-key", generation=spec.router.key_generation, opts=below).key
        contents: dict[str, pulumi.Input[str]] = {
            CONTRACT_FILE: contract.apply(FleetContract.to_json),
            ROUTER_KEY: router_key,
            **tiers.keys,
        }
        if spec.web_ui.enabled:
            contents[SESSION_KEY] = RandomKey("web-ui-session-key", opts=below).key
        if spec.docker.hugging_face_token is not None:
            contents[TOKEN_FILE] = pulumi.Output.secret(spec.docker.hugging_face_token.get_secret_value())
        failed = _failed(plan, fleet)
        ready: dict[str, pulumi.Input[Sequence[pulumi.Resource]]] = {}
        for service, containers in _services(plan, fleet).items():
            made = Service(
                service,
                fleet=fleet,
                containers=containers,
                images=host.images,
                contents=contents,
                before=dict(ready),
                depends_on=host.ready,
                failed=failed,
                opts=pulumi.ResourceOptions(parent=self, providers=[host.provider]),
            )
            ready |= made.ready
        # The contract is worth exporting only once the router answers, and the page where there is one.
        last = [ready[one.name] for one in fleet.containers if one.name in (ROUTER, WEB_UI)]
        there = pulumi.Output.all(*last).apply(lambda found: pulumi.Output.all(*(one.urn for (one,) in found)))
        self.contract = pulumi.Output.all(contract, there).apply(lambda found: found[0])
        self.secrets = pulumi.Output.secret(router_key.apply(lambda key: {ROUTER_KEY_OUTPUT: key}))
        self.register_outputs({"project": plan.project})


def _services(plan: DockerPlan, fleet: DockerFleetDescription) -> dict[str, list[Container]]:
    """The fleet's containers by the service that they are a part of, in the order in which they come up."""
    models = {
        name: f"model-{model.safe_name}"
        for model in plan.models
        for name in (f"{model.safe_name}-load", *(model.host(replica) for replica in range(len(model.gpus))))
    }
    named = {SETUP: "volumes", PUBLISH: "front", ROUTER: "front", WEB_UI: "page", **models}
    found: dict[str, list[Container]] = {}
    for one in fleet.containers:
        found.setdefault(named[one.name], []).append(one)
    return found


def _failed(plan: DockerPlan, fleet: DockerFleetDescription) -> Mapping[str, str]:
    """What failed the last time, as the host itself tells. Where it cannot be asked, the engine will say so."""
    try:
        daemon = find_daemon(plan.spec.docker.host)
        if daemon is None:
            return {}
        with daemon:
            return failed_one_shots(daemon, fleet)
    except DaemonError:
        return {}
