"""The router on this machine: the contract as a file, and a process that follows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pulumi

from components.local.commands import router_command
from components.local.paths import (
    CONTRACT_FILE_NAME,
    DATA_DIRECTORY_NAME,
    DEFAULT_KEY_NAME,
    SECRETS_DIRECTORY_NAME,
)
from components.local.ports import reachable_host
from components.local.resources import File, Process
from components.random_key import RandomKey
from fleet_spec.platform_spec import RouterSpec

START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 35
"""Longer than the router's own limit for letting open replies finish."""


def router_url(router: RouterSpec) -> str:
    """Where this machine reaches the router, known before it runs because its port is the config's."""
    host = reachable_host(router.host)
    return f"http://[{host}]:{router.port}" if ":" in host else f"http://{host}:{router.port}"


class Router(pulumi.ComponentResource):
    """Runs the router.

    Attributes:
        url: Where it answers, known once it does.
        key: The key that the stack made for it, secret.
    """

    url: pulumi.Output[str]
    key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        router: RouterSpec,
        contract_text: pulumi.Input[str],
        tier_keys: Mapping[str, pulumi.Output[str]],
        directory: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the router.

        Args:
            name: The resource's name.
            router: What the config says of it.
            contract_text: The fleet's contract as JSON. A change rewrites the file, which the running
                router takes in; the process is not restarted for it.
            tier_keys: Keys of tiers beyond the fleet, secret, by the name of the file for each.
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
        self.key = RandomKey(
            f"{name}-key", generation=router.key_generation, opts=pulumi.ResourceOptions(parent=self)
        ).key
        # A new or changed key rewrites its file, which the running router takes in.
        secrets = directory / SECRETS_DIRECTORY_NAME
        files = [
            File(
                f"{name}-secret-{file_name}",
                path=str(secrets / file_name),
                content=value,
                mode="0600",
                directory_mode="0700",
                opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["content"]),
            )
            for file_name, value in {DEFAULT_KEY_NAME: self.key, **tier_keys}.items()
        ]
        process = Process(
            name,
            name=name,
            directory=str(directory / "processes" / name),
            command=router_command(contract_path, secrets, directory / DATA_DIRECTORY_NAME, router),
            host=router.host,
            port=router.port,
            port_key="router.port",
            health_path="/healthz",
            start_timeout_seconds=START_TIMEOUT_SECONDS,
            stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[contract, *files]),
        )
        self.url = process.url
        self.register_outputs({"url": self.url})
