"""Changes of what the fleet's Ollama servers hold: pull, push, create, copy, delete, and the files for them.

A change goes to every Ollama endpoint of the fleet, one after the other, or to the one that the header
``X-Paddock-Endpoint`` names. What the stack's contract holds is the stack's to change: it can be pulled again,
but neither deleted nor put another model in the place of.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import RequestError, message_in
from agent_runtime.router.dialects.fields import check_fields, decode_object
from agent_runtime.router.dialects.replies import decode_reply
from agent_runtime.router.fleet_state import EndpointState, FleetState
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.limits import Limits
from agent_runtime.router.progress import Progress
from agent_runtime.router.request import Request
from agent_runtime.router.resolve import candidates
from agent_runtime.router.upload import Feed, pump

ADMIN_METHODS: Final = {
    "/api/pull": "POST",
    "/api/push": "POST",
    "/api/create": "POST",
    "/api/copy": "POST",
    "/api/delete": "DELETE",
}
ADMIN_OPERATIONS: Final = frozenset(ADMIN_METHODS)
"""The paths of changes. Together with what begins with :data:`BLOBS` they ask for a key with the scope admin."""
BLOBS: Final = "/api/blobs/"
"""Before a file's digest: HEAD asks whether it is there, POST sends it."""

WITH_PROGRESS: Final = frozenset({"/api/pull", "/api/push", "/api/create"})
"""The paths of changes that take a while, and tell as they go."""
_HEADER: Final = b"x-paddock-endpoint"
_SUCCESS: Final = {"status": "success"}
_LONGEST_NAME: Final = 200


def is_administration(path: str) -> bool:
    """Whether a request at this path changes what the fleet holds."""
    return path in ADMIN_OPERATIONS or path.startswith(BLOBS)


def names_in(request: Request) -> dict[str, str]:
    """The models that a change names, for the audit log; nothing where its body cannot be read."""
    try:
        body = {} if request.path.startswith(BLOBS) else decode_object(request.body)
    except RequestError:
        return {}
    found = {name: body.get(name) for name in ("model", "name", "source", "destination", "from")}
    return {name: value[:_LONGEST_NAME] for name, value in found.items() if isinstance(value, str)}


class Administration:
    """Carries changes out. Who asks for one must have been found to be allowed to."""

    def __init__(self, fleet: FleetState, limits: Limits, note: Callable[[Request, int], None]) -> None:
        """``note`` is told of every request that was answered, with its status."""
        self._fleet = fleet
        self._limits = limits
        self._note = note

    async def carry_out(self, client: ClientConnection, request: Request) -> None:
        """Make a change, and answer.

        Raises:
            RequestError: nothing was answered yet. 400 the request is wrong; 404 there is no such endpoint; 405
                the method is; 409 the contract holds the model; 501 the fleet has no Ollama; 502 it cannot be
                reached.
        """
        path = request.path
        if path.startswith(BLOBS):
            await self._blob(client, request)
            return
        if request.method != ADMIN_METHODS[path]:
            error = RequestError(405, f"{request.method} is not possible at {path}")
            error.headers["Allow"] = ADMIN_METHODS[path]
            raise error
        body = decode_object(request.body)
        check_fields(body, {"model": str, "name": str, "source": str, "destination": str, "stream": bool})
        self._protect(path, body)
        targets = self._targets(request)
        body = self._in_the_engines_words(body)
        if path in WITH_PROGRESS and body.get("stream") is not False:
            await Progress(client, request, self._note).run(self._told(path, body, targets))
        else:
            await self._quietly(client, request, body, targets)

    # What may be changed, and where

    def _targets(self, request: Request) -> list[EndpointState]:
        """The Ollama endpoints that are to be changed."""
        ollamas = [endpoint for endpoint in self._fleet.endpoints.values() if endpoint.engine == "ollama"]
        if not ollamas:
            raise RequestError(
                501,
                "no model of this fleet is served by Ollama, so there is nothing to change here: "
                "the stack's configuration says what the other engines serve",
            )
        wanted = next((value.decode("latin-1") for name, value in request.headers if name == _HEADER), None)
        if wanted is None:
            return list({endpoint.url: endpoint for endpoint in ollamas}.values())
        found = [endpoint for endpoint in ollamas if endpoint.url == wanted.rstrip("/")]
        if not found:
            there = ", ".join(sorted({endpoint.url for endpoint in ollamas}))
            raise RequestError(404, f"X-Paddock-Endpoint: no Ollama at {wanted!r}. There are: {there}")
        return found[:1]

    def _protect(self, path: str, body: dict[str, Any]) -> None:
        """Refuse what would take a model from the fleet, or put another one in its place."""
        if path == "/api/delete":
            name: str = body.get("model") or body.get("name") or ""
        elif path == "/api/create":
            name = body.get("model") or body.get("name") or ""
        elif path == "/api/copy":
            name = body.get("destination") or ""
        else:
            return
        if name and candidates(self._fleet, name):
            raise RequestError(
                409, f"model '{name}' belongs to the stack: change its configuration, and bring it up again"
            )

    def _in_the_engines_words(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request with what the engine calls the models that it names."""
        changed = dict(body)
        for field in ("model", "name", "source", "from"):
            name: object = body.get(field)
            arms = candidates(self._fleet, name) if isinstance(name, str) and name else []
            if arms and arms[0][0].entry.engine == "ollama":
                changed[field] = arms[0][0].entry.model
        return changed

    # Changes

    async def _told(
        self, path: str, body: dict[str, Any], targets: Sequence[EndpointState]
    ) -> AsyncIterator[dict[str, Any]]:
        """The progress of a change at all endpoints. Of several, each line says of which it tells."""
        for number, endpoint in enumerate(targets, 1):
            async for line in self._lines(endpoint, path, body):
                if len(targets) > 1 and "status" in line and not (line == _SUCCESS and number == len(targets)):
                    line["status"] = f"{endpoint.url}: {line['status']}"
                yield line

    async def _lines(self, endpoint: EndpointState, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        async with (
            self._http() as http,
            _reachable(endpoint),
            http.stream("POST", endpoint.url + path, content=encode(body)) as reply,
        ):
            if reply.status_code >= 400:
                told = message_in(await reply.aread(), reply.status_code)
                raise RequestError(reply.status_code, f"{endpoint.url}: {told}")
            async for line in reply.aiter_lines():
                if line:
                    yield decode_reply(line.encode())

    async def _quietly(
        self, client: ClientConnection, request: Request, body: dict[str, Any], targets: Sequence[EndpointState]
    ) -> None:
        """Make a change, and tell of its end alone."""
        answers: list[bytes] = []
        missing = b""
        for endpoint in targets:
            async with self._http() as http, _reachable(endpoint):
                reply = await http.request(request.method, endpoint.url + request.path, content=encode(body))
            if reply.status_code == 404:
                missing = reply.content
            elif reply.status_code >= 400:
                told = message_in(reply.content, reply.status_code)
                raise RequestError(reply.status_code, f"{endpoint.url}: {told}")
            else:
                answers.append(reply.content)
        if not answers:  # where one of several had the model, the others need not
            raise RequestError(404, message_in(missing, 404))
        self._note(request, 200)
        client.work = None
        client.respond(request, 200, answers[-1])

    # Files

    async def _blob(self, client: ClientConnection, request: Request) -> None:
        if request.method not in ("HEAD", "POST"):
            error = RequestError(405, f"{request.method} is not possible at {request.path}")
            error.headers["Allow"] = "HEAD, POST"
            raise error
        lacking: list[EndpointState] = []
        for endpoint in self._targets(request):
            async with self._http() as http, _reachable(endpoint):
                reply = await http.head(endpoint.url + request.path)
            if reply.status_code == 404:
                lacking.append(endpoint)
            elif reply.status_code >= 400:
                raise RequestError(reply.status_code, f"{request.path.removeprefix(BLOBS)!r} is no digest")
        if request.method == "HEAD":
            status = 404 if lacking else 200
        else:
            status = 201 if lacking else 200
            if lacking:
                await self._send(request, lacking)
        self._note(request, status)
        client.work = None
        client.respond(request, status, b"")

    async def _send(self, request: Request, targets: Sequence[EndpointState]) -> None:
        """Hand a file on to all that lack it, as it comes, no faster than the slowest takes it."""
        upload = request.upload
        assert upload is not None  # noqa: S101 - the reader gives every POST to this path one
        feeds = [Feed() for _ in targets]
        try:
            async with asyncio.TaskGroup() as tasks:
                sent = [
                    tasks.create_task(self._send_to(endpoint, request.path, feed))
                    for endpoint, feed in zip(targets, feeds, strict=True)
                ]
                tasks.create_task(pump(upload, feeds, self._limits.body_gap_seconds))
        except* RequestError as refusals:
            raise _first(refusals) from None
        for endpoint, task in zip(targets, sent, strict=True):
            status, told = task.result()
            if status >= 400:
                raise RequestError(status, f"{endpoint.url}: {message_in(told, status)}")

    async def _send_to(self, endpoint: EndpointState, path: str, feed: Feed) -> tuple[int, bytes]:
        try:
            async with self._http() as http, _reachable(endpoint):
                reply = await http.post(endpoint.url + path, content=feed)
            return reply.status_code, reply.content
        finally:
            feed.close()

    def _http(self) -> Any:
        # Changes are rare: a client of its own for each costs nothing that counts, and the library loads late.
        httpx = importlib.import_module("httpx")
        limits = self._limits
        timeout = httpx.Timeout(limits.first_byte_seconds, connect=limits.connect_seconds)
        return httpx.AsyncClient(timeout=timeout, trust_env=False, headers={"Content-Type": "application/json"})


@asynccontextmanager
async def _reachable(endpoint: EndpointState) -> AsyncGenerator[None]:
    """Tells where an endpoint cannot be reached, or breaks off."""
    httpx = importlib.import_module("httpx")
    try:
        yield
    except httpx.HTTPError as error:
        problem = str(error) or type(error).__name__
        raise RequestError(502, f"{endpoint.url}: {problem}", code="upstream_error") from error


def _first(group: BaseExceptionGroup[RequestError]) -> RequestError:
    """One of several refusals: there is room for one in an answer."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
