"""A real Kubernetes control plane on loopback: etcd, API server, controller manager, scheduler, and kwok for kubelets.

Nothing runs in its pods: kwok says that they do. Everything else is real: validation, admission, defaulting,
scheduling, rollouts, budgets, autoscaling.
"""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.cluster.client import ApiError, Client, Manifest
from tests.cluster.nodes import MANAGED_BY_KWOK
from tests.cluster.processes import Programs, free_ports
from tests.programs import ControlPlanePrograms

START_SECONDS = 60.0
READY_AFTER = "cluster-tests/ready-after"
"""A pod's annotation: how long it takes to become Ready, as "1500ms" or "2s". At once without it."""


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane."""

    url: str
    token: str
    certificate: Path
    """The API server's certificate, and the only one to trust."""
    key: Path
    """The private key of ``certificate``, for servers of the tests that the API server calls."""
    kubeconfig: Path
    """For kubectl and the like, as cluster administrator."""
    client: Client
    programs: Programs

    def new_client(self, token: str | None = None) -> Client:
        """Another client, as cluster administrator or whoever the token is. The caller closes it."""
        return Client(self.url, token or self.token, ssl.create_default_context(cafile=str(self.certificate)))

    def make_namespace(self, name: str, *, pod_security: str | None = None, timeout_seconds: float = 30.0) -> str:
        """Make a namespace that pods can be made in at once, and return its name.

        Args:
            name: The namespace.
            pod_security: The Pod Security level to enforce: privileged, baseline or restricted.
            timeout_seconds: How long its default service account may take, without which no pod is admitted.
        """
        labels = {"pod-security.kubernetes.io/enforce": pod_security} if pod_security else {}
        self.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        self.client.until(
            lambda accounts: any(one["metadata"]["name"] == "default" for one in accounts),
            *("v1", "ServiceAccount", name),
            seconds=timeout_seconds,
        )
        return name

    def end_namespace(self, name: str) -> None:
        """Ask for a namespace's end and remove its pods at once; none comes after them. The rest goes in a while."""
        self.client.delete("v1", "Namespace", name)
        for pod in self.client.pods(name):
            self.client.delete("v1", "Pod", pod["metadata"]["name"], name, grace_seconds=0)
        self.client.until(lambda pods: all("deletionTimestamp" in pod["metadata"] for pod in pods), "v1", "Pod", name)


@contextmanager
def run_control_plane(programs: ControlPlanePrograms, directory: Path) -> Iterator[ControlPlane]:
    """Start a control plane with its data and logs in ``directory``, and end it afterwards.

    Raises:
        StartError: A program ended, or is not healthy in time; says what it logged last.
    """
    running = Programs(directory)
    token = secrets.token_hex(16)
    etcd_port, peer_port, api_port = free_ports(3)
    url = f"https://127.0.0.1:{api_port}"
    certificate, key = _make_certificate(directory)
    kubeconfig = _write_kubeconfig(directory, url, token, certificate)
    client = Client(url, token, ssl.create_default_context(cafile=str(certificate)))
    try:
        etcd_url = f"http://127.0.0.1:{etcd_port}"
        running.start(programs.etcd, _etcd_arguments(directory, etcd_url, f"http://127.0.0.1:{peer_port}"))
        running.wait_for("etcd", lambda: _is_ok(f"{etcd_url}/readyz"), START_SECONDS)
        arguments = _api_server_arguments(directory, etcd_url, api_port, token, certificate, key)
        running.start(programs.api_server, arguments)
        running.wait_for("the API server", lambda: _answers(client, "/readyz"), START_SECONDS)
        running.start(programs.controller_manager, _controller_manager_arguments(kubeconfig, certificate, key))
        # Its port is fixed where it is not switched off, and two control planes beside each other would meet there.
        running.start(programs.scheduler, {"config": _write_scheduler_config(directory, kubeconfig), "secure-port": 0})
        running.start(programs.kwok, _kwok_arguments(directory, kubeconfig, programs.stages))
        running.wait_for(
            "the controller manager's first work, a default service account",
            lambda: client.find("v1", "ServiceAccount", "default") is not None,
            START_SECONDS,
        )
        yield ControlPlane(url, token, certificate, key, kubeconfig, client, running)
    finally:
        client.close()
        running.end()


def _is_ok(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _answers(client: Client, path: str) -> bool:
    try:
        client.request("GET", path)
    except (ApiError, httpx.TransportError):
        return False
    return True


# --- what each program is told ------------------------------------------------------------------------------------


def _etcd_arguments(directory: Path, client_url: str, peer_url: str) -> dict[str, str | int | Path]:
    return {
        "name": "cluster-tests",
        "data-dir": directory / "etcd",
        "listen-client-urls": client_url,
        "advertise-client-urls": client_url,
        "listen-peer-urls": peer_url,
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": f"cluster-tests={peer_url}",
        # The data need not outlive a crash of the machine.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def _api_server_arguments(
    directory: Path, etcd_url: str, port: int, token: str, certificate: Path, key: Path
) -> dict[str, str | int | Path]:
    tokens = directory / "tokens.csv"
    tokens.write_text(f'{token},administrator,administrator,"system:masters"\n')
    tokens.chmod(0o600)
    return {
        "etcd-servers": etcd_url,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        # Loopback must not be advertised. An address of the documentation's own network, which nobody asks for.
        "advertise-address": "192.0.2.1",
        "endpoint-reconciler-type": "none",
        "tls-cert-file": certificate,
        "tls-private-key-file": key,
        "token-auth-file": tokens,
        "authorization-mode": "RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-signing-key-file": key,
        "service-account-key-file": key,
        "service-cluster-ip-range": "10.96.0.0/16",
        # As in clusters that people use: Pod Security has to refuse a privileged pod, not this flag.
        "allow-privileged": "true",
        "cert-dir": directory,
    }


def _controller_manager_arguments(kubeconfig: Path, certificate: Path, key: Path) -> dict[str, str | int | Path]:
    return {
        "kubeconfig": kubeconfig,
        "leader-elect": "false",
        "secure-port": 0,
        "service-account-private-key-file": key,
        "root-ca-file": certificate,
        # Minutes by default, which tests cannot wait for. A behavior of an autoscaler's own goes before these.
        "horizontal-pod-autoscaler-sync-period": "1s",
        "horizontal-pod-autoscaler-downscale-stabilization": "3s",
        "horizontal-pod-autoscaler-initial-readiness-delay": "1s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "1s",
        "kube-api-qps": 500,
        "kube-api-burst": 1000,
    }


def _write_scheduler_config(directory: Path, kubeconfig: Path) -> Path:
    path = directory / "scheduler.yaml"
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 500, "burst": 1000},
        "leaderElection": {"leaderElect": False},
        # A pod that found no node tries again soon.
        "podMaxBackoffSeconds": 2,
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _kwok_arguments(directory: Path, kubeconfig: Path, stages: Path) -> dict[str, str | int | Path]:
    path = directory / "stages.yaml"
    path.write_text(yaml.safe_dump_all(_stages(stages)))
    annotation, value = MANAGED_BY_KWOK
    return {
        "config": path,
        "kubeconfig": kubeconfig,
        "manage-nodes-with-annotation-selector": f"{annotation}={value}",
        "node-lease-duration-seconds": 40,
        # No server in the kubelets' place: there are no logs to read and nothing to run a command in.
        "node-port": 0,
    }


def _stages(directory: Path) -> list[Manifest]:
    """kwok's own stages, with a pod's readiness delayed where its annotation says so."""
    stages: list[Any] = [yaml.safe_load(path.read_text()) for path in sorted(directory.glob("*.yaml"))]
    for stage in stages:
        if stage["metadata"]["name"] == "pod-ready":
            expression = f'.metadata.annotations["{READY_AFTER}"]'
            stage["spec"]["delay"] = {"durationMilliseconds": 0, "durationFrom": {"jq": {"expression": expression}}}
    return stages


# --- keys and configuration ---------------------------------------------------------------------------------------


def _make_certificate(directory: Path) -> tuple[Path, Path]:
    """One certificate, which signs itself, for every server and for service-account tokens."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=cluster-tests", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o600)
    return certificate, key


def _write_kubeconfig(directory: Path, url: str, token: str, certificate: Path) -> Path:
    path = directory / "kubeconfig"
    name = "cluster-tests"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority": str(certificate)}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path
