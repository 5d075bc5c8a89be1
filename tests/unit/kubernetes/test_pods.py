"""Every pod of the fleet: admitted where `restricted` is enforced, with no rights, and with an end in peace."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from components.kubernetes.manifests.drain import grace_seconds
from components.kubernetes.manifests.meta import Manifest
from tests.unit.kubernetes.configurations import (
    CONFIGURATIONS,
    manifests_of,
    of_kind,
    planned,
    pod_templates,
    prod,
    with_gpu,
)
from tests.unit.kubernetes.pod_security import violations

pytestmark = pytest.mark.unit


def server_of(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's pod spec and its server container."""
    makers = of_kind(manifests_of(planned(raw)), "StatefulSet", "Deployment")
    template = next(one for name, one in makers.items() if name.startswith(("llama-", "m-")))["spec"]["template"]
    return template["spec"], template["spec"]["containers"][0]


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def test_every_pod_is_admitted_where_restricted_is_enforced(manifests: list[Manifest]) -> None:
    templates = pod_templates(manifests)
    assert len(templates) >= 2
    for name, template in templates.items():
        assert not violations(template["spec"]), name
    labels = of_kind(manifests, "Namespace").popitem()[1]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(
    "change",
    [
        {"hostNetwork": True},
        {"securityContext": {}},
        {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
    ],
)
def test_the_checker_of_pods_finds_what_is_forbidden(change: dict[str, Any]) -> None:
    pod = copy.deepcopy(next(iter(pod_templates(manifests_of(prod())).values()))["spec"])
    assert not violations(pod)
    assert violations({**pod, **change})
    del pod["containers"][0]["securityContext"]["capabilities"]
    assert violations(pod)


def test_no_pod_has_a_token_a_writable_root_or_a_moving_image(manifests: list[Manifest]) -> None:
    for name, template in pod_templates(manifests).items():
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, name
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            image = container["image"]
            assert "@sha256:" in image or (":" in image and not image.endswith((":latest", ":main"))), image
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}, name


def test_every_server_tells_when_it_is_up_ready_and_alive(manifests: list[Manifest]) -> None:
    for name, one in of_kind(manifests, "Deployment", "StatefulSet").items():
        for container in one["spec"]["template"]["spec"]["containers"]:
            assert container.keys() >= {"startupProbe", "readinessProbe", "livenessProbe"}, name


def test_every_mount_has_its_volume(manifests: list[Manifest]) -> None:
    for name, one in of_kind(manifests, "Deployment", "StatefulSet", "Job").items():
        pod = one["spec"]["template"]["spec"]
        claims = one["spec"].get("volumeClaimTemplates", [])
        volumes = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}
        mounted = {
            mount["name"]
            for container in [*pod.get("initContainers", []), *pod["containers"]]
            for mount in container["volumeMounts"]
        }
        assert mounted == volumes, name


def test_a_long_load_never_trips_liveness_and_has_the_time_that_the_config_gives() -> None:
    _, server = server_of(with_gpu({}, kubernetes={"loadTimeoutSeconds": 7200}))
    startup = server["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 7200
    assert "exec" not in server["livenessProbe"]
    assert server["livenessProbe"]["httpGet"]["path"] == "/api/version"


def test_ready_means_that_the_model_is_there() -> None:
    _, server = server_of(CONFIGURATIONS["smallest"])
    assert 'ollama show "$PADDOCK_MODEL"' in server["readinessProbe"]["exec"]["command"][-1]
    assert 'ollama run "$PADDOCK_MODEL" ""' in server["startupProbe"]["exec"]["command"][-1]
    assert environment(server)["PADDOCK_MODEL"] == "llama3.1:8b"


def test_a_pod_that_ends_waits_for_its_streams_within_its_grace() -> None:
    pod, server = server_of(with_gpu({}, kubernetes={"drainSeconds": 900}))
    script = server["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert "-lt 900" in script
    assert ":2CAA" in script, "the port 11434, as /proc/net/tcp has it"
    assert pod["terminationGracePeriodSeconds"] == grace_seconds(900) > 900


def test_the_reference_values_of_the_production_fleet() -> None:
    manifests = manifests_of(prod())
    llama = next(one for name, one in of_kind(manifests, "StatefulSet").items() if name.startswith("llama-"))
    pod = llama["spec"]["template"]["spec"]
    server = pod["containers"][0]
    assert pod["nodeSelector"] == {"gpu-type": "nvidia-t4"}
    assert environment(server)["OLLAMA_HOST"] == "0.0.0.0:11434"
    assert environment(server)["OLLAMA_MODELS"] == "/models"
    assert environment(server)["OLLAMA_KEEP_ALIVE"] == "10m"
    assert server["resources"]["requests"] == {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert server["resources"]["limits"] == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    claim = llama["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "fast-ssd"
    assert claim["resources"]["requests"]["storage"] == "100Gi"
    scalers = of_kind(manifests, "HorizontalPodAutoscaler")
    ranges = {
        name.rpartition("-")[0]: (one["spec"]["minReplicas"], one["spec"]["maxReplicas"])
        for name, one in scalers.items()
        if name != "router"
    }
    assert ranges == {"llama": (3, 10), "mistral": (2, 10), "codellama": (1, 10)}


@pytest.mark.parametrize(
    ("configuration", "resource"),
    [
        ("hpa", "nvidia.com/gpu"),
        ("mig", "nvidia.com/mig-1g.10gb"),
        ("time-sliced", "nvidia.com/gpu.shared"),
        ("amd", "amd.com/gpu"),
    ],
)
def test_a_replica_asks_for_its_kind_of_gpu(configuration: str, resource: str) -> None:
    pod, server = server_of(CONFIGURATIONS[configuration])
    assert server["resources"]["limits"][resource] == server["resources"]["requests"][resource] == "1"
    assert pod["tolerations"]
    assert "-rocm" in server["image"] if configuration == "amd" else "-rocm" not in server["image"]


def test_a_gpu_claim_takes_the_place_of_a_resource() -> None:
    manifests = manifests_of(planned(CONFIGURATIONS["gpu claims"]))
    pod, server = server_of(CONFIGURATIONS["gpu claims"])
    template = of_kind(manifests, "ResourceClaimTemplate")[pod["resourceClaims"][0]["resourceClaimTemplateName"]]
    assert template["spec"]["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"] == "gpu.nvidia.com"
    assert server["resources"]["claims"] == [{"name": pod["resourceClaims"][0]["name"]}]
    assert not any("gpu" in name for name in server["resources"]["limits"])


def test_without_a_gpu_a_pod_asks_for_none_and_runs_anywhere() -> None:
    pod, server = server_of(CONFIGURATIONS["smallest"])
    assert set(server["resources"]["limits"]) == {"cpu", "memory"}
    assert "nodeSelector" not in pod
    assert "tolerations" not in pod


def test_two_pools_of_one_type_are_both_allowed() -> None:
    pod, _ = server_of(CONFIGURATIONS["two pools of one type"])
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [term["matchExpressions"][0]["values"] for term in required["nodeSelectorTerms"]] == [["old"], ["new"]]


def test_everything_about_pods_can_be_overridden() -> None:
    pod, server = server_of(CONFIGURATIONS["given valkey and every pod setting"])
    assert {"key": "team", "operator": "Equal", "value": "llm", "effect": "NoExecute"} in pod["tolerations"]
    assert {"key": "spot", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("high", "nvidia")
    assert [one["topologyKey"] for one in pod["topologySpreadConstraints"]] == ["topology.kubernetes.io/zone"]
    assert environment(server)["OLLAMA_FLASH_ATTENTION"] == "1"
    assert server["image"].startswith("mirror.example.com/ollama@sha256:")
    assert server["resources"]["limits"]["memory"] == "32Gi", "a limit is never under its request"
    assert server["resources"]["requests"]["cpu"] == "1", "a request is never over its limit"


def test_vllm_is_told_everything_that_the_config_says() -> None:
    pod, server = server_of(CONFIGURATIONS["vllm over four GPUs"])
    command = " ".join(server["command"])
    assert command.startswith("vllm serve meta-llama/Llama-3.1-70B-Instruct --served-model-name llama3.1:70b")
    for part in ("--tensor-parallel-size 4", "--quantization bitsandbytes", "--max-model-len 4096", "-O3"):
        assert part in command
    assert "--no-enable-prefix-caching" in command
    assert server["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}} in pod["volumes"]
    token = environment(pod["initContainers"][0])["HF_TOKEN"]
    assert token == {"secretKeyRef": {"name": "hugging-face", "key": "token"}}
    assert "HF_TOKEN" not in environment(server)
    assert environment(server)["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("configuration", "init", "kind"),
    [
        ("smallest", "load-weights", "StatefulSet"),
        ("ephemeral", "load-weights", "Deployment"),
        ("shared", "wait-for-weights", "Deployment"),
        ("image", None, "Deployment"),
    ],
)
def test_each_storage_mode_loads_in_its_own_way(configuration: str, init: str | None, kind: str) -> None:
    manifests = manifests_of(planned(CONFIGURATIONS[configuration]))
    pod, _ = server_of(CONFIGURATIONS[configuration])
    assert [one["name"] for one in pod.get("initContainers", [])] == ([init] if init else [])
    assert any(name.startswith(("llama-", "m-")) for name in of_kind(manifests, kind))
    jobs = {name: one for name, one in of_kind(manifests, "Job").items() if name.endswith("-load")}
    assert bool(jobs) == (configuration == "shared")
    if jobs:
        claims = of_kind(manifests, "PersistentVolumeClaim")
        weights = next(one for one in pod["volumes"] if one["name"] == "weights")["persistentVolumeClaim"]["claimName"]
        assert claims[weights]["spec"]["accessModes"] == ["ReadWriteMany"]
        job = next(iter(jobs.values()))["spec"]["template"]["spec"]
        assert {"name": "weights", "persistentVolumeClaim": {"claimName": weights}} in job["volumes"]
