"""A metrics adapter for tests: metrics whose values the test sets, served to real autoscalers.

It stands where metrics-server, prometheus-adapter or KEDA would: registered through APIService objects, called by the
API server on behalf of the autoscaler. Its addresses are ExternalName services, because endpoints on loopback are
refused.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cluster.client import Client, Manifest
from tests.cluster.conditions import is_ready
from tests.cluster.control_plane import ControlPlane

CUSTOM = "custom.metrics.k8s.io/v1beta1"
EXTERNAL = "external.metrics.k8s.io/v1beta1"
RESOURCE = "metrics.k8s.io/v1beta1"
SERVED = (CUSTOM, EXTERNAL, RESOURCE)
NAMESPACE = "cluster-tests-metrics"
SERVICE = "metrics"


@dataclass
class Metrics:
    """What the adapter answers. A metric that was not set is not there, as with a real adapter."""

    client: Client
    _shared: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    _objects: dict[tuple[str, str, str, str], float] = field(default_factory=dict[tuple[str, str, str, str], float])
    _external: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    _cpu: dict[str, float] = field(default_factory=dict[str, float])
    asked: list[str] = field(default_factory=list[str])
    """Each path that autoscalers asked for, with its query."""

    def share_among_pods(self, namespace: str, metric: str, total: float) -> None:
        """A load that the ready pods of whatever asks carry together, each the same part of it (type Pods)."""
        self._shared[namespace, metric] = total

    def set_for_object(self, namespace: str, resource: str, name: str, metric: str, value: float) -> None:
        """A value of one object, such as of the Service "router": ``resource`` is plural, "services" (type Object)."""
        self._objects[namespace, resource, name, metric] = value

    def set_external(self, namespace: str, metric: str, value: float) -> None:
        """A value that belongs to no object (type External)."""
        self._external[namespace, metric] = value

    def set_cpu(self, namespace: str, cores: float) -> None:
        """What each container of a namespace uses (type Resource, cpu)."""
        self._cpu[namespace] = cores

    def answer(self, path: str, query: Mapping[str, str]) -> Manifest | None:
        """The answer to one request, None where nothing is there."""
        for group in SERVED:
            if path == f"/apis/{group}":
                return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": []}
        match path.strip("/").split("/"):
            case ["apis", "custom.metrics.k8s.io", _, "namespaces", namespace, "pods", "*", metric]:
                return self._of_pods(namespace, metric, query.get("labelSelector", ""))
            case ["apis", "custom.metrics.k8s.io", _, "namespaces", namespace, resource, name, metric]:
                value = self._objects.get((namespace, resource, name, metric))
                described = {"kind": resource, "namespace": namespace, "name": name}
                return None if value is None else _custom_list(metric, [(described, value)])
            case ["apis", "external.metrics.k8s.io", _, "namespaces", namespace, metric]:
                return self._of_nothing(namespace, metric)
            case ["apis", "metrics.k8s.io", _, "namespaces", namespace, "pods"]:
                return self._of_containers(namespace, query.get("labelSelector", ""))
            case _:
                return None

    def _of_pods(self, namespace: str, metric: str, labels: str) -> Manifest | None:
        total = self._shared.get((namespace, metric))
        if total is None:
            return None
        pods = [pod for pod in self.client.pods(namespace, labels) if is_ready(pod)]
        described = [{"kind": "Pod", "namespace": namespace, "name": pod["metadata"]["name"]} for pod in pods]
        return _custom_list(metric, [(one, total / len(pods)) for one in described])

    def _of_containers(self, namespace: str, labels: str) -> Manifest | None:
        cores = self._cpu.get(namespace)
        if cores is None:
            return None
        usage = {"cpu": _quantity(cores), "memory": "64Mi"}
        items = [
            {
                "metadata": {"name": pod["metadata"]["name"], "namespace": namespace},
                "timestamp": _now(),
                "window": "1s",
                "containers": [{"name": one["name"], "usage": usage} for one in pod["spec"]["containers"]],
            }
            for pod in self.client.pods(namespace, labels)
            if is_ready(pod)
        ]
        return {"kind": "PodMetricsList", "apiVersion": RESOURCE, "metadata": {}, "items": items}

    def _of_nothing(self, namespace: str, metric: str) -> Manifest | None:
        value = self._external.get((namespace, metric))
        if value is None:
            return None
        item = {"metricName": metric, "metricLabels": {}, "timestamp": _now(), "value": _quantity(value)}
        return {"kind": "ExternalMetricValueList", "apiVersion": EXTERNAL, "metadata": {}, "items": [item]}


def _custom_list(metric: str, values: list[tuple[dict[str, str], float]]) -> Manifest:
    items = [
        {
            "describedObject": {"apiVersion": "v1", **described},
            "metricName": metric,
            "timestamp": _now(),
            "value": _quantity(value),
            "selector": None,
        }
        for described, value in values
    ]
    return {"kind": "MetricValueList", "apiVersion": CUSTOM, "metadata": {}, "items": items}


def _quantity(value: float) -> str:
    return f"{round(value * 1000)}m"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    metrics: Metrics


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the base class's name
        metrics = cast(_Server, self.server).metrics
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        answer: dict[str, Any] | None = metrics.answer(path, query)
        if path.count("/") > 3:
            metrics.asked.append(self.path)
        status = 200
        if answer is None:
            status, answer = 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
            answer |= {"code": 404, "message": f"no value was set for {self.path}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the test has ``asked``."""


@contextmanager
def run_metrics_api(control_plane: ControlPlane) -> Iterator[Metrics]:
    """Serve metrics, register them with the API server, and wait until it finds them available."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.metrics = Metrics(control_plane.client)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(control_plane.certificate, control_plane.key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, name="metrics-api")
    thread.start()
    client = control_plane.client
    try:
        control_plane.make_namespace(NAMESPACE)
        names = [_register(client, api_version, server.server_port) for api_version in SERVED]
        client.until(
            lambda found: set(names) <= {one["metadata"]["name"] for one in found if _is_available(one)}, *API_SERVICE
        )
        yield server.metrics
        for name in names:
            client.delete(*API_SERVICE, name)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


API_SERVICE = ("apiregistration.k8s.io/v1", "APIService")


def _register(client: Client, group_version: str, port: int) -> str:
    group, version = group_version.split("/")
    client.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }
    )
    api_service = {
        "apiVersion": API_SERVICE[0],
        "kind": API_SERVICE[1],
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": NAMESPACE, "name": SERVICE, "port": port},
        },
    }
    return client.apply(api_service)["metadata"]["name"]


def _is_available(api_service: Manifest) -> bool:
    conditions = api_service.get("status", {}).get("conditions", [])
    return any(one["type"] == "Available" and one["status"] == "True" for one in conditions)
