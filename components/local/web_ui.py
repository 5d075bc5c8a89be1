"""open-webui on this machine: a chat page in front of the router, as one more looked-after process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi

from components.local.paths import DEFAULT_KEY_NAME, SECRETS_DIRECTORY_NAME
from components.local.ports import reachable_host
from components.local.resources import File, Process
from components.local.router import router_url
from components.local.web_ui_package import NAME, SIZE_BYTES, VERSION, environment_python, gigabytes, is_installed
from components.random_key import RandomKey
from fleet_spec.contract import WebUi as WebUiAddress
from fleet_spec.errors import Problem, SpecError
from fleet_spec.spec import FleetSpec

DATA_DIRECTORY_NAME = "web-ui"
"""Users, conversations and files. Like the router's records it stays when the stack goes."""
SECRETS_NAME = "web-ui-secrets"
SESSION_KEY_NAME = "session-key"

# Named as text: it runs in a process of its own.
SERVER_MODULE = "components.local.web_ui_server"
START_TIMEOUT_SECONDS = 600
"""The first start makes the database and compiles some thousand modules, which takes minutes on a busy machine."""
STOP_TIMEOUT_SECONDS = 20
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def web_ui_address(spec: FleetSpec) -> WebUiAddress | None:
    """Where this machine reaches the page, or None where the fleet has none."""
    if not spec.web_ui.enabled:
        return None
    host = reachable_host(spec.router.host)
    host = f"[{host}]" if ":" in host else host
    return WebUiAddress(url=f"http://{host}:{spec.web_ui.port}")


def web_ui_environment(spec: FleetSpec, data: Path, embedding_model: str | None) -> Mapping[str, str]:
    """What open-webui is told, its keys left out.

    Args:
        spec: The stack's config.
        data: The folder for what it keeps.
        embedding_model: A model of the fleet that computes embeddings, for questions about files.
    """
    address = web_ui_address(spec)
    assert address is not None, "asked only where there is a page"  # noqa: S101
    environment = {
        "DATA_DIR": str(data),
        # Copies of its own pictures: the environment that they come from is shared, and stays as it is.
        "STATIC_DIR": str(data / "static"),
        "HOME": str(data / "home"),
        "WEBUI_URL": address.url,
        "OPENAI_API_BASE_URL": f"{router_url(spec.router)}/v1",
        # The router is the one way to the models, so that its limits and records hold.
        "ENABLE_OLLAMA_API": "false",
        "WEBUI_AUTH": "true",
        # The first to come signs up in spite of this, as the administrator, who adds the others.
        "ENABLE_SIGNUP": "false",
        "DEFAULT_USER_ROLE": "pending",
        # Else it would keep the first address and key of the router that it saw, and never look at others.
        "ENABLE_PERSISTENT_CONFIG": "false",
        # A forwarded address is believed from this machine's own proxy alone.
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        # It talks to the router and to nobody else: no telemetry, no look for updates, no models from a hub.
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "ANONYMIZED_TELEMETRY": "false",
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
        "ENABLE_COMMUNITY_SHARING": "false",
        "ENABLE_PIP_INSTALL_FRONTMATTER_REQUIREMENTS": "false",
        # Embeddings come from the fleet; without such a model a file goes into the prompt as a whole.
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_EMBEDDING_MODEL": embedding_model or "",
        "BYPASS_EMBEDDING_AND_RETRIEVAL": "false" if embedding_model else "true",
    }
    if spec.router.host in _LOOPBACK:
        # Beyond loopback nobody here knows by which name a browser comes.
        port = spec.web_ui.port
        origins = dict.fromkeys([address.url, f"http://127.0.0.1:{port}", f"http://localhost:{port}"])
        environment["CORS_ALLOW_ORIGIN"] = ";".join(origins)
    return environment


def require_installed() -> None:
    """See to it that open-webui is there before a process of it is made.

    Raises:
        SpecError: it is not installed.
    """
    if not is_installed():
        problem = Problem(
            "webUi.enabled",
            f"open-webui {VERSION} is not installed here; it takes {gigabytes(SIZE_BYTES)}",
            "`paddock up` installs it, once you agree; or write false",
        )
        raise SpecError([problem])


class WebUi(pulumi.ComponentResource):
    """Runs open-webui.

    Attributes:
        url: Where it answers, known once it does.
    """

    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        spec: FleetSpec,
        embedding_model: str | None,
        directory: Path,
        depends_on: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the page.

        Args:
            name: The resource's name.
            spec: The stack's config.
            embedding_model: A model of the fleet that computes embeddings, or None.
            directory: The stack's own directory.
            depends_on: What has to be there first: the router, with the file of its key.
            opts: Options of the component.
        """
        super().__init__("paddock:local:WebUi", name, None, opts)
        below = pulumi.ResourceOptions(parent=self)
        key = RandomKey(f"{name}-session-key", opts=below).key
        session_key = File(
            f"{name}-secret-{SESSION_KEY_NAME}",
            path=str(directory / SECRETS_NAME / SESSION_KEY_NAME),
            content=key,
            mode="0600",
            directory_mode="0700",
            opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["content"]),
        )
        process = Process(
            name,
            name=NAME,
            directory=str(directory / "processes" / NAME),
            command=[
                *(sys.executable, "-m", SERVER_MODULE),
                *("--python", str(environment_python())),
                *("--router-key", str(directory / SECRETS_DIRECTORY_NAME / DEFAULT_KEY_NAME)),
                *("--session-key", str(directory / SECRETS_NAME / SESSION_KEY_NAME)),
                *("--host", spec.router.host),
                *("--port", "{port}"),
            ],
            environment=web_ui_environment(spec, directory / DATA_DIRECTORY_NAME, embedding_model),
            host=spec.router.host,
            port=spec.web_ui.port,
            port_key="webUi.port",
            health_path="/health",
            start_timeout_seconds=START_TIMEOUT_SECONDS,
            stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
            # It reads the router's key when it starts.
            restart_key=f"router key {spec.router.key_generation}",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*depends_on, session_key]),
        )
        self.url = process.url
        self.register_outputs({"url": self.url})
