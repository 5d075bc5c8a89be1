"""What a Docker host lacks is named before anything is made: asked of a daemon on a socket."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.docker.daemon import DaemonHostError, failed_one_shots, find_daemon
from components.docker.preflight import docker_problems
from components.docker.resources import ATTEMPT_LABEL
from fleet_spec.loading import load_spec
from tests.ports import free_port
from tests.standins.docker_host import DockerHost, serving
from tests.unit.components.docker.configurations import IMAGE, ROOT, described, fleet

pytestmark = pytest.mark.unit


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerHost]:
    with serving(tmp_path_factory.mktemp("d") / "s") as host:
        monkeypatch.setenv("DOCKER_HOST", host.address)
        yield host


def found(**changes: Any) -> dict[str, str]:
    """Problems by their keys, in words."""
    changes.setdefault("router", {"image": IMAGE, "port": free_port()})
    problems = docker_problems(load_spec(fleet(**changes)), ROOT, "test")
    return {problem.key: f"{problem.message}; {problem.fix}" for problem in problems}


def test_a_host_that_has_everything_has_no_problem(host: DockerHost) -> None:
    assert found() == {}


def test_a_daemon_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    said = found()["docker.host"]
    assert "no Docker daemon answers at unix:///nowhere/docker.sock" in said
    assert "start Docker" in said


def test_the_configs_host_comes_before_the_environments(host: DockerHost) -> None:
    assert "tcp://127.0.0.1:1" in found(docker={"host": "tcp://127.0.0.1:1"})["docker.host"]


@pytest.mark.parametrize("address", ["ftp://host", "unix://", "tcp://", "nonsense"])
def test_an_address_that_no_daemon_can_have(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(DaemonHostError, match=r"DOCKER_HOST: .* fix: write unix://"):
        find_daemon(None)
    assert address in found()["docker.host"]


def test_a_host_by_ssh_cannot_be_asked_and_passes() -> None:
    assert find_daemon("ssh://user@host") is None
    assert found(docker={"host": "ssh://user@host"}) == {}


def test_no_gpu_where_one_is_asked(host: DockerHost) -> None:
    wanting = {"assistant": {"model": "llama3.1:8b", "gpu": "nvidia-l4"}}
    assert "offers no NVIDIA GPU" in found(models=wanting)["models.assistant.gpu"]
    host.info["Runtimes"] = {"runc": {}, "nvidia": {}}
    assert found(models=wanting) == {}
    host.info |= {"Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}
    assert found(models=wanting) == {}


def test_too_little_memory_is_told_with_who_needs_how_much(host: DockerHost) -> None:
    host.info["MemTotal"] = 16 * 2**30
    said = found(models={"assistant": {"model": "llama3.1:8b", "replicas": 4}})["models"]
    assert "the host has 16.0 GiB" in said
    assert "assistant" in said


def test_more_processors_than_there_are(host: DockerHost) -> None:
    host.info["NCPU"] = 2
    limits = {"assistant": {"model": "llama3.2:3b", "resources": {"limits": {"cpu": "4"}}}}
    assert found(models=limits) == {
        "assistant-0": "may use 4 CPUs, and the host has 2; lower its limit, or router.workers"
    }


def test_an_image_that_cannot_be_pulled(host: DockerHost) -> None:
    host.absent_images.add(IMAGE)
    assert f"{IMAGE} is not on the host and cannot be pulled" in found()["router.image"]
    host.images[IMAGE] = {"name": IMAGE, "id": "1" * 64}
    assert found() == {}, "it is there already"


def test_a_port_that_another_container_or_program_has(host: DockerHost) -> None:
    port = free_port()
    host.containers["other"] = {"id": "2" * 64, "name": "other", "status": "running", "ports": [{"external": port}]}
    router = {"image": IMAGE, "port": port}
    assert found(router=router) == {"router.port": f"{port} is taken by container other; stop it, or name another port"}
    # The stack's own router is no stranger.
    host.containers = {"paddock-test-router": {**host.containers["other"], "name": "paddock-test-router"}}
    assert found(router=router) == {}
    host.containers.clear()
    with socket.socket() as program:
        program.bind(("127.0.0.1", port))
        program.listen()
        assert "is taken by process" in found(router=router)["router.port"]


def test_too_little_room_on_the_disk(host: DockerHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.info["DockerRootDir"] = str(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    assert f"{tmp_path} has 1 GB left" in found()["models"]
    volume = described("cpu").full_name(described("cpu").volumes[0].name)
    host.volumes[volume] = {"name": volume}
    assert found() == {}, "the weights are there already"


def test_a_file_of_weights_that_is_not_there(host: DockerHost, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    weights = {"path": str(path), "sha256": hashlib.sha256(b"GGUF").hexdigest()}
    models = {"assistant": {"model": "gemma3:270m", "weights": weights}}
    assert found(models=models) == {"models.assistant.weights.path": f"there is no file {path}; correct the path"}
    path.write_bytes(b"GGUF")
    assert found(models=models) == {}


def test_a_one_shot_that_failed_is_known_and_the_one_after_it_stays(host: DockerHost) -> None:
    plan = described("cpu")
    name = plan.full_name("assistant-load")
    daemon = find_daemon(None)
    assert daemon is not None
    with daemon:
        assert failed_one_shots(daemon, plan) == {}
        host.containers[name] = {"id": "ab" * 32, "name": name, "status": "exited", "exitCode": 1}
        assert failed_one_shots(daemon, plan) == {"assistant-load": "ab" * 6}
        label = {"label": ATTEMPT_LABEL, "value": "ab" * 6}
        host.containers[name] |= {"id": "cd" * 32, "exitCode": 0, "labels": [label]}
        assert failed_one_shots(daemon, plan) == {"assistant-load": "ab" * 6}
