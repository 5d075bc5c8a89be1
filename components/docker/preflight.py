"""What keeps a Docker host from running a fleet, found before anything is touched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.docker.daemon import HOST_VARIABLE, Daemon, DaemonError, DaemonHostError, find_daemon
from components.docker.describe import describe
from components.docker.description import DockerFleetDescription
from components.docker.model import DockerPlan, WeightsFile
from components.docker.plan import plan_fleet
from components.local.ports import describe_holder, port_is_free
from fleet_spec.errors import Problem, SpecError
from fleet_spec.sizing.estimate import GIB
from fleet_spec.spec import FleetSpec


def docker_problems(spec: FleetSpec, project: Path, stack: str) -> list[Problem]:
    """Every reason why the host cannot run the fleet; empty where there is none, or the host cannot be asked.

    Args:
        spec: The fleet.
        project: The project's directory.
        stack: The stack's name.
    """
    try:
        plan = plan_fleet(spec, stack, spec.catalogue, project)
    except SpecError as error:
        return error.problems
    fleet = describe(plan)
    try:
        daemon = find_daemon(spec.docker.host)
    except DaemonHostError as error:
        message, _, fix = str(error).partition(" fix: ")
        return [Problem("docker.host", message, fix)]
    if daemon is None:
        return []
    with daemon:
        try:
            info = daemon.info()
            return [
                *_memory(plan, info),
                *_processors(fleet, info),
                *_gpus(plan, info),
                *_images(plan, fleet, daemon),
                *_ports(fleet, daemon),
                *_disk(plan, fleet, info, daemon),
                *_files(plan, daemon),
            ]
        except DaemonError as error:
            fix = f"start Docker, join its group `docker`, or say where it is in docker.host or {HOST_VARIABLE}"
            return [Problem("docker.host", str(error), fix)]


def _memory(plan: DockerPlan, info: dict[str, Any]) -> Iterator[Problem]:
    has_bytes = int(info.get("MemTotal") or 0)
    needs = {model.name: len(model.gpus) * (model.needed_bytes or 0) for model in plan.models}
    if has_bytes and sum(needs.values()) > has_bytes:
        each = ", ".join(f"{name} {size / GIB:.1f}" for name, size in needs.items() if size)
        yield Problem(
            "models",
            f"they need {sum(needs.values()) / GIB:.1f} GiB of memory ({each}), and the host has "
            f"{has_bytes / GIB:.1f} GiB",
            "take smaller models, a smaller contextLength or parallel, fewer replicas, or another host",
        )


def _processors(fleet: DockerFleetDescription, info: dict[str, Any]) -> Iterator[Problem]:
    count = int(info.get("NCPU") or 0)
    for one in fleet.containers:
        if count and one.cpus is not None and one.cpus > count:
            yield Problem(
                one.name, f"may use {one.cpus:g} CPUs, and the host has {count}", "lower its limit, or router.workers"
            )


def _gpus(plan: DockerPlan, info: dict[str, Any]) -> Iterator[Problem]:
    wanting = [model.name for model in plan.models if any(gpu and gpu.vendor == "nvidia" for gpu in model.gpus)]
    devices: list[dict[str, Any]] = info.get("DiscoveredDevices") or []
    offered = "nvidia" in (info.get("Runtimes") or {}) or any("nvidia" in str(one.get("ID")) for one in devices)
    if wanting and not offered:
        yield Problem(
            f"models.{wanting[0]}.gpu",
            f"the host's Docker offers no NVIDIA GPU, which {', '.join(wanting)} asked for",
            "install the NVIDIA container toolkit there and run `nvidia-ctk runtime configure --runtime=docker`, "
            "or remove gpu to serve on the CPU",
        )


def _images(plan: DockerPlan, fleet: DockerFleetDescription, daemon: Daemon) -> Iterator[Problem]:
    built = fleet.router_image if plan.spec.router.build is not None else None
    for image in sorted({one.image for one in fleet.containers} - {built}):
        if daemon.has_image(image):
            continue
        reason = daemon.why_not_pullable(image)
        if reason is not None:
            key = "router.image" if image == fleet.router_image else f"image {image}"
            yield Problem(
                key, f"{image} is not on the host and cannot be pulled: {reason}", "correct its name, or log in there"
            )


def _ports(fleet: DockerFleetDescription, daemon: Daemon) -> Iterator[Problem]:
    own = {f"/{fleet.full_name(one.name)}" for one in fleet.containers}
    holders: dict[int, str] = {}
    ours: set[int] = set()
    for container in daemon.containers():
        names: list[str] = container.get("Names") or []
        open_ports: list[dict[str, Any]] = container.get("Ports") or []
        for number in {int(port["PublicPort"]) for port in open_ports if "PublicPort" in port}:
            if own & set(names):
                ours.add(number)
            else:
                holders[number] = f"container {names[0].lstrip('/') if names else container['Id']}"
    for one in fleet.containers:
        for port in one.ports:
            key = "router.port" if one.name == "router" else "webUi.port"
            holder = holders.get(port.port)
            if holder is None and daemon.local and port.port not in ours and not port_is_free(port.host, port.port):
                holder = describe_holder(port.port)
            if holder is not None:
                yield Problem(key, f"{port.port} is taken by {holder}", "stop it, or name another port")


def _disk(plan: DockerPlan, fleet: DockerFleetDescription, info: dict[str, Any], daemon: Daemon) -> Iterator[Problem]:
    root = Path(info.get("DockerRootDir") or "/nowhere")
    if not daemon.local or not root.is_dir():
        return
    new = [
        model
        for model in plan.models
        if model.downloads and model.weights_bytes and daemon.volume(fleet.full_name(model.volume)) is None
    ]
    needed, free = sum(model.weights_bytes or 0 for model in new), shutil.disk_usage(root).free
    if needed > free:
        yield Problem(
            "models",
            f"the weights of {', '.join(model.name for model in new)} take {needed / 1e9:.0f} GB, and {root} has "
            f"{free / 1e9:.0f} GB left",
            "make room there, or take smaller models",
        )


def _files(plan: DockerPlan, daemon: Daemon) -> Iterator[Problem]:
    for model in plan.models:
        source = model.source
        if isinstance(source, WeightsFile) and daemon.local and not Path(source.path).is_file():
            yield Problem(f"models.{model.name}.weights.path", f"there is no file {source.path}", "correct the path")
