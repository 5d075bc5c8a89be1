"""Host: what the fleet's containers stand on: images, networks, volumes, and the provider that reaches the daemon."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.docker.description import DockerFleetDescription
from components.docker.model import DockerPlan
from components.router_image import RouterImage
from fleet_spec.names import safe_name


class Host(pulumi.ComponentResource):
    """Makes what containers need.

    Attributes:
        provider: What every other resource of the host is made with.
        images: The ids of images, by their names in the description. Another image of the same name has another id.
        ready: The networks and volumes.
    """

    provider: pulumi.ProviderResource
    images: Mapping[str, pulumi.Input[str]]
    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        *,
        plan: DockerPlan,
        fleet: DockerFleetDescription,
        built: RouterImage | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe them.

        Args:
            name: The resource's name.
            plan: The fleet, decided.
            fleet: What it consists of.
            built: The router's image, where the stack builds it.
            opts: Options of the component.
        """
        super().__init__("paddock:docker:Host", name, None, opts)
        import pulumi_docker as docker

        self.provider = docker.Provider(
            f"{name}-docker",
            host=plan.spec.docker.host,
            registry_auth=_logins(plan),
            opts=pulumi.ResourceOptions(parent=self),
        )
        below = pulumi.ResourceOptions(parent=self, provider=self.provider)
        images: dict[str, pulumi.Input[str]] = {}
        for image in sorted({one.image for one in fleet.containers}):
            own = built if image == fleet.router_image else None
            made = docker.RemoteImage(
                _image_name(image),
                name=own.reference if own is not None else image,
                # An image that is built and stays on this host keeps its name.
                triggers={"build": own.version} if own is not None else None,
                # Other things on the host may run from it, and to fetch it again takes long.
                keep_locally=True,
                opts=below,
            )
            images[image] = made.image_id
        networks = [
            docker.Network(
                f"network-{network.name}",
                name=fleet.full_name(network.name),
                driver="bridge",
                internal=network.internal,
                labels=_labels(fleet, network.name),
                opts=_named(below),
            )
            for network in fleet.networks
        ]
        production = plan.spec.protects(plan.stack)
        volumes = [
            docker.Volume(
                f"volume-{volume.name}",
                name=fleet.full_name(volume.name),
                labels=_labels(fleet, volume.name),
                opts=_named(below, protect=volume.keep and production),
            )
            for volume in fleet.volumes
        ]
        self.images, self.ready = images, [*networks, *volumes]
        self.register_outputs({"project": fleet.project})


def _named(below: pulumi.ResourceOptions, *, protect: bool = False) -> pulumi.ResourceOptions:
    """For what has a fixed name, of which there cannot be two."""
    return pulumi.ResourceOptions(
        parent=below.parent, provider=below.provider, delete_before_replace=True, protect=protect or None
    )


def _labels(fleet: DockerFleetDescription, part: str) -> list[Any]:
    return [{"label": label, "value": value} for label, value in fleet.labels(part).items()]


def _image_name(image: str) -> str:
    """The resource's name: another image is another resource, which is there before the old one goes."""
    short = image.rpartition("/")[2].partition("@")[0]
    return f"image-{safe_name(short)}-{hashlib.sha256(image.encode()).hexdigest()[:5]}"


def _logins(plan: DockerPlan) -> list[Any] | None:
    build = plan.spec.router.build
    if build is None or build.login is None:
        return None
    password = pulumi.Output.secret(build.login.password.get_secret_value())
    return [{"address": build.registry, "username": build.login.username, "password": password}]
