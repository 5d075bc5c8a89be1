"""How this terminal reaches a stack's router: at which address, and with which key. Keys stay in memory."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from agent_runtime.authorization import KEY_VARIABLE
from agent_runtime.chat_client import ChatClient
from agent_runtime.finding import ROUTER_URL_VARIABLE
from cli.contract import read_secret_outputs
from cli.project import Project, find_project
from components.local.paths import default_key_path
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

FORWARDED_PORT = 8080
_ROUTER_KEY = "router"
"""What the router's key is called in the output ``fleetSecrets``."""


def router_url(contract: FleetContract) -> str | None:
    """Where the router answers this terminal: what the environment says, else the way in from outside, else its own.

    None for a fleet on a cluster that has no way in.
    """
    named = os.environ.get(ROUTER_URL_VARIABLE)
    if named:
        return named.rstrip("/").removesuffix("/v1")
    if contract.target == "kubernetes":
        return contract.router.external_url
    return contract.router.url


def how_to_reach(contract: FleetContract) -> list[str]:
    """What to type to reach the router of a cluster that has no way in."""
    namespace = (urlsplit(contract.router.url).hostname or "").split(".")[1]  # router.NAMESPACE.svc.DOMAIN
    return [
        f"kubectl --namespace {namespace} port-forward service/router {FORWARDED_PORT}:80",
        f"export {ROUTER_URL_VARIABLE}=http://127.0.0.1:{FORWARDED_PORT}",
    ]


def require_way(contract: FleetContract) -> str:
    """Where the router answers this terminal.

    Raises:
        BadInputError: it is on a cluster that has no way in.
    """
    url = router_url(contract)
    if url is None:
        ways = " and ".join(how_to_reach(contract))
        raise BadInputError(f"the router of stack {contract.stack!r} answers inside its cluster alone. fix: {ways}")
    return url


def chat_client(contract: FleetContract) -> ChatClient:
    """A client of a stack's router, with the key that the environment names or, where it is asked for, the stack's.

    Raises:
        BadInputError: the router is on a cluster that has no way in.
    """
    url = require_way(contract)
    return ChatClient(
        f"{url}/v1",
        api_key=os.environ.get(KEY_VARIABLE) or None,
        find_key=lambda: stack_key(find_project(), contract),
        through_proxies=url == contract.router.external_url,
    )


def stack_key(project: Project, contract: FleetContract) -> str | None:
    """The key that the stack made for its router: from this machine's own file, else from the engine.

    None where the stack made none, because the config names a Secret that holds one.
    """
    if contract.target == "local":
        try:
            return default_key_path(project.directory, contract.stack).read_text(encoding="utf-8").strip()
        except FileNotFoundError:  # a stack that is run from another machine
            pass
    secrets = read_secret_outputs(project, contract.stack).get("fleetSecrets")
    return secrets.get(_ROUTER_KEY) if isinstance(secrets, dict) else None  # pyright: ignore
