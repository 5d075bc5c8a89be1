"""A Docker host that runs nothing: what is made is there, and a log of what was done to it in its order.

It answers Docker's own HTTP API on a unix socket, as far as Paddock asks it, and takes orders from the stand-in for the
Docker plugin (:mod:`tests.standins.docker_provider`) at paths of its own below ``/orders``. It refuses what a daemon
refuses: two containers of one name or one published port, a network, volume or image that is not there.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Made = dict[str, Any]


class RefusedError(Exception):
    """The daemon refused."""


@dataclass
class DockerHost:
    """The host. Tests look at it and break it."""

    socket: Path
    info: dict[str, Any] = field(
        default_factory=lambda: {"MemTotal": 64 * 2**30, "NCPU": 8, "Runtimes": {"runc": {}}, "DockerRootDir": "/none"}
    )
    containers: dict[str, Made] = field(default_factory=dict[str, Made])
    networks: dict[str, Made] = field(default_factory=dict[str, Made])
    volumes: dict[str, Made] = field(default_factory=dict[str, Made])
    images: dict[str, Made] = field(default_factory=dict[str, Made])
    failing: dict[str, str] = field(default_factory=dict[str, str])
    """One-shots that end with 1, and what they say."""
    unhealthy: set[str] = field(default_factory=set[str])
    absent_images: set[str] = field(default_factory=set[str])
    """Images that no registry has."""
    log: list[str] = field(default_factory=list[str])
    _numbers: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _published: dict[str, list[tuple[ThreadingHTTPServer, threading.Thread]]] = field(
        default_factory=dict[str, list[tuple[ThreadingHTTPServer, threading.Thread]]]
    )

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def names(self) -> set[str]:
        return {*self.containers, *self.networks, *self.volumes}

    def stop(self, name: str) -> None:
        """A container dies."""
        self._close(name)
        self.containers[name]["status"] = "exited"

    def get(self, path: str) -> tuple[int, Any]:
        """An answer of the daemon's API."""
        with self._lock:
            kind, _, rest = path.strip("/").partition("/")
            name = unquote(rest.removesuffix("/json"))
            if path == "/info":
                return 200, self.info
            if path == "/containers/json":
                return 200, [_listed(one) for one in self.containers.values()]
            if kind == "distribution":
                there = name not in self.absent_images
                return (200, {}) if there else (404, {"message": f"manifest for {name} not found"})
            kinds = {"containers": self.containers, "volumes": self.volumes, "images": self.images}
            if kind not in kinds:
                return 404, {"message": "page not found"}
            found = next((one for one in kinds[kind].values() if name in (one["name"], one.get("id"))), None)
            if found is None:
                return 404, {"message": f"no such thing: {name}"}
            return 200, _inspected(found) if kind == "containers" else found

    def order(self, action: str, kind: str, given: Made) -> Made:
        """What the plugin wants done: ``create``, ``start``, ``read`` or ``delete``."""
        with self._lock:
            kept: dict[str, Made] = getattr(self, kind)
            name: str = given["name"]
            if action == "read":
                return kept.get(name) or {}
            self.log.append(f"{action} {name}")
            if action == "delete":
                self._close(name)
                kept.pop(name, None)
                return {}
            if action == "start":
                kept[name]["status"] = "running"
                self._open(kept[name])
                return kept[name]
            if kind == "containers":
                self._judge(given)
            elif name in kept and kind != "images":
                raise RefusedError(f"{kind} {name} is there already")
            elif kind == "images" and name in self.absent_images:
                raise RefusedError(f"unable to find or pull image {name}")
            self._numbers += 1
            made = {**given, "id": f"{self._numbers:064x}"}
            if kind == "containers":
                made |= self._run(given)
                self._open(made)
            kept[name] = made
            return made

    def _open(self, made: Made) -> None:
        """Published ports answer as long as their container runs."""
        for port in made.get("ports", []) if made["status"] == "running" else []:
            server = ThreadingHTTPServer((port["ip"], int(port["external"])), _Published)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            self._published.setdefault(made["name"], []).append((server, thread))

    def _close(self, name: str) -> None:
        for server, thread in self._published.pop(name, []):
            server.shutdown()
            thread.join()
            server.server_close()

    def close(self) -> None:
        """End whatever answers."""
        for name in list(self._published):
            self._close(name)

    def _judge(self, given: Made) -> None:
        if given["name"] in self.containers:
            raise RefusedError(f"the container name {given['name']} is already in use")
        if given["image"] not in {one["id"] for one in self.images.values()}:
            raise RefusedError(f"no such image: {given['image']}")
        for network in given.get("networksAdvanced", []):
            if network["name"] not in self.networks:
                raise RefusedError(f"network {network['name']} not found")
        for mount in given.get("mounts", []):
            if mount["type"] == "volume" and mount["source"] not in self.volumes:
                raise RefusedError(f"no such volume: {mount['source']}")
        taken = {port["external"] for one in self.containers.values() for port in one.get("ports", [])}
        for port in given.get("ports", []):
            if port["external"] in taken:
                raise RefusedError(f"port {port['external']} is already allocated")

    def _run(self, given: Made) -> Made:
        if given["mustRun"]:
            return {"status": "running", "healthy": given["name"] not in self.unhealthy}
        said = self.failing.get(given["name"])
        return {"status": "exited", "exitCode": 0 if said is None else 1, "containerLogs": said or "done"}


def _listed(one: Made) -> Made:
    ports = [{"PublicPort": port["external"]} for port in one.get("ports", []) if one["status"] == "running"]
    labels = {label["label"]: label["value"] for label in one.get("labels", [])}
    return {"Id": one["id"], "Names": [f"/{one['name']}"], "Ports": ports, "Labels": labels, "State": one["status"]}


def _inspected(one: Made) -> Made:
    health = {"Health": {"Status": "healthy" if one["healthy"] else "unhealthy"}} if "healthy" in one else {}
    labels = {label["label"]: label["value"] for label in one.get("labels", [])}
    state = {"Status": one["status"], "ExitCode": one.get("exitCode", 0), **health}
    return {
        "Id": one["id"],
        "Name": f"/{one['name']}",
        "State": state,
        "Config": {"Labels": labels},
        "HostConfig": {"RestartPolicy": {"Name": one.get("restart", "no")}},
        "RestartCount": 0,
    }


class _Published(BaseHTTPRequestHandler):
    """What a published port answers: that it is well, and one short reply to any question."""

    def do_GET(self) -> None:
        self._send("application/json", b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        chunks = [
            {"choices": [{"index": 0, "delta": {"content": "Paris."}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}},
        ]
        events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        self._send("text/event-stream", f"{events}data: [DONE]\n\n".encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class calls it
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    # The engine's workers all knock at once.
    request_queue_size = 256


@contextmanager
def serving(socket: Path) -> Iterator[DockerHost]:
    """A host whose daemon answers at ``socket`` for as long as the block runs."""
    host = DockerHost(socket)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(*host.get(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            _, action, kind = self.path.strip("/").split("/")
            try:
                self._answer(200, host.order(action, kind, given))
            except RefusedError as error:
                self._answer(409, {"message": str(error)})

        def _answer(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class calls it
            pass

    with _Server(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()
            host.close()
