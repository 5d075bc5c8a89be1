"""Settings of how a model is served, on the real engines: each is followed, and what it says can be seen."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cli.tuning.servers import Launch, Server, Servers
from cli.tuning.settings import Candidate
from cli.tuning.workload import Asked, Workload, answers, burst
from components.engines.llamacpp import setting_arguments
from components.engines.ollama import model_parameters, server_environment
from components.local.commands import llamacpp_command
from components.local.llamacpp_settings import add_options, apply
from components.local.paths import stack_directory
from components.local.plan import gather_facts, plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.loading import load_spec
from fleet_spec.serving_spec import ServingSpec
from tests.ports import free_port
from tests.programs import REPOSITORY
from tests.runtime.conftest import OLLAMA_TEMPLATE, process, wait_until_healthy

pytestmark = pytest.mark.runtime

EVERYTHING = {
    "kvCacheType": "q8_0",
    "flashAttention": True,
    "batchSize": 256,
    "microBatchSize": 128,
    "threads": 1,
    "batchThreads": 1,
    "prefixCache": False,
    "speculative": {"method": "ngram", "tokens": 6, "matchTokens": 2},
    "gpuLayers": 0,
    "loadMode": "copy",
}


def serving(**settings: Any) -> ServingSpec:
    return ServingSpec.model_validate(settings)


def parameters_of(settings: ServingSpec) -> Any:
    """llama.cpp's own parameters, set as the embedded server sets them."""
    pytest.importorskip("xllamacpp")
    xllamacpp: Any = importlib.import_module("xllamacpp")
    parser = argparse.ArgumentParser()
    add_options(parser)
    params = xllamacpp.CommonParams()
    apply(parser.parse_args(setting_arguments(settings)), params, xllamacpp)
    return params


def test_llamacpps_own_parameters_are_what_the_settings_say() -> None:
    params = parameters_of(serving(**EVERYTHING))
    assert "Q8_0" in repr(params.cache_type_k)
    assert "Q8_0" in repr(params.cache_type_v)
    assert "ENABLED" in repr(params.flash_attn_type)
    assert (params.n_batch, params.n_ubatch) == (256, 128)
    assert (params.cpuparams.n_threads, params.cpuparams_batch.n_threads) == (1, 1)
    assert params.cache_prompt is False
    assert params.n_gpu_layers == 0
    assert "MODE_NONE" in repr(params.load_mode)
    assert "NGRAM_SIMPLE" in repr(params.speculative.types)
    assert (params.speculative.ngram_simple.size_n, params.speculative.ngram_simple.size_m) == (2, 6)


def test_a_draft_model_reaches_llamacpp(tmp_path: Path) -> None:
    draft = str(tmp_path / "small.gguf")
    params = parameters_of(serving(speculative={"method": "draft", "model": draft, "tokens": 5}))
    assert "DRAFT_SIMPLE" in repr(params.speculative.types)
    assert (params.speculative.draft.mparams.path, params.speculative.draft.n_max) == (draft, 5)


def test_settings_that_nobody_names_stay_llamacpps_own() -> None:
    ours, plain = parameters_of(ServingSpec()), importlib.import_module("xllamacpp").CommonParams()
    for name in ("n_batch", "n_ubatch", "n_gpu_layers", "cache_prompt", "flash_attn_type", "cache_type_k", "load_mode"):
        assert getattr(ours, name) == getattr(plain, name), name


def test_a_real_server_answers_with_all_of_them(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    catalogue = load_catalogue()
    spec = load_spec({"models": {"m": {"model": "gemma3:270m", "contextLength": 512, "engine": "llamacpp"}}})
    model = plan_fleet(spec, gather_facts(catalogue), catalogue, tmp_path)[0]

    def launch(candidate: Candidate) -> Launch:
        return Launch(llamacpp_command(replace(model, spec=candidate.applied(model.spec)), str(weights)))

    with Servers(launch, tmp_path, answers=lambda port: answers(port, "/health")) as servers:
        server = servers.of(Candidate(1, serving(**EVERYTHING)))
        assert isinstance(server, Server), server
        body = {"prompt": "one two three one two three one two", "n_predict": 12, "temperature": 0, "ignore_eos": True}
        reply = httpx.post(f"http://127.0.0.1:{server.port}/completion", json=body, timeout=120, trust_env=False)
        timings = reply.json()["timings"]
        assert timings["predicted_n"] == 12
        assert timings["draft_n"] > 0, "what repeats itself is guessed ahead"
        asked = Asked("openai", "gemma3:270m")
        measured = burst(server, asked, Workload(2, prompt_tokens=16, answer_tokens=4, waves=1))
        assert not isinstance(measured, str), measured
        assert len(measured.ttft_seconds) == len(measured.itl_seconds) == 2
        assert not measured.cut_short
        cut = burst(server, asked, Workload(2, 16, answer_tokens=200, waves=1), give_up_seconds=0.05)
        assert not isinstance(cut, str), cut
        assert cut.cut_short
        assert max(cut.ttft_seconds) >= 0.05, "a latency is never made shorter than it was"


@pytest.mark.slow
def test_a_real_ollama_computes_with_them(ollama: Path, weights: Path, tmp_path: Path) -> None:
    from components.local.provider.ollama_model import OllamaModelType
    from components.local.provider.resource import Session

    settings = serving(kvCacheType="q8_0", threads=1, batchSize=64)
    url = f"http://127.0.0.1:{free_port()}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "OLLAMA_HOST": url,
        "OLLAMA_MODELS": str(tmp_path / "models"),
        "OLLAMA_NO_CLOUD": "1",
        **server_environment(keep_alive="10m", parallel=2, context_length=512, serving=settings),
    }
    log = tmp_path / "log"
    with process([str(ollama), "serve"], log, environment) as started:
        wait_until_healthy(f"{url}/api/version", started, log)
        resource = OllamaModelType()
        given: dict[str, Any] = {
            "serverUrl": url,
            "model": "gemma3:270m",
            "fromFile": str(weights),
            "template": OLLAMA_TEMPLATE,
            "parameters": model_parameters(settings),
            "warm": True,
        }
        inputs, failures = resource.check(given, {})
        assert failures == []
        resource.create(inputs, Session())
        loaded = log.read_text(errors="replace")
    assert "KvCacheType:q8_0" in loaded
    assert "FlashAttention:Enabled" in loaded
    assert "NumThreads:1" in loaded
    assert "BatchSize:64" in loaded
    assert "Parallel:2" in loaded


def a_project(directory: Path, weights: Path, **model: Any) -> Path:
    """A project's folder with a stack of one model, and the stack's file."""
    (directory / "Pulumi.yaml").write_text("name: paddock\nruntime: python\n")
    (directory / "__main__.py").write_text("")
    source = {"path": str(weights), "sha256": weights.parent.name}
    entry = {"model": "gemma3:270m", "contextLength": 512, "weights": source, "parallel": 1, **model}
    stack = directory / "Pulumi.dev.yaml"
    stack.write_text(yaml.safe_dump({"config": {"paddock:models": {"assistant": entry}}}))
    return stack


def tuned(directory: Path, *options: str, path: str | None = None) -> dict[str, Any]:
    """What the command says of the project's model: a short search over its parallel slots."""
    command = [sys.executable, "-m", "cli.main", "tune", "assistant", "--minutes", "1", "--rounds", "3", "--json"]
    command += [
        "--prompt-tokens",
        "16",
        "--answer-tokens",
        "8",
        "--concurrency",
        "2",
        "--setting",
        "parallel",
        *options,
    ]
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": path or os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    runs = found["steps"][0]["runs"]
    assert [run["settings"]["parallel"] for run in runs] == [1, 2]
    measured = [run for run in runs if run["rounds"]]
    assert measured[0] is runs[0], "what there is now is measured first"
    assert all(run["tokensPerSecond"] > 0 and run["memoryBytes"] > 10_000_000 for run in measured)
    assert {run["verdict"] for run in measured[1:]} <= {"faster", "slower", "within the noise", "not known"}
    return found


@pytest.mark.slow
def test_tune_tries_settings_beside_whatever_runs_and_writes_what_it_found(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    stack = a_project(tmp_path, weights, engine="llamacpp")
    found = tuned(tmp_path, "--write")
    # Whether two slots are faster is the machine's to say; what it says and what is written agree.
    assert ("parallel: 2" in stack.read_text()) == (found["change"] == {"parallel": 2})
    assert found["written"] == ("Pulumi.dev.yaml" if found["change"] else None)


@pytest.mark.slow
def test_tune_asks_an_ollama_that_shares_the_fleets_store(ollama: Path, weights: Path, tmp_path: Path) -> None:
    from components.local.provider.ollama_model import OllamaModelType
    from components.local.provider.resource import Session

    a_project(tmp_path, weights, engine="ollama")
    store = stack_directory(tmp_path, "dev") / "ollama" / "assistant"
    store.mkdir(parents=True)
    url = f"http://127.0.0.1:{free_port()}"
    environment = {"PATH": os.environ["PATH"], "HOME": str(store), "OLLAMA_HOST": url, "OLLAMA_NO_CLOUD": "1"}
    log = tmp_path / "log"
    with process([str(ollama), "serve"], log, {**environment, "OLLAMA_MODELS": str(store / "models")}) as started:
        wait_until_healthy(f"{url}/api/version", started, log)
        given = {"serverUrl": url, "model": "gemma3:270m", "fromFile": str(weights), "template": OLLAMA_TEMPLATE}
        OllamaModelType().create(OllamaModelType().check(given, {})[0], Session())
        manifests = {path: path.read_bytes() for path in store.rglob("manifests/**/*") if path.is_file()}
        found = tuned(tmp_path, path=f"{ollama.parent}{os.pathsep}{os.environ['PATH']}")
        assert found["steps"][0]["setting"] == "parallel"
        assert {path: path.read_bytes() for path in store.rglob("manifests/**/*") if path.is_file()} == manifests
        assert httpx.get(f"{url}/api/tags", trust_env=False).json()["models"], "the fleet's own server goes on"
