"""What stands around the models: volumes made ready, the contract and keys put into place, the router, the web UI."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from components.docker.description import (
    ROOT,
    USER,
    Condition,
    Container,
    HealthCheck,
    PublishedPort,
    StagedFile,
    VolumeMount,
)
from components.docker.engines import (
    HOME,
    INNER,
    LOADER_KEYS,
    LOADER_KEYS_VOLUME,
    OUTER,
    SETUP,
    TOKEN_FILE,
    http_check,
    scratch,
)
from components.docker.model import DockerPlan
from components.docker.scripts import PLACE
from components.tiers import SECRET_NAMES, needs_key
from fleet_spec.sizing.estimate import GIB, MIB

PUBLISH, ROUTER, WEB_UI = "publish", "router", "web-ui"
ROUTER_PORT = 8080
WEB_UI_PORT = 8080
CONTRACT_FILE = "contract.json"
CONTRACT_DIRECTORY = "/etc/paddock/fleet"
KEYS_DIRECTORY = "/etc/paddock/keys"
DATA_DIRECTORY = "/var/lib/paddock"
WEB_UI_DATA = "/app/backend/data"
ROUTER_KEY, SESSION_KEY = "router-key", "session-key"
"""Names of files with secrets: the key that clients show to the router, and what signs the web UI's sessions."""
_STAGED = "/run/paddock"
_SECRETS = "/run/secrets"
"""Where Docker compose puts secrets."""


def setup(plan: DockerPlan, own: Mapping[str, str]) -> Container:
    """Gives new volumes to the fleet's user: Docker makes them root's.

    Args:
        plan: The fleet.
        own: The volumes, and where each is in this container.
    """
    folders: dict[str, dict[str, str]] = {}
    files: list[StagedFile] = []
    mounts = [VolumeMount(volume, path) for volume, path in own.items()]
    if plan.spec.docker.hugging_face_token is not None:
        token = _secret(TOKEN_FILE)
        files.append(token)
        folders[LOADER_KEYS] = {TOKEN_FILE: token.target}
        mounts.append(VolumeMount(LOADER_KEYS_VOLUME, LOADER_KEYS))
    return _placing(plan, SETUP, list(own.values()), folders, files, mounts, {})


def publish(plan: DockerPlan, servers: Iterable[str]) -> Container:
    """Puts the contract and the keys where the router follows them, once every server of it answers.

    Args:
        plan: The fleet.
        servers: The containers that serve models.
    """
    contract = StagedFile(CONTRACT_FILE, f"{_STAGED}/{CONTRACT_FILE}", secret=False)
    keys = {"default": _secret(ROUTER_KEY), **{name: _secret(name) for name in tier_keys(plan)}}
    folders = {
        CONTRACT_DIRECTORY: {CONTRACT_FILE: contract.target},
        KEYS_DIRECTORY: {name: file.target for name, file in keys.items()},
    }
    files = [contract, *keys.values()]
    mounts = [VolumeMount("contract", CONTRACT_DIRECTORY), VolumeMount("keys", KEYS_DIRECTORY)]
    if plan.spec.web_ui.enabled:
        session = _secret(SESSION_KEY)
        folders[_WEB_UI_KEYS] = {ROUTER_KEY: keys["default"].target, SESSION_KEY: session.target}
        files.append(session)
        mounts.append(VolumeMount("web-ui-keys", _WEB_UI_KEYS))
    return _placing(plan, PUBLISH, [], folders, files, mounts, dict.fromkeys(servers, "healthy"))


_WEB_UI_KEYS = "/etc/paddock/web-ui"


def tier_keys(plan: DockerPlan) -> list[str]:
    """The names of the files with the keys that tiers beyond the fleet ask for."""
    tiers = plan.spec.tiers
    found: list[str] = []
    if tiers.cloud is not None and needs_key(tiers.cloud):
        found.append(SECRET_NAMES["cloud"])
    if tiers.commercial is not None:
        found.append(SECRET_NAMES["commercial"])
    return found


def router(plan: DockerPlan) -> Container:
    """The router. It follows the contract and the keys in their volumes: a change of them restarts nothing."""
    spec = plan.spec.router
    workers = ("--workers", str(spec.workers)) if spec.workers > 1 else ()
    return Container(
        name=ROUTER,
        image=plan.router_image,
        entrypoint=("python", "-m", "agent_runtime.router"),
        arguments=(
            *("--fleet", f"{CONTRACT_DIRECTORY}/{CONTRACT_FILE}"),
            *("--secrets", KEYS_DIRECTORY),
            *("--data", DATA_DIRECTORY),
            *("--host", "0.0.0.0"),  # noqa: S104 - the container's own address; the host's port is published
            *("--port", str(ROUTER_PORT)),
            *workers,
        ),
        environment={"HOME": HOME, "PYTHONDONTWRITEBYTECODE": "1"},
        memory_bytes=GIB + (spec.workers - 1) * 256 * MIB,
        pids=512,
        networks=(INNER, OUTER),
        mounts=(
            VolumeMount("contract", CONTRACT_DIRECTORY, read_only=True),
            VolumeMount("keys", KEYS_DIRECTORY, read_only=True),
            VolumeMount("router-data", DATA_DIRECTORY),
        ),
        scratch=scratch(),
        ports=(PublishedPort(spec.host, spec.port, ROUTER_PORT, "PADDOCK_ROUTER_PORT"),),
        health=HealthCheck(
            command=("CMD-SHELL", http_check("python", ROUTER_PORT, "/readyz")),
            interval_seconds=5,
            timeout_seconds=5,
            retries=6,
            start_seconds=30,
        ),
        after={PUBLISH: "completed"},
        cpus=float(spec.workers),
        # It finishes open replies before it ends.
        stop_seconds=40,
    )


def web_ui(plan: DockerPlan) -> Container:
    """open-webui, signed in to by password, behind the router."""
    # The page takes its keys from its environment alone, where `docker inspect` would show them: they come from
    # files when it starts.
    start = (
        f'export OPENAI_API_KEY="$(cat {_WEB_UI_KEYS}/{ROUTER_KEY})" '
        f'WEBUI_SECRET_KEY="$(cat {_WEB_UI_KEYS}/{SESSION_KEY})" && exec bash start.sh'
    )
    host = plan.spec.router.host
    return Container(
        name=WEB_UI,
        image=plan.web_ui_image,
        entrypoint=("/bin/bash", "-c", start),
        working_directory="/app/backend",
        environment={
            "PORT": str(WEB_UI_PORT),
            "OPENAI_API_BASE_URL": f"http://{ROUTER}:{ROUTER_PORT}/v1",
            # The router is the one way to the models, so that its limits and records hold.
            "ENABLE_OLLAMA_API": "false",
            # Else it keeps the settings of its first start in its database, and never sees another key.
            "ENABLE_PERSISTENT_CONFIG": "false",
            "WEBUI_AUTH": "true",
            # The first to sign up is the administrator, who lets in the others.
            "DEFAULT_USER_ROLE": "pending",
            "DATA_DIR": WEB_UI_DATA,
            "STATIC_DIR": f"{HOME}/static",
            "HOME": HOME,
            "OFFLINE_MODE": "true",
            "ANONYMIZED_TELEMETRY": "false",
        },
        memory_bytes=4 * GIB,
        pids=1024,
        networks=(INNER, OUTER),
        mounts=(
            VolumeMount("web-ui-data", WEB_UI_DATA),
            VolumeMount("web-ui-keys", _WEB_UI_KEYS, read_only=True),
        ),
        scratch=scratch(),
        ports=(PublishedPort(host, plan.spec.web_ui.port, WEB_UI_PORT, "PADDOCK_WEB_UI_PORT"),),
        health=HealthCheck(
            command=("CMD-SHELL", http_check("python3", WEB_UI_PORT, "/health")),
            interval_seconds=10,
            timeout_seconds=5,
            retries=3,
            start_seconds=300,
        ),
        after={ROUTER: "healthy"},
        stop_seconds=30,
    )


def _secret(name: str) -> StagedFile:
    return StagedFile(name, f"{_SECRETS}/{name}", secret=True)


def _placing(
    plan: DockerPlan,
    name: str,
    own: list[str],
    folders: Mapping[str, Mapping[str, str]],
    files: list[StagedFile],
    mounts: list[VolumeMount],
    after: Mapping[str, Condition],
) -> Container:
    work = {"user": int(USER.partition(":")[0]), "own": own, "folders": folders}
    return Container(
        name=name,
        image=plan.router_image,
        entrypoint=("python", "-c", PLACE),
        arguments=(json.dumps(work, sort_keys=True),),
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        memory_bytes=256 * MIB,
        pids=64,
        # Root in a container without a network, with the right to give files away and to read those of others.
        user=ROOT,
        capabilities=("CHOWN", "DAC_OVERRIDE"),
        mounts=tuple(mounts),
        files=tuple(files),
        after=after,
    )
