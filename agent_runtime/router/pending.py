"""A request that waits for something other than a model server: a shared count, a reservation, a list."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.request import Request

if TYPE_CHECKING:
    from agent_runtime.router.service import Router


class Pending:
    """Work for a request. It is given up where the client leaves, and ends in an answer whatever happens."""

    def __init__(
        self, router: Router, client: ClientConnection, request: Request, work: Coroutine[Any, Any, None]
    ) -> None:
        """Begin.

        Args:
            router: Whose client it is.
            client: Who waits.
            request: What for.
            work: Answers the request, hands it on, or raises RequestError.
        """
        self._router = router
        self._client = client
        self._request = request
        client.work = self
        self._task = router.loop.create_task(self._run(work))
        router.tasks.add(self._task)
        self._task.add_done_callback(router.tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except RequestError as error:
            self._router.refuse(self._client, self._request, error)
        except Exception as error:  # a fault of the router's own must not leave its client without an answer
            self._router.fault(self._client, self._request, error)

    def client_left(self) -> None:
        """Nobody waits any more."""
        self._task.cancel()

    def client_paused(self) -> None:
        """Nothing is written yet."""

    def client_resumed(self) -> None:
        """Nothing was written."""
