"""The router on this machine: the contract as a file, and a process that follows it."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components.local.commands import router_command
from components.local.paths import CONTRACT_FILE_NAME
from components.local.resources import File, Process
from fleet_spec.platform_spec import RouterSpec

START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 35
"""Longer than the router's own limit for letting open replies finish."""


def router_url(router: RouterSpec) -> str:
    """The router's address, known before it runs because its port is the config's."""
    host = f"[{router.host}]" if ":" in router.host else router.host
    return f"http://{host}:{router.port}"


class Router(pulumi.ComponentResource):
    """Runs the router.

    Attributes:
        url: Where it answers, known once it does.
    """

    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        router: RouterSpec,
        contract_text: pulumi.Input[str],
        directory: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the router.

        Args:
            name: The resource's name.
            router: What the config says of it.
            contract_text: The fleet's contract as JSON. A change rewrites the file, which the running
                router takes in; the process is not restarted for it.
            directory: The stack's own directory.
            opts: Options of the component.
        """
        super().__init__("paddock:local:Router", name, None, opts)
        contract_path = directory / CONTRACT_FILE_NAME
        contract = File(
            f"{name}-contract",
            path=str(contract_path),
            content=contract_text,
            opts=pulumi.ResourceOptions(parent=self),
        )
        process = Process(
            name,
            name=name,
            directory=str(directory / "processes" / name),
            command=router_command(contract_path, router.host),
            host=router.host,
            port=router.port,
            port_key="router.port",
            health_path="/healthz",
            start_timeout_seconds=START_TIMEOUT_SECONDS,
            stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[contract]),
        )
        self.url = process.url
        self.register_outputs({"url": self.url})
