"""What a fleet on a Docker host consists of, in plain values that know neither Pulumi nor compose.

Both the resources that a stack registers (:mod:`components.docker.resources`) and the compose file
(:mod:`components.docker.compose`) are made from this and from nothing else, so that they mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

USER = "1000:1000"
"""A user without privileges, the same as on Kubernetes. The images need no entry of it in /etc/passwd."""
ROOT = "0:0"

Condition = Literal["healthy", "completed"]
"""What is waited for: a server that answers, or a one-shot that ended well."""


@dataclass(frozen=True)
class VolumeMount:
    """A volume of the fleet's in a container."""

    volume: str
    """Its short name: :attr:`Volume.name`."""
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class HostMount:
    """A file of the host in a container, read-only."""

    path: str
    target: str


@dataclass(frozen=True)
class StagedFile:
    """A file that is put into a container before it starts. What is in it comes from elsewhere, by its name."""

    name: str
    target: str
    secret: bool


@dataclass(frozen=True)
class HealthCheck:
    """How Docker finds out whether a container works."""

    command: tuple[str, ...]
    interval_seconds: int
    timeout_seconds: int
    retries: int
    start_seconds: int
    """How long failures do not count after the start."""

    @property
    def wait_seconds(self) -> int:
        """How long to wait at most until it is healthy: the start, and a whole round of checks after it."""
        return self.start_seconds + self.retries * (self.interval_seconds + self.timeout_seconds)


@dataclass(frozen=True)
class PublishedPort:
    """A port of the host that leads into a container."""

    host: str
    port: int
    container_port: int
    variable: str
    """What the compose file's variable for the host's port is called."""


@dataclass(frozen=True)
class GpuDevices:
    """Which GPUs of the host a container sees."""

    vendor: Literal["nvidia", "amd"]
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()
    """Groups of the host that may open AMD's device files, by number."""


@dataclass(frozen=True)
class Container:
    """One container. What is not named is as safe as can be: no capability, no network, a read-only root."""

    name: str
    """Its DNS name inside the fleet's networks, and its name in the compose file."""
    image: str
    entrypoint: tuple[str, ...]
    environment: Mapping[str, str]
    memory_bytes: int
    pids: int
    networks: tuple[str, ...] = ()
    """Short names of the fleet's networks. Empty: none at all."""
    arguments: tuple[str, ...] = ()
    user: str = USER
    capabilities: tuple[str, ...] = ()
    """What it keeps of root's rights, without ``CAP_``."""
    mounts: tuple[VolumeMount | HostMount, ...] = ()
    scratch: Mapping[str, str] = field(default_factory=dict[str, str])
    """Folders in memory that it may write to, and their options."""
    files: tuple[StagedFile, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    health: HealthCheck | None = None
    """None for a one-shot, which is done when it ends."""
    after: Mapping[str, Condition] = field(default_factory=dict[str, "Condition"])
    """Containers that come first, and what is waited for."""
    cpus: float | None = None
    shared_memory_bytes: int | None = None
    gpus: GpuDevices | None = None
    stop_seconds: int = 10
    """How long it may take to end by itself."""
    time_limit_seconds: int = 300
    """How long a one-shot may take."""
    working_directory: str | None = None

    @property
    def one_shot(self) -> bool:
        """Whether it does its work and ends."""
        return self.health is None

    @property
    def read_only(self) -> bool:
        """Whether its root cannot be written to. Docker puts files only into one that can."""
        return not self.files


@dataclass(frozen=True)
class Volume:
    """A named volume."""

    name: str
    keep: bool = False
    """Whether it holds what cannot be fetched again: conversations, what was spent."""


@dataclass(frozen=True)
class Network:
    """A bridge network of the fleet's own."""

    name: str
    internal: bool
    """Whether it leads nowhere else."""


@dataclass(frozen=True)
class DockerFleetDescription:
    """A whole fleet."""

    project: str
    """Begins the name of everything: ``paddock-dev``."""
    containers: tuple[Container, ...]
    """Each behind those that it waits for."""
    volumes: tuple[Volume, ...]
    networks: tuple[Network, ...]
    router_image: str
    """The router's image by its name in the config, for what the stack builds."""

    def full_name(self, short: str) -> str:
        """What Docker calls one of the fleet's parts."""
        return f"{self.project}-{short}"

    def labels(self, part: str) -> dict[str, str]:
        """Labels that find the fleet's parts."""
        return {"paddock.fleet": self.project, "paddock.part": part}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all files with secrets."""
        return tuple(sorted({file.name for one in self.containers for file in one.files if file.secret}))
