"""A rendered compose file under podman-compose, brought up as Docker's own compose would do it alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.containers.podman import COMMAND_TIMEOUT_SECONDS, LIMITS, Podman


def wait_until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait until something holds, and fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in {seconds:g} seconds"
        time.sleep(0.2)


@dataclass(frozen=True)
class ComposeStack:
    """A folder with a compose file, and what podman has of it.

    podman-compose is given the file as it was rendered. Two things that Docker's compose does by itself are done here:
    health checks are run (podman leaves that to systemd, which is not everywhere), and a service waits for those that
    it depends on (podman 4.3 cannot wait for health).
    """

    podman: Podman
    directory: Path
    environment: dict[str, str]

    @property
    def document(self) -> dict[str, Any]:
        """The compose file."""
        return yaml.safe_load((self.directory / "compose.yaml").read_text())

    def container(self, service: str) -> str:
        """A service's container."""
        return self.document["services"][service]["container_name"]

    def compose(self, *arguments: str) -> None:
        """Run ``podman-compose ARGUMENTS`` to its end."""
        ended = subprocess.run(
            [sys.executable, "-m", "podman_compose", "--podman-run-args", " ".join(LIMITS), *arguments],
            check=False,
            cwd=self.directory,
            env=self.podman.environment | self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
        )
        assert ended.returncode == 0, f"podman-compose {arguments} gave {ended.returncode}: {ended.stderr}"

    def up(self) -> None:
        """Bring every service up, each behind those that it depends on."""
        services = self.document["services"]
        waiting = dict(services)
        while waiting:
            ready = [name for name, one in waiting.items() if not set(one.get("depends_on", ())) & set(waiting)]
            assert ready, f"{sorted(waiting)} wait for each other"
            for name in ready:
                self.compose("up", "--detach", "--no-deps", name)
                self.wait_for(name)
                del waiting[name]

    def wait_for(self, service: str) -> None:
        """Wait until a server is healthy, or a one-shot has ended well."""
        container = self.container(service)
        if self.document["services"][service]["restart"] == "no":
            assert self.podman.text("wait", container) == "0", self.logs(service)
        else:
            wait_until(lambda: self.podman.healthy(container), f"{service} is healthy")

    def logs(self, service: str) -> str:
        """What a service has said."""
        ended = self.podman.run("logs", self.container(service))
        return ended.stdout + ended.stderr
