"""A config is either a FleetSpec or a list of every mistake in it: key, value, fix."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_spec.errors import Problem, SpecError
from fleet_spec.loading import from_pulumi_config, load_spec

pytestmark = pytest.mark.unit


def config(**changes: Any) -> dict[str, Any]:
    return {"models": {"assistant": {"model": "gemma3:270m"}}, "aliases": {"default": "assistant"}, **changes}


def problems_of(raw: dict[str, Any], **options: Any) -> dict[str, Problem]:
    with pytest.raises(SpecError) as caught:
        load_spec(raw, **options)
    assert caught.value.exit_code == 2
    return {problem.key: problem for problem in caught.value.problems}


def test_the_smallest_config_names_one_model() -> None:
    spec = load_spec({"models": {"assistant": "gemma3:270m"}})
    assert spec.target == "local"
    assert spec.models["assistant"].model == "gemma3:270m"
    assert spec.models["assistant"].replicas.max == 1
    assert spec.router.host == "127.0.0.1"


def test_short_forms_mean_the_long_ones() -> None:
    short = load_spec(
        config(
            target="kubernetes",
            models={"m": {"model": "llama3.1:8b", "replicas": 3, "gpu": "nvidia-t4", "storage": "50Gi"}},
            aliases={"default": "m"},
            gpuPools={"t4": {"gpuType": "nvidia-t4"}},
        )
    )
    long = load_spec(
        config(
            target="kubernetes",
            models={
                "m": {
                    "model": "llama3.1:8b",
                    "replicas": {"min": 3, "max": 3},
                    "gpu": {"type": "nvidia-t4", "count": 1},
                    "storage": {"size": "50Gi"},
                }
            },
            aliases={"default": {"m": 1.0}},
            gpuPools={"t4": {"gpuType": "nvidia-t4"}},
        )
    )
    assert short == long


def test_every_mistake_is_found_at_once() -> None:
    problems = problems_of(
        config(
            target="locl",
            modles={},
            models={
                "assistant": {"model": "gemma3:270m", "contextLenght": 10},
                "a:b.c": {"model": "gemma3:270n"},
                "a-b:c": {"model": "gemma3:270m", "replicas": "three", "keepAlive": "soon"},
            },
            aliases={"default": "asistant", "assistant": "assistant"},
            router={"port": 70000},
            budget={"monthlyUsd": -5},
        )
    )
    assert set(problems) == {
        "target",
        "modles",
        "models.assistant.contextLenght",
        "models.a:b.c.model",
        "models.a-b:c",
        "models.a-b:c.replicas",
        "models.a-b:c.keepAlive",
        "aliases.default",
        "aliases.assistant",
        "router.port",
        "budget.monthlyUsd",
    }


@pytest.mark.parametrize(
    ("changes", "key", "in_message", "in_fix"),
    [
        ({"modles": {}}, "modles", "does not know", "models"),
        ({"target": "cloud"}, "target", "'cloud'", "kubernetes"),
        ({"models": {}}, "models", "empty", "at least one"),
        ({"models": {"m": {}}}, "models.m.model", "missing", "add"),
        ({"models": {"m": {"model": "lama3.1:8b"}}}, "models.m.model", "'lama3.1:8b'", "llama3.1:8b"),
        ({"models": {"m": {"model": "gemma3:270m", "parallel": "two"}}}, "models.m.parallel", "'two'", "whole number"),
        ({"models": {"m": {"model": "gemma3:270m", "replicas": True}}}, "models.m.replicas", "True", "whole number"),
        (
            {"models": {"m": {"model": "gemma3:270m", "replicas": {"min": 3, "max": 1}}}},
            "models.m.replicas",
            "min 3 is over max 1",
            "at most",
        ),
        ({"models": {"m": {"model": "gemma3:270m", "contextLength": 99_999_999}}}, "models.m.contextLength", "", ""),
        ({"models": {"m": {"model": "gemma3:270m", "contextLength": 40_000}}}, "models.m.contextLength", "32768", ""),
        ({"models": {"m": {"model": "gemma3:270m", "engine": "llama"}}}, "models.m.engine", "'llama'", "llamacpp"),
        ({"models": {"m": {"model": "gemma3:270m", "engine": "vllm"}}}, "models.m.engine", "local", "ollama"),
        ({"aliases": {"default": "assistent"}}, "aliases.default", "'assistent'", "'assistant'"),
        ({"aliases": {"default": {"assistant": 0}}}, "aliases.default", "weight", "over 0"),
        (
            {"router": {"image": "a/b:1", "build": {"registry": "r.example", "repository": "p", "tag": "1"}}},
            "router",
            "'image' and 'build'",
            "keep one",
        ),
        ({"router": []}, "router", "a list", "keys and values"),
        ({"webUi": {"enabled": True, "port": 8080}}, "webUi.port", "router.port", "another"),
        ({"webUi": {"enabled": True, "image": "example.com/chat:1"}}, "webUi.image", "package", "remove"),
        ({"webUi": {"enabled": True, "storageClass": "fast"}}, "webUi.storageClass", ".paddock", "remove"),
        ({"webUi": {"enabled": True, "secretKey": {"name": "mine", "key": "k"}}}, "webUi.secretKey", "Secret", "own"),
        ({"namespace": "No Good"}, "namespace", "'No Good'", ""),
    ],
)
def test_a_mistake_names_its_key_its_value_and_the_fix(
    changes: dict[str, Any], key: str, in_message: str, in_fix: str
) -> None:
    problem = problems_of(config(**changes))[key]
    assert in_message in problem.message
    assert in_fix in problem.fix
    assert problem.fix


def test_names_that_would_collide_in_resources_are_refused() -> None:
    problems = problems_of({"models": {"a:b.c": "gemma3:270m", "a-b:c": "gemma3:270m"}})
    assert "'a-b-c'" in problems["models.a-b:c"].message
    assert "rename" in problems["models.a-b:c"].fix


def test_a_gpu_that_no_pool_offers_is_refused_with_the_nearest() -> None:
    problems = problems_of(
        config(
            target="kubernetes",
            models={"assistant": {"model": "llama3.1:8b", "gpu": "nvidia-t5"}},
            gpuPools={"t4": {"gpuType": "nvidia-t4"}},
        )
    )
    assert "nvidia-t4" in problems["models.assistant.gpu.type"].fix


def test_weights_of_your_own_need_no_catalogue_entry() -> None:
    own = {"path": "mine.gguf", "sha256": "0" * 64}
    spec = load_spec(config(models={"assistant": {"model": "my-model:1b", "weights": own}}))
    assert spec.models["assistant"].weights is not None


def test_a_secret_never_shows_in_an_error() -> None:
    key = secrets.token_hex(8)
    raw = config(tiers={"commercial": {"url": "ftp://x", "apiKey": [key]}, "cloud": {"apiKey": {"a": key}}})
    with pytest.raises(SpecError) as caught:
        load_spec(raw)
    assert key not in str(caught.value)
    with pytest.raises(SpecError) as caught:
        load_spec(config(namespace=f"NOT-{key}"), secret_keys={"namespace"})
    assert key not in str(caught.value)
    assert "[secret]" in str(caught.value)


def test_a_secret_never_shows_in_the_spec() -> None:
    key = secrets.token_hex(8)
    tiers = {"commercial": {"url": "https://api.example.com/v1", "apiKey": key}}
    spec = load_spec(config(target="kubernetes", models={"assistant": {"model": "llama3.1:8b"}}, tiers=tiers))
    assert key not in repr(spec)
    assert spec.tiers.commercial is not None
    assert spec.tiers.commercial.api_key.get_secret_value() == key


def test_the_engine_hands_config_over_as_text() -> None:
    raw = from_pulumi_config(
        {
            "paddock:target": "local",
            "paddock:models": '{"assistant": {"model": "gemma3:270m", "parallel": 2}}',
            "paddock:aliases": "not json",
            "kubernetes:context": "elsewhere",
        }
    )
    assert raw == {
        "target": "local",
        "models": {"assistant": {"model": "gemma3:270m", "parallel": 2}},
        "aliases": "not json",
    }
    assert "aliases" in problems_of(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
top_level = st.sampled_from(
    ["target", "models", "aliases", "tiers", "budget", "privacy", "router", "webUi", "gpuPools", "storage", "x"]
)


@given(st.dictionaries(top_level, json_values, max_size=5))
def test_whatever_is_written_is_a_spec_or_a_list_of_problems(raw: dict[str, Any]) -> None:
    try:
        load_spec(raw)
    except SpecError as error:
        told = error.problems
    else:
        return
    assert told
    assert all(problem.fix for problem in told)
