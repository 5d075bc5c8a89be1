"""The router's image, built from the project's Dockerfile and pushed to the registry that the config names."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pulumi

from fleet_spec.errors import BadInputError
from fleet_spec.platform_spec import RouterBuildSpec

DOCKERFILE = "Dockerfile"


class RouterImage(pulumi.ComponentResource):
    """Builds the router's image.

    Attributes:
        reference: What a pod names: with the digest where the image was pushed, so that a new build means new pods.
        version: Changes with what the image is built from.
    """

    reference: pulumi.Output[str]
    version: pulumi.Output[str]

    def __init__(
        self, name: str, *, build: RouterBuildSpec, project: Path, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Describe the image. A preview builds nothing and asks no registry.

        Args:
            name: The resource's name.
            build: Where the image goes.
            project: The project's directory, which holds the Dockerfile and what goes into the image.
            opts: Options of the component.

        Raises:
            BadInputError: the package that builds images is not installed, or there is no Dockerfile.
        """
        super().__init__("paddock:images:RouterImage", name, None, opts)
        dockerfile = project / DOCKERFILE
        if not dockerfile.is_file():
            raise BadInputError(f"router.build: there is no {dockerfile}. fix: name a finished image in router.image")
        image = _docker_build().Image(
            name,
            context={"location": str(project)},
            dockerfile={"location": str(dockerfile)},
            tags=[build.name],
            platforms=list(build.platforms),
            push=build.push,
            load=not build.push,
            registries=_registries(build),
            build_on_preview=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        reference: pulumi.Output[str] = image.ref
        # What only this machine's Docker has is known there by its tag.
        self.reference = reference if build.push else reference.apply(lambda _: build.name)
        self.version = image.context_hash
        self.register_outputs({"reference": self.reference})


def _registries(build: RouterBuildSpec) -> list[dict[str, Any]]:
    if build.login is None:
        return []
    password = pulumi.Output.secret(build.login.password.get_secret_value())
    return [{"address": build.registry, "username": build.login.username, "password": password}]


def _docker_build() -> ModuleType:
    try:
        import pulumi_docker_build
    except ImportError as error:
        raise BadInputError(
            "router.build needs the package pulumi-docker-build. fix: pip install 'paddock[build]', or name a "
            "finished image in router.image"
        ) from error
    return pulumi_docker_build
