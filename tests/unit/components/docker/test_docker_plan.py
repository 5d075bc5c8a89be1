"""What the Docker target decides about models, and which configs it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from components.docker.as_docker import LOCAL_ROUTER_IMAGE, as_docker
from components.docker.plan import plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.checks import Draft, find_problems
from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec
from fleet_spec.sizing.estimate import GIB
from fleet_spec.spec import FleetSpec
from fleet_spec.stack_file import read_stack_file
from tests.unit.components.docker.configurations import GGUF_SHA256, ROOT, described, fleet, planned

pytestmark = pytest.mark.unit


def model(**settings: Any) -> dict[str, Any]:
    return {"assistant": {"model": "llama3.2:3b", **settings}}


def container(name: str, short: str) -> Any:
    return next(one for one in described(name).containers if one.name == short)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"models": model(replicas={"min": 1, "max": 3})}, "models.assistant.replicas"),
        ({"models": model(storage={"size": "10Gi"})}, "models.assistant.storage"),
        ({"models": model(resources={"requests": {"cpu": "1"}})}, "models.assistant.resources.requests"),
        ({"models": model(quantization="Q2_K")}, "models.assistant.quantization"),
        ({"models": model(vllm={"maxSequences": 8})}, "models.assistant.vllm"),
        ({"models": model(engine="vllm")}, "models.assistant.gpu"),
        ({"models": model(engine="vllm", gpu="nvidia-l4", parallel=2)}, "models.assistant.parallel"),
        (
            {"models": model(engine="vllm", gpu="nvidia-l4", vllm={"tensorParallel": 2})},
            "models.assistant.vllm.tensorParallel",
        ),
        (
            {"models": model(engine="vllm", gpu="nvidia-l4", weights={"path": "a.gguf", "sha256": GGUF_SHA256})},
            "models.assistant.weights",
        ),
        ({"models": model(gpu={"type": "nvidia-h100", "migProfile": "1g.10gb"})}, "models.assistant.gpu.migProfile"),
        ({"models": model(gpu="amd-mi300x")}, "docker.gpuGroups"),
        ({"models": model(rollout="surge")}, "models.assistant.rollout"),
        ({"autoscaling": {"targetActiveRequests": 3}}, "autoscaling"),
        ({"valkey": {"mode": "none"}}, "valkey"),
        ({"ingress": {"enabled": True, "host": "a.example.com"}}, "ingress.enabled"),
        ({"webUi": {"enabled": True, "port": 8080}}, "webUi.port"),
        ({"webUi": {"enabled": True, "secretKey": {"name": "mine"}}}, "webUi.secretKey"),
        ({"docker": {"host": "ftp://x"}}, "docker.host"),
        ({"docker": {"images": {"ollama": {"tag": "latest"}}}}, "docker.images.ollama"),
        ({"target": "local", "docker": {"gpuSharing": "shared"}}, "docker"),
    ],
)
def test_what_the_target_does_not_do_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_spec(fleet(**changes))
    problem = next(one for one in refused.value.problems if one.key == key)
    assert problem.fix


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"router": {}}, "router.image"),
        ({"models": model(engine="llamacpp")}, "docker.images.llamacpp"),
        ({"models": model(resources={"limits": {"memory": "1Gi"}})}, "models.assistant.resources.limits.memory"),
        (
            {"models": {"assistant": {"model": "llama3.1:70b", "gpu": "nvidia-l4"}}},
            "models.assistant.gpu",
        ),
        ({"models": model(gpu="nvidia-l4", replicas=3), "docker": {"gpuIds": [0, 1]}}, "models.assistant.gpu"),
        (
            {"models": model(gpu={"type": "nvidia-l4", "count": 3}), "docker": {"gpuIds": [0]}},
            "models.assistant.gpu.count",
        ),
    ],
)
def test_what_cannot_be_placed_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SpecError) as refused:
        plan_fleet(load_spec(fleet(**changes)), "test", load_catalogue(), ROOT)
    assert key in {problem.key for problem in refused.value.problems}


def test_shared_gpus_are_taken_in_turns() -> None:
    shared = {"gpuIds": [0, 1], "gpuSharing": "shared"}
    spec = load_spec(fleet(models=model(gpu="nvidia-l4", replicas=3), docker=shared))
    plan = plan_fleet(spec, "test", load_catalogue(), ROOT)
    assert [gpu.ids for gpu in plan.models[0].gpus if gpu is not None] == [("0",), ("1",), ("0",)]


def test_a_replica_may_use_more_memory_than_it_is_reckoned_to_need_and_not_all() -> None:
    served = planned("cpu").models[0]
    assert served.needed_bytes is not None
    assert served.needed_bytes < served.memory_bytes < 3 * served.needed_bytes + GIB


def test_another_source_gets_another_volume_and_another_setting_does_not() -> None:
    def volume(**settings: Any) -> str:
        spec = load_spec(fleet(models=model(**settings)))
        return plan_fleet(spec, "test", load_catalogue(), ROOT).models[0].volume

    assert volume() == volume(parallel=4, contextLength=2048, replicas=2)
    assert volume() != volume(model="llama3.2:1b")


def test_a_health_check_waits_for_the_model_to_be_loaded_and_then_leaves_it_alone() -> None:
    health = container("cpu", "assistant-0").health
    assert "/tmp/loaded" in health.command[1]
    assert health.start_seconds > 120
    assert health.wait_seconds > health.start_seconds


def test_a_loader_reaches_the_network_only_where_it_downloads() -> None:
    assert container("cpu", "assistant-load").networks == ("outer",)
    assert container("own file", "mine-load").networks == ()
    assert container("own file", "mine-0").networks == ("inner",)


def test_llamacpp_takes_the_whole_context_for_all_its_slots() -> None:
    spec = load_spec(
        fleet(
            models={"assistant": {"model": "gemma3:1b", "engine": "llamacpp", "parallel": 4, "contextLength": 1000}},
            docker={"images": {"llamacpp": {"tag": "server-b6000"}}},
        )
    )
    from components.docker.describe import describe

    server = describe(plan_fleet(spec, "test", load_catalogue(), ROOT)).containers[2]
    assert server.entrypoint[server.entrypoint.index("--ctx-size") + 1] == "4000"


@pytest.mark.parametrize("stack", ["dev", "prod", "host"])
def test_any_shipped_stack_can_be_put_on_a_docker_host(stack: str) -> None:
    adapted = as_docker(load_spec(read_stack_file(ROOT, stack).raw))
    assert find_problems(Draft.of(adapted.spec), load_catalogue()) == []
    plan = plan_fleet(adapted.spec, stack, load_catalogue(), ROOT)
    assert [one.name for one in plan.models] == list(adapted.spec.models)


def test_what_is_otherwise_on_a_docker_host_is_said() -> None:
    production: FleetSpec = load_spec(read_stack_file(ROOT, "prod").raw)
    adapted = as_docker(production)
    assert any("models.llama: 3 replicas" in note for note in adapted.notes)
    local = as_docker(load_spec(read_stack_file(ROOT, "dev").raw))
    assert local.spec.router.image == LOCAL_ROUTER_IMAGE
    assert any(LOCAL_ROUTER_IMAGE in note for note in local.notes)


def test_a_quantisation_is_pulled_and_reckoned_with() -> None:
    def of(**settings: Any) -> Any:
        spec = load_spec(fleet(models={"assistant": {"model": "llama3.1:8b", **settings}}))
        return plan_fleet(spec, "test", load_catalogue(), ROOT).models[0]

    usual, fine = of(), of(quantization="Q8_0")
    assert fine.source == "llama3.1:8b-instruct-q8_0"
    assert fine.generation != usual.generation
    assert fine.weights_bytes > 1.5 * usual.weights_bytes


def test_a_cache_of_fewer_bits_needs_less_memory() -> None:
    def of(**settings: Any) -> Any:
        spec = load_spec(fleet(models={"assistant": {"model": "llama3.1:8b", "contextLength": 32768, **settings}}))
        return plan_fleet(spec, "test", load_catalogue(), ROOT).models[0]

    assert of(serving={"kvCacheType": "q8_0"}).needed_bytes < of().needed_bytes
