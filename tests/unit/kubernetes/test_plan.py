"""What cannot work on a cluster is refused before anything is touched, all at once, with the fix."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kubernetes.plan import RESERVED_ENDINGS, RESERVED_NAMES, plan_fleet
from components.kubernetes.quantities import amount, larger, smaller
from fleet_spec.catalogue import load_catalogue
from fleet_spec.errors import Problem, SpecError
from fleet_spec.loading import load_spec
from fleet_spec.names import safe_name
from tests.unit.kubernetes.configurations import KARPENTER, PROMETHEUS, fleet, manifests_of, planned, with_gpu
from tests.unit.kubernetes.schemas import problems as schema_problems

pytestmark = pytest.mark.unit


def problems_of(raw: dict[str, Any]) -> dict[str, Problem]:
    with pytest.raises(SpecError) as caught:
        plan_fleet(load_spec(raw), "test", load_catalogue())
    assert caught.value.exit_code == 2
    assert all(problem.fix for problem in caught.value.problems)
    return {problem.key: problem for problem in caught.value.problems}


def model(**settings: Any) -> dict[str, Any]:
    return fleet(models={"m": {"model": "llama3.1:8b", **settings}})


def gpu_model(pool: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return with_gpu(pool or {}, settings)


@pytest.mark.parametrize(
    ("raw", "key", "in_message", "in_fix"),
    [
        (model(replicas={"min": 5, "max": 2}), "models.m.replicas", "min 5 is over max 2", "at most"),
        (model(replicas={"min": 0, "max": 2}), "models.m.replicas", "never be woken", "scaleToZero"),
        (
            model(replicas={"min": 0, "max": 2}, autoscaling={"scaleToZero": True}),
            "models.m.autoscaling.scaleToZero",
            "1.37",
            "keda",
        ),
        (model(replicas=2, autoscaling={"kind": "hpa"}), "models.m.autoscaling", "nothing scales", "replicas"),
        (
            model(replicas={"min": 1, "max": 2}, autoscaling={"kind": "keda"}),
            "monitoring.prometheusUrl",
            "KEDA",
            "http",
        ),
        (model(storage={"mode": "shared"}), "models.m.storage.storageClass", "ReadWriteMany", "perReplica"),
        (model(storage={"mode": "image", "image": "a/b:1"}), "models.m.storage.mode", "1.35", "kubernetes.version"),
        (model(storage={"image": "a/b:1"}), "models.m.storage.image", "perReplica", "mode: image"),
        (model(rollout="surge"), "models.m.rollout", "for ever", "ephemeral"),
        (model(engine="llamacpp"), "models.m.engine", "llamacpp", "ollama"),
        (model(engine="vllm"), "models.m.gpu", "missing", "GPU type"),
        (model(quantization="bitsandbytes"), "models.m.quantization", "Ollama", "vllm"),
        (model(adapters={"a": "org/a"}), "models.m.adapters.a", "serves no adapters", "vLLM"),
        (
            model(resources={"requests": {"memory": "8Gi"}, "limits": {"memory": "4Gi"}}),
            "models.m.resources.requests.memory",
            "over the limit",
            "raise",
        ),
        (gpu_model(model="llama3.1:70b"), "models.llama.gpu", "llama3.1:70b with 8192 tokens", "larger GPU"),
        (
            gpu_model(gpu={"type": "nvidia-l4", "migProfile": "1g.5gb"}),
            "models.llama.gpu",
            "has 5.0 GiB",
            "larger GPU",
        ),
        (
            gpu_model(engine="vllm", quantization="q4"),
            "models.llama.quantization",
            "no quantisation of vLLM",
            "bitsandbytes",
        ),
        (
            model(model="llama3.1:70b", resources={"limits": {"memory": "16Gi"}}),
            "models.m.resources.limits.memory",
            "without a GPU",
            "or more",
        ),
        (gpu_model(gpu="nvidia-l5"), "models.llama.gpu.type", "no pool offers", "'nvidia-l4'"),
        (gpu_model(gpu={"type": "nvidia-l4", "count": 8}), "models.llama.gpu.count", "8 GPUs of one node", "4 or less"),
        (gpu_model(replicas={"min": 1, "max": 17}), "models.llama.replicas", "17 GPUs", "maxNodes"),
        (gpu_model(replicas=17), "gpuPools", "take 17 GPUs", "maxNodes"),
        (
            gpu_model(replicas=16, storage={"mode": "ephemeral"}),
            "models.llama.rollout",
            "one replica more first",
            "replace",
        ),
        (gpu_model({"access": "dra"}), "gpuPools.main.access", "1.34", "devicePlugin"),
        (gpu_model({"sharing": "timeSliced", "vendor": "amd"}), "gpuPools.main.sharing", "NVIDIA", "none"),
        (gpu_model({"spot": True}), "gpuPools.main.spot", "exist", "provisioner"),
        (gpu_model({**KARPENTER, "aws": None}), "gpuPools.main.provisioner", "exactly one", "nodes are made of"),
        (gpu_model({**KARPENTER, "instanceTypes": []}), "gpuPools.main.instanceTypes", "nvidia-l4", "name them"),
        (
            gpu_model({"sharing": "timeSliced"}, gpu={"type": "nvidia-l4", "count": 2}),
            "models.llama.gpu.count",
            "2 slices",
            "1",
        ),
        (gpu_model(engine="vllm", parallel=4), "models.llama.parallel", "batches", "maxSequences"),
        (
            gpu_model(engine="vllm", vllm={"tensorParallel": 2}),
            "models.llama.vllm.tensorParallel",
            "number of GPUs",
            "gpu.count: 2",
        ),
        (gpu_model({"gpuType": "amd-mi300x"}, engine="vllm"), "kubernetes.images.vllm", "AMD", "repository"),
        (
            fleet(gpuPools={one: {"gpuType": "nvidia-l4", **KARPENTER} for one in ("a.b", "a-b")}),
            "gpuPools.a-b",
            "'a.b' and 'a-b'",
            "rename",
        ),
        (
            fleet(namespace="gke-llm", gpuPools={"a": {"gpuType": "nvidia-l4", "provisioner": "gkeComputeClass"}}),
            "gpuPools.a",
            "GKE keeps",
            "namespace",
        ),
        (fleet(router={}), "router.image", "missing", "router.build"),
        (fleet(router={"image": "paddock:latest"}), "router.image", "moves", "digest"),
        (fleet(kubernetes={"version": "1.30"}), "kubernetes.version", "1.30", "1.31"),
        (fleet(ingress={"enabled": True, "host": "a.example"}), "ingress.tlsSecret", "plain text", "certificate"),
        (fleet(ingress={"enabled": True, "kind": "gateway", "host": "a.b"}), "ingress.gateway", "missing", "Gateway"),
        (fleet(valkey={"mode": "given"}), "valkey", "urlSecret", "both"),
        (fleet(models={"router": "llama3.1:8b"}), "models.router", "part of the fleet", "another name"),
        (fleet(models={"7b": "llama3.1:8b"}), "models.7b", "no letter", "another name"),
        (fleet(models={"m" * 50: "llama3.1:8b"}), "models." + "m" * 50, "45 characters", "shorter"),
    ],
)
def test_what_cannot_work_is_refused_with_its_reason(
    raw: dict[str, Any], key: str, in_message: str, in_fix: str
) -> None:
    found = problems_of(raw)
    assert key in found, sorted(found)
    assert in_message in found[key].message
    assert in_fix in found[key].fix


def test_everything_is_found_at_once() -> None:
    found = problems_of(
        fleet(
            models={
                "a": {"model": "llama3.1:8b", "storage": {"mode": "shared"}, "gpu": "nvidia-t5"},
                "b": {"model": "mistral:7b", "replicas": {"min": 0, "max": 3}},
            },
            gpuPools={"t4": {"gpuType": "nvidia-t4", "access": "dra"}},
            ingress={"enabled": True},
        )
    )
    assert set(found) == {
        "models.a.storage.storageClass",
        "models.a.gpu.type",
        "models.b.replicas",
        "gpuPools.t4.access",
        "ingress.host",
        "ingress.tlsSecret",
    }


@pytest.mark.parametrize(
    ("section", "value"),
    [("autoscaling", {"kind": "keda"}), ("valkey", {"mode": "none"}), ("kubernetes", {"version": "1.35"})],
)
def test_settings_for_a_cluster_are_refused_elsewhere(section: str, value: dict[str, Any]) -> None:
    assert section in problems_of({"models": {"m": "gemma3:270m"}, section: value})


def test_a_models_settings_for_a_cluster_are_refused_elsewhere() -> None:
    found = problems_of({"models": {"m": {"model": "gemma3:270m", "pods": {"priorityClass": "high"}}}})
    assert set(found) == {"models.m.pods"}


def test_scaling_to_zero_with_an_hpa_needs_the_release_that_can() -> None:
    asked = model(replicas={"min": 0, "max": 2}, autoscaling={"scaleToZero": True})
    plan = planned({**asked, "kubernetes": {"version": "1.37"}})
    assert plan.models[0].replicas.sleeps


def test_without_a_gpu_a_pod_gets_the_memory_that_its_model_needs() -> None:
    plan = planned(model(model="llama3.1:70b"))
    assert amount(plan.models[0].requests["memory"]) > 40 * 2**30
    assert amount(plan.models[0].limits["memory"]) >= amount(plan.models[0].requests["memory"])


def test_weights_of_your_own_come_in_an_image_under_your_own_name() -> None:
    own = {"model": "mine:1b", "storage": {"mode": "image", "image": "registry.example.com/mine:1"}}
    plan = planned(fleet(models={"m": own}, kubernetes={"version": "1.35"}))
    assert plan.models[0].served_name == "mine:1b"
    assert "models.m.model" in problems_of(fleet(models={"m": "mine:1b"}))


def test_four_gpus_hold_what_one_does_not() -> None:
    plan = planned(gpu_model(model="llama3.1:70b", gpu={"type": "nvidia-l4", "count": 4}))
    assert plan.models[0].gpu is not None
    assert plan.models[0].gpu.count == 4


def test_every_model_of_the_catalogue_is_planned_or_refused_for_a_reason() -> None:
    for entry in load_catalogue().models:
        raw = fleet(models={"m": {"model": entry.name}})
        if entry.sources.ollama is None:
            assert set(problems_of(raw)) == {"models.m.engine"}
        else:
            assert planned(raw).models[0].source == entry.sources.ollama.tag


sizes = st.builds("{}{}".format, st.integers(1, 999), st.sampled_from(["", "m", "k", "M", "G", "Mi", "Gi"]))


@given(sizes, sizes)
def test_of_two_quantities_one_is_larger_and_the_other_smaller(one: str, other: str) -> None:
    assert amount(larger(one, other)) == max(amount(one), amount(other))
    assert amount(smaller(one, other)) == min(amount(one), amount(other))


names = st.from_regex(r"[a-z][A-Za-z0-9._:/-]{0,38}[A-Za-z0-9]", fullmatch=True)


@given(
    st.dictionaries(names, st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=3),
    st.sampled_from(["perReplica", "ephemeral"]),
    st.sampled_from(["hpa", "keda"]),
)
def test_whatever_fleet_is_planned_is_valid_and_never_collides(
    models: dict[str, tuple[int, int]], mode: str, kind: str
) -> None:
    raw = fleet(
        models={
            name: {"model": "mistral:7b", "replicas": {"min": least, "max": least + more}}
            for name, (least, more) in models.items()
        },
        storage={"mode": mode},
        autoscaling={"kind": kind},
        monitoring={"prometheusUrl": PROMETHEUS},
    )
    labels = [safe_name(name) for name in models]
    taken = len(set(labels)) < len(labels) or any(
        label in RESERVED_NAMES or label.endswith(RESERVED_ENDINGS) for label in labels
    )
    if taken:
        with pytest.raises(SpecError, match="name"):
            planned(raw)
        return
    plan = planned(raw)
    manifests = manifests_of(plan)
    assert len({(one["kind"], one["metadata"]["name"]) for one in manifests}) == len(manifests)
    assert not [found for one in manifests for found in schema_problems(one, "1.37")]
