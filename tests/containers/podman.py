"""A podman with storage, networks and images of its own, beside whatever else this machine's podman has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.programs import REPOSITORY, lacking

TOOLS = REPOSITORY / "tools"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=512:512")
"""Podman's own are above what a machine inside a container may set."""
COMMAND_TIMEOUT_SECONDS = 240
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{home}/storage"
runroot = "{home}/run"
"""
ENGINE = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
# Locks in shared memory would be those of every podman on this machine.
lock_type = "file"
static_dir = "{home}/static"
tmp_dir = "{home}/tmp"
volume_path = "{home}/volumes"
helper_binaries_dir = ["{network}", "/usr/lib/podman", "/usr/libexec/podman"]
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""


@dataclass(frozen=True)
class Podman:
    """The ``podman`` command, on storage of its own."""

    environment: dict[str, str]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``podman ARGUMENTS`` to its end."""
        ended = subprocess.run(
            ["podman", *arguments],
            check=False,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
        )
        assert not check or ended.returncode == 0, f"podman {arguments} gave {ended.returncode}: {ended.stderr}"
        return ended

    def text(self, *arguments: str) -> str:
        """What ``podman ARGUMENTS`` prints."""
        return self.run(*arguments).stdout.strip()

    def healthy(self, container: str) -> bool:
        """Run a container's health check once. Nothing here runs it by itself: that takes systemd."""
        return self.run("healthcheck", "run", container, check=False).returncode == 0

    def tool(self, name: str, *arguments: str, **environment: str) -> str:
        """The last line that one of the checkout's tools prints."""
        ended = subprocess.run(
            [TOOLS / name, *arguments],
            check=False,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert ended.returncode == 0, f"{name} gave {ended.returncode}: {ended.stderr[-4000:]}"
        return ended.stdout.splitlines()[-1]


@contextmanager
def own_podman() -> Iterator[Podman]:
    """A podman of one's own. Everything that it has made is gone in the end."""
    for program in ("podman", "runc", "debootstrap"):
        if shutil.which(program) is None:
            lacking(f"there is no {program} on PATH. Install it (Debian: apt install {program})")
    if os.geteuid() != 0:
        lacking("containers and their base are made as root here")
    # A unix socket's path has room for a hundred characters.
    home = Path(tempfile.mkdtemp(prefix="paddock-", dir="/tmp"))
    network = subprocess.run([TOOLS / "image_network.sh"], check=False, capture_output=True, text=True, timeout=300)
    if network.returncode != 0:
        lacking(f"podman's networks cannot be had: {network.stderr}")
    (home / "storage.conf").write_text(STORAGE.format(home=home))
    (home / "containers.conf").write_text(ENGINE.format(home=home, network=network.stdout.strip()))
    environment = os.environ | {
        "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
        "CONTAINERS_CONF": str(home / "containers.conf"),
        "PADDOCK_BUILDER": "podman",
    }
    podman = Podman(environment)
    try:
        yield podman
    finally:
        podman.run("rm", "--all", "--force", "--time", "0", check=False)
        podman.run("network", "prune", "--force", check=False)
        podman.run("system", "reset", "--force", check=False)
        shutil.rmtree(home, ignore_errors=True)
