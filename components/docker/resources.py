"""A fleet's description as the arguments of pulumi-docker's resources. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.docker.compose import AMD_DEVICES, LOG_OPTIONS, NO_NEW_PRIVILEGES
from components.docker.description import Container, DockerFleetDescription, GpuDevices, HealthCheck, VolumeMount
from fleet_spec.sizing.estimate import MIB

ATTEMPT_LABEL = "paddock.after-failed"
"""On a one-shot: the container before it, which failed. With it the next `up` runs a new one."""


def container_arguments(
    fleet: DockerFleetDescription,
    one: Container,
    *,
    image: Any,
    contents: Mapping[str, Any],
    failed_before: str | None = None,
) -> dict[str, Any]:
    """The arguments of ``docker.Container``.

    Args:
        fleet: The fleet that it belongs to.
        one: What to run.
        image: The image's id.
        contents: What is in staged files, by their names.
        failed_before: The one-shot of this name that failed, which this one takes the place of.

    pulumi-docker has no argument for a limit of processes; the compose file has it besides.
    """
    labels = fleet.labels(one.name)
    if failed_before is not None:
        labels[ATTEMPT_LABEL] = failed_before
    arguments: dict[str, Any] = {
        "name": fleet.full_name(one.name),
        "image": image,
        "entrypoints": list(one.entrypoint),
        "command": list(one.arguments),
        "envs": [f"{name}={value}" for name, value in one.environment.items()],
        "user": one.user,
        "read_only": one.read_only,
        "capabilities": {"drops": ["ALL"], **_added(one)},
        "security_opts": [NO_NEW_PRIVILEGES],
        "memory": one.memory_bytes // MIB,
        "stop_timeout": one.stop_seconds,
        "destroy_grace_seconds": one.stop_seconds,
        "labels": [{"label": name, "value": value} for name, value in labels.items()],
        "log_driver": "json-file",
        "log_opts": dict(LOG_OPTIONS),
        "mounts": [_mount(fleet, mount) for mount in one.mounts],
        "tmpfs": dict(one.scratch),
        "uploads": [{"file": file.target, "content": contents[file.name], "permissions": "0400"} for file in one.files],
        "ports": [{"internal": port.container_port, "external": port.port, "ip": port.host} for port in one.ports],
    }
    if one.networks:
        # The name by which the others find it; it is the same whatever the container is called.
        arguments["networks_advanced"] = [
            {"name": fleet.full_name(network), "aliases": [one.name]} for network in one.networks
        ]
    else:
        arguments["network_mode"] = "none"
    if one.working_directory is not None:
        arguments["working_dir"] = one.working_directory
    if one.cpus is not None:
        arguments["cpus"] = str(one.cpus)
    if one.shared_memory_bytes is not None:
        arguments["shm_size"] = one.shared_memory_bytes // MIB
    return {name: value for name, value in arguments.items() if value not in ([], {})} | _life(one) | _gpus(one.gpus)


def _added(one: Container) -> dict[str, list[str]]:
    return {"adds": [f"CAP_{name}" for name in one.capabilities]} if one.capabilities else {}


def _mount(fleet: DockerFleetDescription, mount: Any) -> dict[str, Any]:
    if isinstance(mount, VolumeMount):
        source = fleet.full_name(mount.volume)
        return {"type": "volume", "source": source, "target": mount.target, "read_only": mount.read_only}
    return {"type": "bind", "source": mount.path, "target": mount.target, "read_only": True}


def _life(one: Container) -> dict[str, Any]:
    if one.health is None:
        # It is waited for until it ends; what it said is kept, for the error of one that failed.
        return {"restart": "no", "must_run": False, "attach": True, "logs": True}
    return {
        "restart": "unless-stopped",
        "must_run": True,
        "healthcheck": _health(one.health),
        "wait": True,
        "wait_timeout": one.health.wait_seconds,
    }


def _health(health: HealthCheck) -> dict[str, Any]:
    return {
        "tests": list(health.command),
        "interval": duration(health.interval_seconds),
        "timeout": duration(health.timeout_seconds),
        "start_period": duration(health.start_seconds),
        "retries": health.retries,
    }


def _gpus(gpus: GpuDevices | None) -> dict[str, Any]:
    if gpus is None:
        return {}
    if gpus.vendor == "amd":
        return {"devices": [{"host_path": path} for path in AMD_DEVICES], "group_adds": list(gpus.groups)}
    return {"device_requests": [{"driver": "nvidia", "device_ids": list(gpus.ids), "capabilities": ["gpu"]}]}


def duration(seconds: int) -> str:
    """A length of time as Docker itself writes it, so that it is the same when it is read back.

    >>> duration(10), duration(160), duration(3600)
    ('10s', '2m40s', '1h0m0s')
    """
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
