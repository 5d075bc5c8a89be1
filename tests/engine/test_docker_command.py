"""A Docker stack by Paddock's own command: up, changed, broken, mended and down, on a host that runs nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.checkout import Checkout, make_checkout
from tests.engine.conftest import STANDINS
from tests.ports import free_port
from tests.programs import REPOSITORY
from tests.standins.docker_host import DockerHost, serving

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]
HOST = ("--stack", "host")


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerHost]:
    # A unix socket's path has room for a hundred characters.
    with serving(tmp_path_factory.mktemp("d") / "s") as host:
        yield host


@pytest.fixture
def checkout(tmp_path: Path, engine_binary: Path, host: DockerHost) -> Checkout:
    """A checkout with the shipped Docker stack, on ports of its own."""
    checkout = make_checkout(tmp_path, engine_binary)
    checkout.environment["PATH"] = os.pathsep.join([str(STANDINS), checkout.environment["PATH"]])
    checkout.environment |= {"DOCKER_HOST": host.address, "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
    config = yaml.safe_load((REPOSITORY / "Pulumi.host.yaml").read_text())["config"]
    config["paddock:router"]["port"] = free_port()
    config["paddock:webUi"]["port"] = free_port()
    write(checkout, config)
    return checkout


def read(checkout: Checkout) -> dict[str, Any]:
    return yaml.safe_load((checkout.directory / "Pulumi.host.yaml").read_text())["config"]


def write(checkout: Checkout, config: dict[str, Any]) -> None:
    (checkout.directory / "Pulumi.host.yaml").write_text(yaml.safe_dump({"config": config}))


def contract_on(host: DockerHost) -> dict[str, Any]:
    """The contract as the router reads it."""
    uploads = host.containers["paddock-host-publish"]["uploads"]
    return json.loads(next(one["content"] for one in uploads if one["file"].endswith("contract.json")))


def test_the_shipped_stack_goes_up_changes_is_mended_and_comes_down(checkout: Checkout, host: DockerHost) -> None:
    preview = checkout.json("preview", *HOST)
    assert host.log == []
    up = checkout.json("up", *HOST, "--yes")
    assert up["changes"] == preview["changes"]
    assert up["answer"]["text"] == "Paris."
    assert up["fleet"]["target"] == "docker"
    assert up["fleet"] == contract_on(host) == checkout.json("outputs", *HOST)
    created = [line.removeprefix("create paddock-host-") for line in host.log if line.startswith("create paddock-host")]
    order = ["setup", "assistant-load", "assistant-0", "publish", "router", "web-ui"]
    assert [name for name in created if name in order] == order
    assert checkout.json("up", *HOST, "--yes")["changes"] == {}

    # Another alias reaches the router by its file alone: it is not replaced, and nothing else is.
    host.log.clear()
    config = read(checkout)
    config["paddock:aliases"] = {"default": "assistant", "quick": "assistant"}
    write(checkout, config)
    checkout.json("up", *HOST, "--yes")
    assert host.log == ["delete paddock-host-publish", "create paddock-host-publish"]
    assert "quick" in contract_on(host)["aliases"]

    # What died is seen, and started again.
    host.stop("paddock-host-assistant-0")
    drift = checkout.json("status", *HOST, "--drift", exit_code=1)
    assert drift["resources"] == [{"resource": "assistant-0 (Container)", "state": "differs"}]
    status = checkout.json("status", *HOST, exit_code=1)
    states = {one["name"]: one["state"] for one in status["containers"]}
    assert states["paddock-host-assistant-0"] == "exited"
    assert states["paddock-host-router"] == "running, healthy"
    checkout.json("refresh", *HOST)
    checkout.json("up", *HOST, "--yes")
    assert host.containers["paddock-host-assistant-0"]["status"] == "running"

    checkout.json("destroy", *HOST, "--yes")
    assert host.names() == set()


def test_weights_that_do_not_come_stop_the_fleet_and_are_tried_again(checkout: Checkout, host: DockerHost) -> None:
    host.failing["paddock-host-assistant-load"] = "paddock: fetching llama3.2:3b\nno route to host"
    said = checkout.paddock("up", *HOST, "--yes", exit_code=1)
    assert "no route to host" in said.stdout + said.stderr
    assert "paddock-host-assistant-0" not in host.containers

    first = host.containers["paddock-host-assistant-load"]["id"]
    host.failing.clear()
    checkout.json("up", *HOST, "--yes")
    second = host.containers["paddock-host-assistant-load"]["id"]
    assert first != second
    assert "paddock-host-router" in host.containers
    # It stays as it is from now on.
    assert checkout.json("up", *HOST, "--yes")["changes"] == {}
    assert host.containers["paddock-host-assistant-load"]["id"] == second
    checkout.json("destroy", *HOST, "--yes")


def test_what_a_host_lacks_is_said_before_anything_is_made(checkout: Checkout, host: DockerHost) -> None:
    config = read(checkout)
    config["paddock:models"]["assistant"]["gpu"] = "nvidia-l4"
    config["paddock:models"]["large"] = "llama3.1:70b"
    write(checkout, config)
    host.absent_images.add("registry.example.com/paddock/paddock:0.1.0")
    host.info["MemTotal"] = 8 * 2**30
    other = {"id": "1" * 64, "name": "other", "status": "running"}
    host.containers["other"] = {**other, "ports": [{"external": config["paddock:router"]["port"]}]}

    said = checkout.paddock("up", *HOST, "--yes", exit_code=2).stderr
    for told in (
        "offers no NVIDIA GPU",
        "GiB of memory",
        "cannot be pulled: manifest for registry.example.com/paddock/paddock:0.1.0 not found",
        "is taken by container other",
    ):
        assert told in said
    assert host.log == []

    checkout.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    gone = checkout.json("doctor", *HOST, exit_code=1)
    finding = next(one for one in gone["findings"] if one["what"] == "docker.host")
    assert "no Docker daemon answers at unix:///nowhere/docker.sock" in finding["detail"]
