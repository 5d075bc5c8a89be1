"""The whole path: the real program, the real Pulumi engine, a stand-in for its plugin, and a real API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet_spec.stack_file import read_stack_file
from tests import programs
from tests.cluster.client import Client, Manifest
from tests.cluster.conditions import count_ready, is_ready
from tests.cluster.conftest import AddNodes
from tests.cluster.control_plane import ControlPlane
from tests.cluster.metrics_api import Metrics
from tests.cluster.nodes import CPU, node, nvidia
from tests.cluster.recording import recording
from tests.cluster.volumes import storage_class
from tests.engine.conftest import Pulumi, make_environment
from tests.engine.kubernetes_stack import ClusterStack, make_stack

pytestmark = pytest.mark.cluster

NAMESPACE = "pulumi-up"
SAMPLE_SECONDS = 0.05
MODEL = "app.kubernetes.io/component=model,app.kubernetes.io/instance="


@pytest.fixture
def production(
    control_plane: ControlPlane,
    client: Client,
    add_nodes: AddNodes,
    provisioner: None,
    metrics: Metrics,
    tmp_path: Path,
) -> Iterator[ClusterStack]:
    """The shipped prod stack, with the nodes and classes that it speaks of, and nothing of it up yet."""
    labels = {"gpu-type": "nvidia-t4"}
    add_nodes(node(f"up-t4-{i}", nvidia("Tesla-T4", 4, labels=labels), zone=f"zone-{'ab'[i % 2]}") for i in range(4))
    add_nodes(node(f"up-cpu-{i}", CPU) for i in range(2))
    client.apply(storage_class("fast-ssd"))
    client.apply(storage_class("standard", default=True))
    for model in ("llama", "mistral", "codellama"):
        metrics.set_for_object(NAMESPACE, "services", model, "ollama_active_requests", 0)
    metrics.share_among_pods(NAMESPACE, "gpu_utilization_percent", 0)
    metrics.set_cpu(NAMESPACE, 0.1)
    engine = programs.engine_binary()
    project = tmp_path / "project"
    project.mkdir()
    pulumi = Pulumi(engine, project, make_environment(engine, tmp_path))
    yield make_stack(pulumi, tmp_path, "prod", prod_config(), control_plane.kubeconfig)
    pulumi.end()
    if client.find("v1", "Namespace", NAMESPACE) is not None:
        control_plane.end_namespace(NAMESPACE)


def prod_config(**changes: Any) -> dict[str, Any]:
    # What holds data in production is kept from deletion; here it is to go.
    prod = read_stack_file(programs.REPOSITORY, "prod").raw
    return {**prod, "namespace": NAMESPACE, "protect": False, **changes}


def test_the_production_fleet_lives_its_whole_life(production: ClusterStack, client: Client) -> None:
    assert production.up()["created"] > 50
    pods = [pod for pod in client.pods(NAMESPACE) if pod["status"]["phase"] != "Succeeded"]
    assert count_ready(pods) == len(pods) >= 9
    # With as many as they are promised from the start, whatever the scaler has said by then.
    assert [len(client.pods(NAMESPACE, MODEL + name)) for name in ("llama", "mistral", "codellama")] == [3, 2, 1]
    assert production.up("--expect-no-changes") == {}

    # The scaler's number is left alone by a change of something else.
    client.scale("apps/v1", "StatefulSet", workload(client, "mistral"), 4, NAMESPACE)
    models = prod_config()["models"]
    production.write(prod_config(models={**models, "mistral": {**models["mistral"], "keepAlive": "1h"}}))
    with recording(client, "apps/v1", "StatefulSet", NAMESPACE, labels=f"{MODEL}mistral") as states:
        production.up()
    # The cluster's own scaler may take it back step by step meanwhile; the stack's number, two, is never written.
    assert min(one["spec"]["replicas"] for state in states for one in state) > 2
    assert states[-1][0]["spec"]["template"]["spec"]["containers"][0]["env"]

    # A swap: at no moment is there nobody behind the model's address, and the old servers go last.
    old = workload(client, "llama")
    swapped = {**models, "llama": {**models["llama"], "model": "gemma3:1b"}}
    with sampling(client, "llama") as ready:
        production.write(prod_config(models=swapped))
        production.up()
    new = workload(client, "llama")
    assert new != old
    assert min(ready) >= 3
    assert production.up("--expect-no-changes") == {}

    assert production.destroy()["deleted"] > 50
    assert client.find("v1", "Namespace", NAMESPACE) is None


def workload(client: Client, model: str) -> str:
    """The name of the one workload of a model."""
    (found,) = client.objects("apps/v1", "StatefulSet", NAMESPACE, labels=MODEL + model)
    return found["metadata"]["name"]


@contextmanager
def sampling(client: Client, model: str) -> Iterator[list[int]]:
    """How many ready pods a model's Service leads to, looked at again and again while something else is done."""
    seen: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            service = client.get("v1", "Service", model, NAMESPACE)
            seen.append(behind(service, client.pods(NAMESPACE, MODEL + model)))

    thread = threading.Thread(target=look, name="sampling")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def behind(service: Manifest, pods: list[Manifest]) -> int:
    """How many ready pods a Service leads to."""
    selector: dict[str, str] = service["spec"]["selector"]
    return sum(selector.items() <= pod["metadata"]["labels"].items() and is_ready(pod) for pod in pods)
