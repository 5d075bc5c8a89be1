"""Service: containers of a fleet that belong together, such as a model's, or the router with what feeds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.docker.description import Container, DockerFleetDescription
from components.docker.resources import container_arguments
from fleet_spec.errors import PaddockError

_SHOWN_LINES = 12
_SPARE_SECONDS = 60


class OneShotError(PaddockError):
    """A container that had something to do did not do it."""


class Service(pulumi.ComponentResource):
    """Runs containers, each once what it waits for is healthy or has ended well.

    Attributes:
        ready: What to depend on to come after each container, by the container's name.
    """

    ready: Mapping[str, pulumi.Input[Sequence[pulumi.Resource]]]

    def __init__(
        self,
        name: str,
        *,
        fleet: DockerFleetDescription,
        containers: Sequence[Container],
        images: Mapping[str, pulumi.Input[str]],
        contents: Mapping[str, pulumi.Input[str]],
        before: Mapping[str, pulumi.Input[Sequence[pulumi.Resource]]],
        depends_on: Sequence[pulumi.Resource],
        failed: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the containers.

        Args:
            name: The resource's name.
            fleet: The fleet that they belong to.
            containers: What to run, each behind those of them that it waits for.
            images: Ids of images by their names.
            contents: What is in staged files, by their names; secret where they are secrets.
            before: What other services run.
            depends_on: Networks and volumes.
            failed: One-shots that failed the last time: the id of each one's container, by its name.
            opts: Options of the component.
        """
        super().__init__("paddock:docker:Service", name, None, opts)
        import pulumi_docker as docker

        ready: dict[str, pulumi.Input[Sequence[pulumi.Resource]]] = {}
        for one in containers:
            earlier = [{**before, **ready}[other] for other in one.after]
            arguments = container_arguments(
                fleet,
                one,
                image=images[one.image],
                contents=contents,
                failed_before=failed.get(one.name),
            )
            made = docker.Container(
                one.name,
                **arguments,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=_all_of(depends_on, earlier),
                    # Names and published ports are fixed: two of a kind cannot be there at once.
                    delete_before_replace=True,
                    custom_timeouts=pulumi.CustomTimeouts(create=f"{_limit_seconds(one)}s"),
                    additional_secret_outputs=["uploads"] if any(file.secret for file in one.files) else None,
                ),
            )
            ready[one.name] = _ended_well(fleet, one, made) if one.one_shot else [made]
        self.ready = ready
        self.register_outputs({"containers": [fleet.full_name(one.name) for one in containers]})


def _limit_seconds(one: Container) -> int:
    return _SPARE_SECONDS + (one.time_limit_seconds if one.health is None else one.health.wait_seconds)


def _all_of(
    first: Sequence[pulumi.Resource], others: Sequence[pulumi.Input[Sequence[pulumi.Resource]]]
) -> pulumi.Output[list[pulumi.Resource]]:
    """What to depend on. Order alone: an input that came from there would replace what merely waits for it."""
    return pulumi.Output.all(*others).apply(lambda found: [*first, *(one for some in found for one in some)])


def _ended_well(fleet: DockerFleetDescription, one: Container, made: Any) -> pulumi.Output[Sequence[pulumi.Resource]]:
    def judge(found: Sequence[Any]) -> Sequence[pulumi.Resource]:
        code, logs = found
        if code:
            said = "\n".join(f"    {line}" for line in str(logs or "").strip().splitlines()[-_SHOWN_LINES:])
            error = OneShotError(
                f"{fleet.full_name(one.name)} ended with {int(code)}:\n{said}\n"
                f"    fix: put right what it says, then bring the stack up again, which runs it once more"
            )
            raise pulumi.RunError(str(error))
        return [made]

    return pulumi.Output.all(made.exit_code, made.container_logs).apply(judge)
