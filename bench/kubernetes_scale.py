"""How a large fleet converges on a real control plane with simulated nodes.

etcd, the API server, the controller manager and the scheduler are real; kwok says that pods run, so images and weights
take no time, and what is measured is the cluster's own work with Paddock's manifests: admission, volumes, scheduling by
selectors, tolerations and spread, endpoints, budgets.

    python bench/kubernetes_scale.py [--models 200] [--replicas 10] [--nodes 500] [--storage perReplica]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from components.kubernetes.groups import fleet_groups
from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.manifests.secrets import needed_secrets
from components.kubernetes.model import KubernetesPlan
from tests.cluster.client import Client
from tests.cluster.conditions import why_pending
from tests.cluster.control_plane import ControlPlane, run_control_plane
from tests.cluster.nodes import CPU, add_nodes, node, nvidia
from tests.cluster.volumes import run_provisioner, storage_class
from tests.programs import control_plane_programs
from tests.unit.kubernetes.configurations import DIGEST, IMAGE, planned

GPUS_PER_NODE = 8
APPLYING_THREADS = 8
LONGEST_SECONDS = 1200.0
POLL_SECONDS = 2.0
MODELS = "app.kubernetes.io/component=model"


def config(models: int, replicas: int, nodes: int, storage: str) -> dict[str, Any]:
    """A fleet of this many models, each with this many replicas on one GPU."""
    weights: dict[str, Any] = {"mode": storage}
    if storage == "image":
        weights["image"] = f"weights/llama@{DIGEST}"
    one = {"model": "llama3.1:8b", "gpu": "nvidia-l4", "replicas": replicas, "storage": weights}
    return {
        "target": "kubernetes",
        "models": {f"model-{number}": one for number in range(models)},
        "gpuPools": {"main": {"gpuType": "nvidia-l4", "gpusPerNode": GPUS_PER_NODE, "maxNodes": nodes}},
        "router": {"image": IMAGE},
        "storage": {"storageClass": "fast"} if storage != "image" else {},
        "kubernetes": {"version": "1.35"},
    }


def apply(control_plane: ControlPlane, manifests: Iterable[Manifest], namespace: str) -> None:
    """Apply manifests whose order does not matter, from several threads."""
    with ThreadPoolExecutor(APPLYING_THREADS) as pool:
        list(pool.map(lambda one: control_plane.client.apply(one, namespace=namespace), manifests))


def serves(pod: Manifest) -> bool:
    """Whether a pod's kubelet says that its containers are ready.

    Not the pod's own condition: where the machine that simulates the kubelets is too busy for their heartbeats, the
    cluster takes that from pods that run.
    """
    containers = pod.get("status", {}).get("containerStatuses", [])
    return bool(containers) and all(one["ready"] for one in containers)


def wait_for_pods(client: Client, namespace: str, wanted: int) -> list[Manifest]:
    """Wait until that many of the models' pods serve, and return them."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        pods = client.pods(namespace, MODELS)
        if sum(map(serves, pods)) == wanted == len(pods):
            return pods
        if time.monotonic() > deadline:
            reasons = Counter(filter(None, map(why_pending, pods)))
            raise SystemExit(f"{sum(map(serves, pods))} of {wanted} ready; pending: {reasons.most_common(3)}")
        time.sleep(POLL_SECONDS)


def check(plan: KubernetesPlan, pods: list[Manifest], client: Client) -> None:
    """See that every pod is where it may be, and that no pod of the fleet is pending."""
    placed = Counter(pod["spec"]["nodeName"] for pod in pods)
    assert all(name.startswith("gpu-") for name in placed), "a model is on a node without GPUs"
    assert max(placed.values()) <= GPUS_PER_NODE, "a node has more pods than GPUs"
    for model in plan.models:
        where = {pod["spec"]["nodeName"] for pod in pods if model.workload in pod["metadata"]["name"]}
        assert len(where) >= 2, f"{model.name} is on one node"
    waiting = [pod["metadata"]["name"] for pod in client.pods(plan.namespace) if why_pending(pod) is not None]
    assert not waiting, f"pending: {waiting[:5]}"


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--replicas", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--storage", choices=["perReplica", "ephemeral", "image"], default="perReplica")
    options = parser.parse_args()
    marks: list[tuple[str, float]] = []

    def mark(what: str) -> None:
        marks.append((what, time.perf_counter()))
        print(f"{marks[-1][1] - marks[0][1]:7.1f} s  {what}", file=sys.stderr, flush=True)

    mark("begun")
    plan = planned(config(options.models, options.replicas, options.nodes, options.storage))
    stages = [one for group in fleet_groups(plan) for one in group.stages]
    manifests = [one for stage in stages for one in stage]
    mark("planned, and all manifests made")
    with (
        tempfile.TemporaryDirectory() as directory,
        run_control_plane(control_plane_programs(), Path(directory)) as control_plane,
        run_provisioner(control_plane.new_client()),
    ):
        client = control_plane.client
        mark("control plane started")
        shape = nvidia("NVIDIA-L4", GPUS_PER_NODE)
        add_nodes(
            client,
            (node(f"gpu-{i}", shape, zone=f"zone-{'abc'[i % 3]}") for i in range(options.nodes)),
            seconds=LONGEST_SECONDS,
        )
        add_nodes(client, (node(f"cpu-{i}", CPU, zone=f"zone-{'abc'[i % 3]}") for i in range(6)))
        client.apply(storage_class("fast"))
        client.apply(storage_class("standard", default=True))
        mark(f"{options.nodes} nodes of {GPUS_PER_NODE} GPUs ready")
        client.apply_all(one for one in manifests if one["kind"] in ("Namespace", "ServiceAccount"))
        secrets = [one.reference for one in needed_secrets(plan)]
        apply(
            control_plane,
            (
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": one.name},
                    "stringData": {one.key: "made up"},
                }
                for one in secrets
            ),
            plan.namespace,
        )
        begun = time.perf_counter()
        apply(control_plane, (one for one in manifests if one["kind"] != "Namespace"), plan.namespace)
        mark(f"{len(manifests)} objects applied")
        applied = time.perf_counter()
        pods = wait_for_pods(client, plan.namespace, options.models * options.replicas)
        ready = time.perf_counter()
        mark(f"{len(pods)} replicas ready")
        check(plan, pods, client)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"Python {platform.python_version()}, {machine}, {options.storage} storage.\n")
    print("| what | |")
    print("|---|---|")
    print(f"| models, replicas, GPUs | {options.models}, {len(pods)}, {options.nodes * GPUS_PER_NODE} |")
    print(f"| objects applied | {len(manifests)} in {applied - begun:.1f} s |")
    print(f"| all replicas ready | {ready - begun:.1f} s after the first object |")
    print("| pods pending that should not be | 0 |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
