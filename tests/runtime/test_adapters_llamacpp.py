"""A base and two adapters on one real llama.cpp, asked through the router: each answers as itself, and as nothing else.

Their weights are random, so that answers are nonsense of which every word depends on who computed it, and on what was
computed before. The truth that answers are held against comes from servers that know no other model.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.commands.adapters import prepare
from components.local.adapters import LocalAdapter, adapter_entries, adapter_scales
from fleet_spec.contract import FleetContract
from tests.ports import free_port
from tests.runtime.conftest import contract, process, wait_until_healthy

pytest.importorskip("gguf")
pytest.importorskip("safetensors")

import numpy as np

from tests.peft_maker import MODULES, PREFIX, halves, write_peft
from tests.tiny_llama import TINY, random_weights, turned, write_adapter, write_base

pytestmark = pytest.mark.runtime

PROMPTS = (
    "a long prompt of which much can be kept, so that what was computed for one model is there for the next " * 2,
    "something else altogether, with the numbers 1 2 3 4 5 in it " * 2,
    "a long prompt of which",
)
MODELS = ("assistant", "law", "medicine")
OPTIONS: dict[str, Any] = {"temperature": 0, "seed": 1, "max_tokens": 10}


def server(port: int, base: Path, *adapters: Path, parallel: int = 2) -> list[str]:
    """The command of the local target's own server."""
    command = [sys.executable, "-m", "components.local.llamacpp_server", "--weights", str(base), "--model", "tiny"]
    command += ["--port", str(port), "--context", "512", "--parallel", str(parallel), "--threads", "1"]
    return [*command, *(word for adapter in adapters for word in ("--lora", str(adapter)))]


def fleet(url: str, adapters: list[LocalAdapter]) -> FleetContract:
    """A contract as the local target writes it, of a base and its adapters."""
    whole = FleetContract.from_mapping(contract("llamacpp", url))
    base = whole.models["assistant"].model_copy(update={"model": "tiny", "lora": adapter_scales(adapters)})
    models = {"assistant": base, **dict(adapter_entries("assistant", base, adapters))}
    return whole.model_copy(update={"models": models, "aliases": {"either": {"law": 0.5, "assistant": 0.5}}})


@dataclass(frozen=True)
class Fleet:
    """A router before one server with two adapters."""

    router: httpx.Client
    truth: dict[tuple[str, str], str]
    """What each model answers to each prompt."""

    def ask(self, model: str, prompt: str, **more: Any) -> str:
        """The answer of a model of the fleet."""
        answer = self.router.post("/v1/chat/completions", json=chat(model, prompt) | more)
        assert answer.status_code == 200, answer.text
        return said(answer)


def chat(model: str, prompt: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **OPTIONS}


def said(answer: httpx.Response) -> str:
    return answer.json()["choices"][0]["message"]["content"]


@dataclass(frozen=True)
class Files:
    """A base, its adapters, and what each of them says where it is alone."""

    base: Path
    adapters: tuple[Path, ...]
    truth: dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    pytest.importorskip("xllamacpp")
    room = tmp_path_factory.mktemp("adapters")
    base = write_base(room / "base.gguf")
    adapters = tuple(write_adapter(room / f"{name}.gguf", seed=seed) for seed, name in enumerate(MODELS[1:], 2))
    truth: dict[tuple[str, str], str] = {}
    for model, held in zip(MODELS, ((), *((one,) for one in adapters)), strict=True):
        with ExitStack() as alone:
            url = serve(alone, room / f"{model}.log", base, *held, parallel=1)
            own = {"lora": [{"id": 0, "scale": 1.0}]} if held else {}
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
                for prompt in PROMPTS:
                    asked = chat("tiny", prompt) | own | {"cache_prompt": False}
                    truth[model, prompt] = said(client.post("/v1/chat/completions", json=asked))
    assert len(set(truth.values())) == len(truth), "answers that are the same tell nothing apart"
    return Files(base, adapters, truth)


@pytest.fixture(scope="module", params=[1, 2], ids=["one slot", "two slots"])
def tiny(request: pytest.FixtureRequest, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    room = tmp_path_factory.mktemp("fleet")
    adapters = [LocalAdapter(path.stem, path, "", 1.0, 0) for path in files.adapters]
    with ExitStack() as running:
        url = serve(running, room / "server.log", files.base, *files.adapters, parallel=request.param)
        path = room / "fleet.json"
        path.write_text(fleet(url, adapters).to_json())
        port = free_port()
        command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(path), "--port", str(port)]
        router = running.enter_context(process(command, room / "router.log"))
        wait_until_healthy(f"http://127.0.0.1:{port}/readyz", router, room / "router.log")
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        yield Fleet(running.enter_context(client), files.truth)


def serve(running: ExitStack, log: Path, base: Path, *adapters: Path, parallel: int = 2) -> str:
    """Start a server; gives its address."""
    port = free_port()
    started = running.enter_context(process(server(port, base, *adapters, parallel=parallel), log))
    wait_until_healthy(f"http://127.0.0.1:{port}/health", started, log)
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("model", MODELS)
def test_each_model_answers_as_it_does_alone(tiny: Fleet, model: str) -> None:
    for prompt in PROMPTS:
        assert tiny.ask(model, prompt) == tiny.truth[model, prompt]


def test_what_is_kept_of_a_prompt_is_never_used_for_another_model(tiny: Fleet) -> None:
    chance = random.Random(5)
    for _ in range(120):
        model, prompt = chance.choice(MODELS), chance.choice(PROMPTS)
        assert tiny.ask(model, prompt) == tiny.truth[model, prompt]


def test_requests_at_the_same_time_never_mix(tiny: Fleet) -> None:
    chance = random.Random(6)
    asked = [(chance.choice(MODELS), chance.choice(PROMPTS)) for _ in range(80)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: tiny.ask(*one), asked))
    assert answers == [tiny.truth[one] for one in asked]


def test_streams_and_whole_answers_in_both_dialects_come_from_the_model_that_was_asked(tiny: Fleet) -> None:
    for model in MODELS:
        prompt = PROMPTS[0]
        told = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": False}
        options = {"temperature": 0, "seed": 1, "num_predict": 10}
        answer = tiny.router.post("/api/chat", json=told | {"options": options})
        assert answer.json()["message"]["content"] == tiny.truth[model, prompt]
        with tiny.router.stream("POST", "/v1/chat/completions", json=chat(model, prompt) | {"stream": True}) as stream:
            assert stream.headers["x-paddock-model"] == model
            text = "".join(piece for line in stream.iter_lines() for piece in pieces(line))
        assert text == tiny.truth[model, prompt]


def pieces(line: str) -> Iterator[str]:
    if line.startswith("data: {"):
        for choice in httpx.Response(200, content=line.removeprefix("data: ")).json()["choices"]:
            yield choice["delta"].get("content") or ""


def test_an_alias_weighs_an_adapter_against_its_base(tiny: Fleet) -> None:
    prompt = PROMPTS[2]
    met: set[str] = set()
    for session in range(20):
        headers = {"X-Paddock-Session": f"s{session}"}
        answer = tiny.router.post("/v1/chat/completions", json=chat("either", prompt), headers=headers)
        met.add(answer.headers["x-paddock-model"])
        assert said(answer) == tiny.truth[answer.headers["x-paddock-model"], prompt]
    assert met == {"law", "assistant"}


def test_adapters_are_models_in_every_list(tiny: Fleet) -> None:
    listed = {one["id"] for one in tiny.router.get("/v1/models").json()["data"]}
    assert set(MODELS) <= listed
    assert {"law:latest", "medicine:latest"} <= {one["name"] for one in tiny.router.get("/api/tags").json()["models"]}


def test_no_client_reaches_an_adapter_but_by_its_name(tiny: Fleet) -> None:
    asked = chat("assistant", PROMPTS[0]) | {"lora": [{"id": 0, "scale": 1.0}]}
    answer = tiny.router.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 400
    assert "ask for the adapter by its name" in answer.text


def test_a_prepared_adapter_computes_what_its_training_did(tmp_path: Path) -> None:
    """The base with an adapter answers as one whose weights were changed by hand in Hugging Face's order of rows."""
    tensors, plain = halves(), random_weights()
    changed = dict(plain)
    for layer in range(TINY.layers):
        for module, name in MODULES.items():
            b, a = (tensors[f"{PREFIX}.{layer}.{module}.lora_{half}.weight"] for half in "BA")
            product = (2 * b @ a).astype(np.float32)
            heads = {"attn_q": TINY.heads, "attn_k": TINY.kv_heads}.get(name)
            key = f"blk.{layer}.{name}.weight"
            changed[key] = plain[key] + (product if heads is None else turned(product, heads))
    base, merged = write_base(tmp_path / "base.gguf"), write_base(tmp_path / "merged.gguf", weights=changed)
    prepare(write_peft(tmp_path / "law"), str(base), tmp_path / "law.gguf", stack="dev", scale=1, other_name=False)
    asked = chat("tiny", PROMPTS[0])
    with ExitStack() as running:
        url = serve(running, tmp_path / "adapter.log", base, tmp_path / "law.gguf")
        own = asked | {"lora": [{"id": 0, "scale": 1.0}]}
        adapted = said(httpx.post(f"{url}/v1/chat/completions", json=own, timeout=60, trust_env=False))
        alone = said(httpx.post(f"{url}/v1/chat/completions", json=asked, timeout=60, trust_env=False))
    with ExitStack() as running:
        url = serve(running, tmp_path / "merged.log", merged)
        assert said(httpx.post(f"{url}/v1/chat/completions", json=asked, timeout=60, trust_env=False)) == adapted
    assert alone != adapted
