"""An engine that is killed in the middle of an `up` on a cluster: the next `up` repairs it, whatever was written."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import psutil
import pytest
import yaml

from cli.engine.unfinished import LARGE_FLEET_MODELS
from tests.engine.checkout import Checkout, wait_until
from tests.engine.kubernetes_stack import small_fleet
from tests.standins.kubernetes_directory import DirectoryCluster

pytestmark = [pytest.mark.engine, pytest.mark.slow]
STACK = ("--stack", "test", "--yes")
END_SECONDS = 60


@pytest.fixture
def checkout(cluster_checkout: Checkout) -> Checkout:
    """Here every fleet is on a cluster."""
    return cluster_checkout


def write(checkout: Checkout, config: dict[str, Any]) -> None:
    document = {"config": {f"paddock:{key}": value for key, value in config.items()}}
    (checkout.directory / "Pulumi.test.yaml").write_text(yaml.safe_dump(document))


def fleet_of(count: int, model: str = "gemma3:1b") -> dict[str, Any]:
    return small_fleet(models={f"m{number}": {"model": model} for number in range(count)}, aliases={"default": "m0"})


def engine_below(process: subprocess.Popen[str]) -> psutil.Process:
    """The engine that a command has started."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if child.name() == "pulumi")


def kill_in_the_middle(checkout: Checkout, cluster: DirectoryCluster) -> None:
    """Kill the engine of an `up` with everything below it, while a model's servers are being made."""
    cluster.fault({"StatefulSet/m1-*": "held"})
    cluster.begin_log()
    command = checkout.start("up", *STACK)
    wait_until(lambda: any(name.startswith("StatefulSet/m1-") for name in cluster.objects()))
    engine = engine_below(command)
    below = engine.children(recursive=True)
    engine.send_signal(signal.SIGKILL)
    _, errors = command.communicate(timeout=END_SECONDS)
    assert command.returncode == 1, errors
    psutil.wait_procs(below, timeout=END_SECONDS)
    cluster.fault({})


def state(checkout: Checkout) -> dict[str, Any]:
    path = checkout.directory / ".paddock" / "state" / ".pulumi" / "stacks" / "paddock" / "test.json"
    return json.loads(path.read_text())["checkpoint"]["latest"]


def model_objects(cluster: DirectoryCluster) -> set[str]:
    return {name for name in cluster.objects() if name.startswith("StatefulSet/m")}


def repair(checkout: Checkout) -> dict[str, Any]:
    return checkout.json("up", *STACK)


@pytest.mark.parametrize("models", [3, LARGE_FLEET_MODELS], ids=["written each time", "written once"])
def test_an_up_that_was_killed_is_repaired_by_the_next(
    checkout: Checkout, cluster: DirectoryCluster, models: int
) -> None:
    write(checkout, fleet_of(models))
    kill_in_the_middle(checkout, cluster)
    written_once = models >= LARGE_FLEET_MODELS
    assert bool(state(checkout).get("pending_operations")) is not written_once
    there = set(cluster.objects())
    assert "Namespace/llm" in there

    if written_once:
        # The state knows of nothing, and to destroy by it would leave everything behind.
        refused = checkout.paddock("destroy", *STACK, exit_code=2)
        assert "cut off" in refused.stderr
        assert set(cluster.objects()) == there

    # One that fails on its way loses nothing of what is still to be taken over.
    cluster.fault({"StatefulSet/m1-*": "refused"})
    checkout.paddock("up", *STACK, exit_code=1)
    checkout.paddock("refresh", "--stack", "test")
    cluster.fault({})
    assert repair(checkout)["changes"]["created"] >= 1
    assert not state(checkout).get("pending_operations")
    assert len(model_objects(cluster)) == models
    assert "Job" in {name.partition("/")[0] for name in cluster.objects()}
    again = repair(checkout)
    assert again["changes"] == {}
    checkout.paddock("destroy", *STACK)
    assert cluster.objects() == {}


def test_what_was_begun_and_is_needed_no_more_is_told(checkout: Checkout, cluster: DirectoryCluster) -> None:
    write(checkout, fleet_of(LARGE_FLEET_MODELS))
    kill_in_the_middle(checkout, cluster)
    lost = next(name for name in model_objects(cluster) if name.startswith("StatefulSet/m1-"))
    changed = fleet_of(LARGE_FLEET_MODELS)
    changed["models"]["m1"] = {"model": "llama3.1:8b"}
    write(checkout, changed)
    done = checkout.paddock("up", *STACK)
    assert f"kubectl delete statefulset {lost.partition('/')[2]} --namespace llm" in done.stderr
    again = checkout.paddock("up", *STACK)
    assert "kubectl delete" not in again.stderr


def test_an_object_of_somebody_else_is_not_taken_over(checkout: Checkout, cluster: DirectoryCluster) -> None:
    write(checkout, fleet_of(2))
    foreign = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "llm", "labels": {"team": "other"}}}
    cluster.change(foreign)
    refused = checkout.paddock("up", *STACK, exit_code=1)
    assert "already exists" in refused.stderr
    assert cluster.objects()["Namespace/llm"] == foreign


def test_a_failing_up_of_a_large_fleet_still_writes_what_it_made(checkout: Checkout, cluster: DirectoryCluster) -> None:
    write(checkout, fleet_of(LARGE_FLEET_MODELS))
    cluster.fault({"StatefulSet/m1-*": "refused"})
    checkout.paddock("up", *STACK, exit_code=1)
    assert len(state(checkout)["resources"]) > LARGE_FLEET_MODELS
    checkout.paddock("destroy", *STACK)
    assert cluster.objects() == {}
