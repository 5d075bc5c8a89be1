"""The shipped production stack by Paddock's own command, on a cluster that is a directory."""

from __future__ import annotations

import shutil

import pytest

from tests.engine.checkout import Checkout
from tests.programs import REPOSITORY
from tests.standins.kubernetes_directory import DirectoryCluster

pytestmark = pytest.mark.engine
PROD = ("--stack", "prod")


def test_the_production_stack_goes_up_stays_and_comes_down(
    cluster_checkout: Checkout, cluster: DirectoryCluster
) -> None:
    checkout = cluster_checkout
    shutil.copy(REPOSITORY / "Pulumi.prod.yaml", checkout.directory)
    tracked = (checkout.directory / "Pulumi.prod.yaml").read_bytes()

    preview = checkout.json("preview", *PROD)
    assert preview["changes"]["created"] > 40
    assert cluster.objects() == {}

    up = checkout.json("up", *PROD, "--yes")
    assert up["changes"] == preview["changes"]
    assert up["fleet"]["target"] == "kubernetes"
    assert up["fleet"] == checkout.json("outputs", *PROD)
    assert "Deployment/router" in cluster.objects()
    assert (checkout.directory / "Pulumi.prod.yaml").read_bytes() == tracked, "the tracked file stays as it is"

    # Nobody can ask the router from here, and it says how to reach it instead.
    again = checkout.paddock("up", *PROD, "--yes")
    assert "nothing changed" in again.stderr
    assert "kubectl" in again.stdout + again.stderr

    assert checkout.json("status", *PROD, "--drift") == {"stack": "prod", "drifted": False, "resources": []}
    cluster.remove("Service/llama")
    drifted = checkout.paddock("status", *PROD, "--drift", exit_code=1).stdout
    assert "gone" in drifted
    assert "llama" in drifted
    assert checkout.json("refresh", *PROD)["changes"] == {"gone": 1}
    assert checkout.json("up", *PROD, "--yes")["changes"] == {"created": 1}

    # Production is taken down by its name, and what holds data only once somebody gave it free.
    assert "--name prod" in checkout.paddock("destroy", *PROD, "--yes", exit_code=2).stderr
    there = cluster.objects()
    refused = checkout.paddock("destroy", *PROD, "--yes", "--name", "prod", exit_code=2).stderr
    assert "web-ui-data" in refused
    assert "paddock:protect" in refused
    assert cluster.objects() == there
    with (checkout.directory / "Pulumi.prod.yaml").open("a") as file:
        file.write("  paddock:protect: false\n")
    checkout.paddock("up", *PROD, "--yes")
    checkout.paddock("destroy", *PROD, "--yes")
    assert cluster.objects() == {}
