"""What a router tells of its A/B tests, and takes for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from agent_runtime.authorization import KEY_VARIABLE
from agent_runtime.router_auth import FORBIDDEN, UNAUTHORIZED, RouterAuth
from cli.contract import read_contract
from cli.project import find_project
from cli.router_access import require_way, stack_key
from fleet_spec.errors import BadInputError, PaddockError

_PATH = "/api/paddock/experiments"
_TIMEOUT_SECONDS = 60.0
_KEY_STATUSES = (UNAUTHORIZED, FORBIDDEN)


class ExperimentsUnavailableError(PaddockError):
    """The router did not answer as it should."""


class ExperimentsRouter:
    """A router, as far as A/B tests go."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        find_key: Callable[[], str | None] | None = None,
        through_proxies: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client.

        Args:
            url: The router's root, with or without ``/v1``.
            api_key: What to show to it.
            find_key: Asked for a key, once, where the router wants one and ``api_key`` is None.
            through_proxies: Whether the environment's proxies and certificates count.
            transport: Where requests go in a test.

        Raises:
            BadInputError: the address is none.
        """
        if urlsplit(url).scheme not in ("http", "https"):
            raise BadInputError(f"--router {url} is no address. fix: such as http://127.0.0.1:8080")
        self.url = url.rstrip("/").removesuffix("/v1")
        self.through_proxies = through_proxies
        self._auth = RouterAuth(api_key, find_key)
        self._http = httpx.Client(
            base_url=self.url,
            auth=self._auth,
            timeout=_TIMEOUT_SECONDS,
            trust_env=through_proxies,
            transport=transport,
        )

    @classmethod
    def of(cls, stack: str, url: str | None) -> ExperimentsRouter:
        """The router at an address, or a stack's.

        Raises:
            BadInputError: the address is none, the stack is not up, or its router is on a cluster without a way in.
        """
        key = os.environ.get(KEY_VARIABLE) or None
        if url is not None:
            return cls(url, api_key=key)
        contract = read_contract(stack)
        way = require_way(contract)
        return cls(
            way,
            api_key=key,
            find_key=lambda: stack_key(find_project(), contract),
            through_proxies=way == contract.router.external_url,
        )

    @property
    def api_key(self) -> str | None:
        """What the router is shown; one that was found since counts."""
        return self._auth.api_key

    def experiments(self, *, points: int = 0) -> dict[str, Any]:
        """Everything that it tells of them: name -> what happened.

        Args:
            points: At how many moments the effects are told.

        Raises:
            BadInputError: it wants another key.
            ExperimentsUnavailableError: it cannot be reached or failed.
        """
        return cast("dict[str, Any]", self._asked("GET", f"{_PATH}?points={points}", None)["experiments"])

    def note_scores(self, alias: str, prompt: str, scores: Mapping[str, float]) -> None:
        """Have it note what the arms were given for a prompt. Raises as :meth:`experiments`."""
        self._asked("POST", f"{_PATH}/scores", {"alias": alias, "prompt": prompt, "scores": dict(scores)})

    def close(self) -> None:
        """Let its connection go."""
        self._http.close()

    def _asked(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ExperimentsUnavailableError(f"no router answers at {self.url}: {error}. fix: paddock up") from error
        if response.status_code in _KEY_STATUSES:
            scope = "metrics" if method == "GET" else "admin"
            raise BadInputError(
                f"the router at {self.url} does not open its A/B tests to this key. fix: export {KEY_VARIABLE} with "
                f"one of scope {scope}"
            )
        try:
            document: object = response.json()
        except ValueError as error:
            raise ExperimentsUnavailableError(f"what answers at {self.url} is no router of Paddock") from error
        if not response.is_success or not isinstance(document, dict):
            raise ExperimentsUnavailableError(
                f"the router at {self.url} answered {response.status_code}: {response.text[:200]}"
            )
        return cast("dict[str, Any]", document)
