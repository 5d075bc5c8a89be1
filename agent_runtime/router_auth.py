"""Shows a router a key, and looks for one where the router asks for it."""

from __future__ import annotations

from collections.abc import Callable, Generator

import httpx

from agent_runtime.authorization import authorization

UNAUTHORIZED = 401
FORBIDDEN = 403


class RouterAuth(httpx.Auth):
    """The authentication of an HTTP client of a router.

    Args:
        api_key: What to show.
        find_key: Asked for a key, once, where the router wants one and ``api_key`` is None: looking for one may take a
            while, and a router on loopback wants none. The request is then sent again.
        statuses: With which statuses the router says that it wants one.
    """

    def __init__(
        self,
        api_key: str | None,
        find_key: Callable[[], str | None] | None = None,
        *,
        statuses: tuple[int, ...] = (UNAUTHORIZED, FORBIDDEN),
    ) -> None:
        self.api_key = api_key
        self._find_key = find_key if api_key is None else None
        self._statuses = statuses

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See :meth:`httpx.Auth.auth_flow`."""
        request.headers.update(authorization(self.api_key))
        response = yield request
        if response.status_code in self._statuses and self._find_key is not None:
            find, self._find_key = self._find_key, None
            self.api_key = find()
            if self.api_key is not None:
                yield httpx.Request(
                    request.method,
                    request.url,
                    headers={**request.headers, **authorization(self.api_key)},
                    stream=request.stream,
                    extensions=request.extensions,
                )
