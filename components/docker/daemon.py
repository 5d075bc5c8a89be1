"""The Docker daemon's own HTTP API, as far as it has to be asked before or beside Pulumi. Changes nothing.

https://docs.docker.com/reference/api/engine/ has the paths. Podman's service answers the same ones.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from components.docker.description import DockerFleetDescription
from components.docker.resources import ATTEMPT_LABEL
from fleet_spec.errors import BadInputError, PaddockError

DEFAULT_HOST = "unix:///var/run/docker.sock"
HOST_VARIABLE = "DOCKER_HOST"
_TIMEOUT_SECONDS = 10.0
_REGISTRY_TIMEOUT_SECONDS = 30.0
_SHORT_ID = 12
_NOT_FOUND = 404


class DaemonError(PaddockError):
    """The Docker daemon does not answer, or not with what it was asked for."""


class DaemonHostError(BadInputError):
    """An address that no Docker daemon can have."""


class Daemon:
    """A daemon that can be asked. Use as a context manager.

    Attributes:
        host: Its address.
        local: Whether it is on this machine, so that its ports and folders are this machine's.
    """

    def __init__(self, host: str, client: httpx.Client, *, local: bool) -> None:
        self.host = host
        self.local = local
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def info(self) -> dict[str, Any]:
        """What the host has: ``docker info``."""
        return self._asked("/info")

    def container(self, name: str) -> dict[str, Any] | None:
        """One container, or None where there is none of this name."""
        return self._found(f"/containers/{quote(name, safe='')}/json")

    def containers(self) -> list[dict[str, Any]]:
        """Every container, those that have ended included."""
        return self._asked("/containers/json", {"all": "true"})

    def volume(self, name: str) -> dict[str, Any] | None:
        """One volume, or None."""
        return self._found(f"/volumes/{quote(name, safe='')}")

    def has_image(self, image: str) -> bool:
        """Whether an image is on the host."""
        return self._found(f"/images/{quote(image, safe='/:@')}/json") is not None

    def why_not_pullable(self, image: str) -> str | None:
        """What a registry says against an image, asked for by the daemon; None where it has it, or cannot be asked."""
        answer = self._answer(f"/distribution/{quote(image, safe='/:@')}/json", {}, _REGISTRY_TIMEOUT_SECONDS)
        if answer.is_success or _unknown_path(answer):
            return None
        return _said(answer)

    def _found(self, path: str) -> Any | None:
        answer = self._answer(path, {}, _TIMEOUT_SECONDS)
        if answer.status_code == _NOT_FOUND:
            return None
        return self._json(answer)

    def _asked(self, path: str, query: dict[str, str] | None = None) -> Any:
        return self._json(self._answer(path, query or {}, _TIMEOUT_SECONDS))

    def _answer(self, path: str, query: dict[str, str], timeout_seconds: float) -> httpx.Response:
        where = urlsplit(self.host)
        if where.scheme == "unix" and not Path(where.path).exists():
            raise DaemonError(f"no Docker daemon answers at {self.host}: there is no such socket")
        try:
            return self._client.get(path, params=query, timeout=timeout_seconds)
        except httpx.HTTPError as error:
            raise DaemonError(f"no Docker daemon answers at {self.host}: {error or type(error).__name__}") from error

    def _json(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise DaemonError(f"the Docker daemon at {self.host} answered {answer.status_code}: {_said(answer)}")
        try:
            return answer.json()
        except ValueError as error:
            raise DaemonError(f"what answers at {self.host} is no Docker daemon: it sends no JSON") from error


def find_daemon(host: str | None) -> Daemon | None:
    """The daemon that pulumi-docker will use; None for ``ssh://``, which only Docker's own client speaks.

    Args:
        host: The config's ``docker.host``. Without it DOCKER_HOST says, else it is this machine's own.

    Raises:
        DaemonHostError: that is no address.
    """
    address = host or os.environ.get(HOST_VARIABLE) or DEFAULT_HOST
    parts = urlsplit(address)
    if parts.scheme == "ssh" and parts.hostname:
        return None
    if parts.scheme == "unix" and parts.path:
        transport = httpx.HTTPTransport(uds=parts.path)
        return Daemon(address, httpx.Client(transport=transport, base_url="http://docker"), local=True)
    if parts.scheme in ("tcp", "http", "https") and parts.hostname:
        near = parts.hostname in ("127.0.0.1", "localhost", "::1")
        return Daemon(address, _tcp_client(parts.scheme, parts.netloc), local=near)
    raise DaemonHostError(
        f"{HOST_VARIABLE if host is None else 'docker.host'}: {address!r} is no address of a Docker daemon. "
        "fix: write unix:///var/run/docker.sock, tcp://HOST:2376 or ssh://USER@HOST"
    )


def _tcp_client(scheme: str, place: str) -> httpx.Client:
    """As Docker's client does it: TLS where DOCKER_TLS_VERIFY says so, with the files below DOCKER_CERT_PATH."""
    if scheme != "https" and not os.environ.get("DOCKER_TLS_VERIFY"):
        return httpx.Client(base_url=f"http://{place}", trust_env=False)
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    context = ssl.create_default_context()
    try:
        if (folder / "ca.pem").is_file():
            context.load_verify_locations(folder / "ca.pem")
        if (folder / "cert.pem").is_file():
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise DaemonHostError(
            f"the certificates for the Docker daemon in {folder} cannot be used: {error}. fix: set DOCKER_CERT_PATH"
        ) from error
    return httpx.Client(base_url=f"https://{place}", verify=context, trust_env=False)


def failed_one_shots(daemon: Daemon, fleet: DockerFleetDescription) -> dict[str, str]:
    """The one-shots of a fleet that failed, or took the place of one that did: by name, the failed container's id.

    A one-shot that ended well keeps what it was made with, so that it is not made once more.

    Raises:
        DaemonError: the daemon does not answer.
    """
    found: dict[str, str] = {}
    for one in fleet.containers:
        there = daemon.container(fleet.full_name(one.name)) if one.one_shot else None
        if there is None:
            continue
        if there["State"]["Status"] == "exited" and there["State"]["ExitCode"] != 0:
            found[one.name] = there["Id"][:_SHORT_ID]
            continue
        labels: dict[str, str] = there["Config"].get("Labels") or {}
        if ATTEMPT_LABEL in labels:
            found[one.name] = labels[ATTEMPT_LABEL]
    return found


def _unknown_path(answer: httpx.Response) -> bool:
    """Whether the daemon knows no such question, as Podman's service does not."""
    return answer.status_code == _NOT_FOUND and _said(answer).lower() in ("page not found", "not found")


def _said(answer: httpx.Response) -> str:
    try:
        message = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.text
    return str(message).strip()[:300]
