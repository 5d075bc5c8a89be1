"""A fleet's description as a compose file, and what has to lie beside it. Pure, and the same bytes every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from components.docker.description import Container, DockerFleetDescription, HostMount, PublishedPort, VolumeMount
from components.yaml_text import ReadableDumper

COMPOSE_FILE = "compose.yaml"
EXAMPLE_FILE = ".env.example"
SECRETS_VARIABLE = "PADDOCK_SECRETS"
HOST_VARIABLE = "PADDOCK_HOST"
IMAGE_VARIABLE = "PADDOCK_ROUTER_IMAGE"
LOG_OPTIONS = {"max-size": "50m"}
"""What a container says is kept up to this size, or it would fill the disk one day."""
NO_NEW_PRIVILEGES = "no-new-privileges:true"
AMD_DEVICES = ("/dev/kfd", "/dev/dri")


@dataclass(frozen=True)
class ComposeRendering:
    """Files by name, and the files with secrets that somebody has to make."""

    files: dict[str, str]
    secrets: tuple[str, ...]


def render_compose(fleet: DockerFleetDescription, contents: dict[str, str]) -> ComposeRendering:
    """Write a fleet as a compose file.

    Args:
        fleet: What to write.
        contents: What is in the files that are no secrets, by name. They lie beside the compose file.
    """
    text = yaml.dump(compose_document(fleet), Dumper=ReadableDumper, sort_keys=False, width=120, allow_unicode=True)
    files = {COMPOSE_FILE: text, EXAMPLE_FILE: _example(fleet), **contents}
    return ComposeRendering(files, fleet.secrets)


def compose_document(fleet: DockerFleetDescription) -> dict[str, Any]:
    """The compose file as plain data."""
    document: dict[str, Any] = {
        "name": fleet.project,
        "services": {one.name: _service(fleet, one) for one in fleet.containers},
        "networks": {
            one.name: {
                "name": fleet.full_name(one.name),
                "driver": "bridge",
                "internal": one.internal,
                "labels": fleet.labels(one.name),
            }
            for one in fleet.networks
        },
        "volumes": {
            one.name: {"name": fleet.full_name(one.name), "labels": fleet.labels(one.name)} for one in fleet.volumes
        },
    }
    if fleet.secrets:
        document["secrets"] = {name: {"file": f"${{{SECRETS_VARIABLE}:-./secrets}}/{name}"} for name in fleet.secrets}
    return document


def _service(fleet: DockerFleetDescription, one: Container) -> dict[str, Any]:
    service: dict[str, Any] = {
        "container_name": fleet.full_name(one.name),
        "image": f"${{{IMAGE_VARIABLE}:-{one.image}}}" if one.image == fleet.router_image else one.image,
        "entrypoint": [_escaped(word) for word in one.entrypoint],
        "command": [_escaped(word) for word in one.arguments],
        "user": one.user,
    }
    if one.working_directory is not None:
        service["working_dir"] = one.working_directory
    if one.environment:
        service["environment"] = {name: _escaped(value) for name, value in one.environment.items()}
    service["restart"] = "no" if one.one_shot else "unless-stopped"
    if one.networks:
        service["networks"] = list(one.networks)
    else:
        service["network_mode"] = "none"
    if one.ports:
        service["ports"] = [_port(port) for port in one.ports]
    service |= {
        "read_only": one.read_only,
        "cap_drop": ["ALL"],
        "security_opt": [NO_NEW_PRIVILEGES],
        "mem_limit": one.memory_bytes,
        "pids_limit": one.pids,
        "stop_grace_period": f"{one.stop_seconds}s",
        "labels": fleet.labels(one.name),
        "logging": {"driver": "json-file", "options": dict(LOG_OPTIONS)},
    }
    if one.capabilities:
        service["cap_add"] = list(one.capabilities)
    if one.cpus is not None:
        service["cpus"] = one.cpus
    if one.shared_memory_bytes is not None:
        service["shm_size"] = one.shared_memory_bytes
    volumes = [*(_mount(mount) for mount in one.mounts), *_staged(one)]
    if volumes:
        service["volumes"] = volumes
    if one.scratch:
        service["tmpfs"] = [f"{folder}:{options}" for folder, options in one.scratch.items()]
    secrets = [file.name for file in one.files if file.secret]
    if secrets:
        service["secrets"] = secrets
    if one.health is not None:
        service["healthcheck"] = {
            "test": [_escaped(word) for word in one.health.command],
            "interval": f"{one.health.interval_seconds}s",
            "timeout": f"{one.health.timeout_seconds}s",
            "retries": one.health.retries,
            "start_period": f"{one.health.start_seconds}s",
        }
    if one.after:
        service["depends_on"] = {
            name: {"condition": "service_healthy" if how == "healthy" else "service_completed_successfully"}
            for name, how in one.after.items()
        }
    return service | _gpus(one)


def _port(port: PublishedPort) -> str:
    host = f"[{port.host}]" if ":" in port.host else port.host
    return f"${{{HOST_VARIABLE}:-{host}}}:${{{port.variable}:-{port.port}}}:{port.container_port}"


def _mount(mount: VolumeMount | HostMount) -> dict[str, Any]:
    if isinstance(mount, HostMount):
        return {"type": "bind", "source": _escaped(mount.path), "target": mount.target, "read_only": True}
    return {"type": "volume", "source": mount.volume, "target": mount.target, "read_only": mount.read_only}


def _staged(one: Container) -> list[dict[str, Any]]:
    """Files that are no secrets; they lie beside the compose file."""
    return [
        {"type": "bind", "source": f"./{file.name}", "target": file.target, "read_only": True}
        for file in one.files
        if not file.secret
    ]


def _gpus(one: Container) -> dict[str, Any]:
    if one.gpus is None:
        return {}
    if one.gpus.vendor == "amd":
        return {"devices": [f"{path}:{path}" for path in AMD_DEVICES], "group_add": list(one.gpus.groups)}
    device = {"driver": "nvidia", "device_ids": list(one.gpus.ids), "capabilities": ["gpu"]}
    return {"deploy": {"resources": {"reservations": {"devices": [device]}}}}


def _escaped(text: str) -> str:
    """A text in which compose sees no variable of its own."""
    return text.replace("$", "$$")


def _example(fleet: DockerFleetDescription) -> str:
    lines = [
        "# Copy to .env and change what you want otherwise. No secret belongs here: each is a file of its own.",
        "",
        "# The folder with the files with secrets: " + ", ".join(fleet.secrets),
        f"{SECRETS_VARIABLE}=./secrets",
        "",
        "# The router's image, where it is called otherwise on this host.",
        f"{IMAGE_VARIABLE}={fleet.router_image}",
    ]
    ports = [port for one in fleet.containers for port in one.ports]
    if ports:
        lines += ["", "# Where the ports are published. Beyond 127.0.0.1 everybody reaches them."]
        lines.append(f"{HOST_VARIABLE}={ports[0].host}")
        lines += [f"{port.variable}={port.port}" for port in ports]
    return "\n".join(lines) + "\n"
