"""`paddock plan` for a Docker host: its rules, its memory and its GPUs, from the config alone."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.commands.plan import run
from cli.plan.docker_host import docker_manifests
from fleet_spec.errors import SpecError
from policies.rules.docker import CONTAINER, IMAGE
from tests.unit.components.docker.configurations import CONFIGURATIONS, fleet, planned
from tests.unit.components.docker.recording import CONTAINER as CONTAINER_TYPE
from tests.unit.components.docker.recording import REMOTE_IMAGE, inputs, recorded

pytestmark = pytest.mark.unit
GIB = 2**30
NOT_PLANNED = {"image", "uploads"}
"""The image's id is known once it is pulled, and what is in files once the keys are made."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for file in ("Pulumi.yaml", "__main__.py"):
        (tmp_path / file).write_text("name: paddock\n" if file.endswith("yaml") else "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("cli.commands.plan._machine_memory_bytes", lambda: 64 * GIB)
    return tmp_path


def plan(project: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> dict[str, Any]:
    config = {f"paddock:{key}": value for key, value in fleet(**changes).items()}
    (project / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": config}))
    with contextlib.suppress(SystemExit):
        run("test", as_json=True)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_rules_see_offline_what_the_engine_would_show_them(name: str) -> None:
    manifests = docker_manifests(planned(name))
    run_ = recorded(name)
    offline = {one["metadata"]["name"]: one["spec"] for one in manifests if one["kind"] == CONTAINER}
    engine = {one["name"]: one for one in inputs(run_, CONTAINER_TYPE).values()}
    assert {key: _seen(one) for key, one in offline.items()} == {key: _seen(one) for key, one in engine.items()}
    pulled = {one["name"] for one in inputs(run_, REMOTE_IMAGE).values()}
    assert {one["spec"]["name"] for one in manifests if one["kind"] == IMAGE} == pulled


def _seen(container: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in container.items() if key not in NOT_PLANNED}


def test_a_rule_that_a_host_breaks_is_found_offline(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(project, capsys)["findings"] == []
    found = plan(project, capsys, policies={"registries": ["registry.example.com"]})
    assert not found["ok"]
    assert {(one["rule"], one["where"]) for one in found["findings"]} == {
        ("image-registries", "DockerImage/docker.io/ollama/ollama:0.17.4")
    }


def test_replicas_on_the_cpu_share_the_hosts_memory(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = {"assistant": {"model": "mistral:7b", "replicas": 2}}
    found = plan(project, capsys, models=models, docker={"memory": "8Gi"})
    assert found["models"][0]["fits"] is False
    assert "with all replicas of the fleet" in found["models"][0]["reason"]
    host = found["host"]
    assert host["hasBytes"] == 8 * GIB
    assert host["neededBytes"] == 2 * found["models"][0]["memory"]["totalBytes"]
    assert host["limitBytes"] > host["neededBytes"]
    assert plan(project, capsys, models=models, docker={"memory": "32Gi"})["ok"]


@pytest.mark.parametrize(
    ("docker", "variable", "has_bytes"),
    [
        ({}, None, 64 * GIB),
        ({"host": "unix:///run/docker.sock"}, None, 64 * GIB),
        ({"host": "ssh://user@gpu-host"}, None, None),
        ({}, "tcp://gpu-host:2376", None),
        ({"host": "ssh://user@gpu-host", "memory": "16Gi"}, None, 16 * GIB),
    ],
)
def test_what_a_host_has_is_known_of_this_machine_or_said(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    docker: dict[str, str],
    variable: str | None,
    has_bytes: int | None,
) -> None:
    if variable is not None:
        monkeypatch.setenv("DOCKER_HOST", variable)
    found = plan(project, capsys, docker=docker)
    assert found["host"]["hasBytes"] == has_bytes
    assert found["ok"]
    assert found["models"][0]["fits"] is (None if has_bytes is None else True)
    if has_bytes is None:
        assert "docker.memory" in found["models"][0]["reason"]


def test_models_that_take_turns_over_a_gpu_must_fit_on_it_together(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {
        "one": {"model": "mistral:7b", "gpu": "nvidia-t4"},
        "two": {"model": "llama3.1:8b", "gpu": "nvidia-t4", "replicas": 2},
    }
    apart = plan(project, capsys, models=models, aliases={}, docker={"gpuIds": [0, 1, 2]})
    assert [model["fits"] for model in apart["models"]] == [True, True]
    together = plan(project, capsys, models=models, aliases={}, docker={"gpuIds": [0], "gpuSharing": "shared"})
    assert [model["fits"] for model in together["models"]] == [False, False]
    assert "with what else is on GPU 0" in together["models"][0]["reason"]
    # Two of them hold the three: one each has two, the other one.
    assert plan(project, capsys, models=models, aliases={}, docker={"gpuIds": [0, 1], "gpuSharing": "shared"})["ok"]


def test_vllm_takes_its_share_of_a_gpu_whatever_it_needs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"model": "llama3.2:3b", "engine": "vllm", "gpu": "nvidia-l4", "contextLength": 2048, "replicas": 2}
    shared = {"gpuIds": [0], "gpuSharing": "shared"}
    assert not plan(project, capsys, models={"assistant": model}, docker=shared)["ok"]
    halves = {**model, "vllm": {"gpuMemoryShare": 0.48}}
    assert plan(project, capsys, models={"assistant": halves}, docker=shared)["ok"]


def test_a_model_that_is_too_large_is_said_and_the_rest_is_judged(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {"assistant": {"model": "llama3.2:3b"}, "huge": {"model": "llama3.1:70b", "gpu": "nvidia-t4"}}
    found = plan(project, capsys, models=models, policies={"registries": ["registry.example.com"]})
    assert [model["fits"] for model in found["models"]] == [True, False]
    assert found["models"][1]["problems"][0]["key"] == "models.huge.gpu"
    assert found["findings"]


def test_a_config_without_the_routers_image_is_a_mistake(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match=r"router\.image"):
        plan(project, capsys, router={})


def test_a_smaller_kv_cache_takes_less(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"model": "llama3.1:8b", "contextLength": 32768, "parallel": 2}
    whole = plan(project, capsys, models={"assistant": model})
    small = {**model, "serving": {"kvCacheType": "q8_0", "flashAttention": True}}
    quantised = plan(project, capsys, models={"assistant": small})
    for found in (whole, quantised):
        assert found["host"]["neededBytes"] == found["models"][0]["memory"]["totalBytes"]
    assert quantised["models"][0]["memory"]["kvCacheBytes"] < 0.6 * whole["models"][0]["memory"]["kvCacheBytes"]
