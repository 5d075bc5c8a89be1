"""Swapping a model of a real fleet by the real command, while clients ask all the time: none is lost, none is mixed."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.engine.checkout import Checkout, wait_until
from tests.gguf_maker import write_gguf
from tests.programs import ollama_binary, packaged_weights
from tests.standins.kubernetes_directory import DirectoryCluster

SECONDS = 900
"""For one swap, or some answers: computing takes long on a machine that does other work beside."""
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]

MODEL = {"model": "gemma3:270m", "contextLength": 512, "parallel": 2, "serving": {"threads": 1}}
"""One thread, since the threads of several servers would wait for each other on a small machine."""
CLIENTS = 2
MOST_ANSWERS = 20_000
"""The load ends by itself after so many, should a test forget to end it."""
OWN = "my-own:270m"


@dataclass(frozen=True)
class Answered:
    """One answer under load."""

    name: str
    by: str
    """The fleet's model that the router says answered."""
    named: frozenset[str]
    """The models that the answer's own pieces name."""
    problem: str | None


class Load:
    """Clients that ask by name all the time, as a stream and whole in turn, and look at what they get."""

    def __init__(self, url: str, names: tuple[str, ...]) -> None:
        self.answers: list[Answered] = []
        self._url, self._names = url, names
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._go_on, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        wait_until(lambda: len(self.answers) >= CLIENTS, SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def more(self, count: int = 2 * CLIENTS) -> None:
        wanted = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= wanted, SECONDS)

    def _go_on(self, number: int) -> None:
        turn = number
        with httpx.Client(base_url=self._url, timeout=SECONDS, trust_env=False) as http:
            while not self._stop.is_set() and len(self.answers) < MOST_ANSWERS:
                turn += 1
                self.answers.append(asked(http, self._names[turn % len(self._names)], turn))

    def demand(self, *models: str) -> None:
        """Every answer came, whole and of one model; and each of these models gave some."""
        assert [one for one in self.answers if one.problem is not None] == []
        assert {one.by for one in self.answers} == set(models)
        # What an answer calls its model is the engine's word or, translated, the name that was asked for: always one.
        own_names: dict[tuple[str, str], set[frozenset[str]]] = {}
        for one in self.answers:
            assert len(one.named) == 1, f"an answer of {one.by} names {sorted(one.named)}"
            own_names.setdefault((one.by, one.name), set()).add(one.named)
        assert all(len(names) == 1 for names in own_names.values()), own_names

    @property
    def by(self) -> Counter[str]:
        return Counter(one.by for one in self.answers)


def asked(http: httpx.Client, name: str, turn: int) -> Answered:
    """Ask once; each question is another, so that no cache answers."""
    stream = turn % 2 == 0
    body = {
        "model": name,
        "prompt": f"{turn} {turn + 1}",
        "max_tokens": 8,
        "temperature": 0,
        "stream": stream,
    }
    try:
        reply = http.post("/v1/completions", json=body)
    except httpx.HTTPError as error:
        return Answered(name, "", frozenset(), repr(error))
    by = reply.headers.get("X-Paddock-Model", "")
    if reply.status_code != 200:
        return Answered(name, by, frozenset(), f"{reply.status_code}: {reply.text[:300]}")
    if not stream:
        document = reply.json()
        whole = document["choices"][0]["finish_reason"] in ("stop", "length")
        return Answered(name, by, frozenset([document["model"]]), None if whole else "cut off")
    pieces = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    whole = reply.text.rstrip().endswith("data: [DONE]") and not any("error" in piece for piece in pieces)
    named = frozenset(piece["model"] for piece in pieces if "model" in piece)
    return Answered(name, by, named, None if whole else f"cut off: {reply.text[-200:]}")


def swap(checkout: Checkout, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """Run the command to its end, and give its document."""
    process = checkout.start("models", "swap", *arguments, "--yes", "--json")
    stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == exit_code, f"{arguments} gave {process.returncode}:\n{stdout}\n{stderr}"
    document: dict[str, Any] = json.loads(stdout)
    return document


def text_of(checkout: Checkout) -> str:
    return (checkout.directory / "Pulumi.dev.yaml").read_text()


def config_of(checkout: Checkout) -> dict[str, Any]:
    return {key.partition(":")[2]: value for key, value in yaml.safe_load(text_of(checkout))["config"].items()}


def bring_up(checkout: Checkout) -> str:
    """Bring a commented fleet up, and give its router's address."""
    checkout.write(models={"assistant": MODEL}, router={"port": checkout.router_port, "workers": 2})
    path = checkout.directory / "Pulumi.dev.yaml"
    path.write_text(
        "# the office's stack\n" + path.read_text().replace("default: assistant", "default: assistant  # most")
    )
    url: str = checkout.up()["fleet"]["router"]["url"]
    return url


def own_weights(checkout: Checkout) -> tuple[str, ...]:
    """Options for the packaged weights as a file of the user's own."""
    path = checkout.directory / "own.gguf"
    os.link(packaged_weights(), path) if same_disk(path) else path.write_bytes(packaged_weights().read_bytes())
    return ("--weights", str(path), "--sha256", hashlib.sha256(path.read_bytes()).hexdigest())


def same_disk(path: Path) -> bool:
    return path.parent.stat().st_dev == packaged_weights().stat().st_dev


def kill(process: psutil.Process) -> None:
    """kill -9 of a command and of everything that it started, but for what is looked after on its own."""
    everything = [*process.children(recursive=True), process]
    for one in everything:
        one.kill()
    psutil.wait_procs(everything, timeout=30)


def test_under_load_no_answer_is_lost_or_mixed(checkout: Checkout) -> None:
    url = bring_up(checkout)
    with Load(url, ("default", "assistant")) as load:
        done = swap(checkout, "default", OWN, *own_weights(checkout))
        load.more()
    load.demand("assistant", "assistant-2")
    assert load.answers[-1].by == "assistant-2"
    assert done["outcome"] == "swapped"
    assert done["drained"] is True
    assert [one["step"] for one in done["steps"]] == ["deploy", "warm", "check", "turn", "drain", "remove"]
    assert set(checkout.records()) == {"assistant-2-0", "router"}
    assert "# the office's stack" in text_of(checkout)
    assert "default: assistant-2  # most" in text_of(checkout)
    assert config_of(checkout)["aliases"] == {"default": "assistant-2", "assistant": "assistant-2"}
    assert config_of(checkout)["models"]["assistant-2"]["weights"]["path"] == "own.gguf"
    assert checkout.up()["changes"] == {}


def test_a_model_that_fails_its_checks_or_does_not_load_changes_nothing(checkout: Checkout) -> None:
    url = bring_up(checkout)
    before = text_of(checkout)
    prompts = checkout.directory / "prompts.jsonl"
    prompts.write_text('{"prompt": "What is the capital of Japan?", "expect": "Kyoto, Wyoming", "maxTokens": 8}\n')
    broken = write_gguf(checkout.directory / "broken.gguf")
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    with Load(url, ("default", "assistant")) as load:
        failed = swap(checkout, "default", OWN, *own_weights(checkout), "--check", str(prompts), exit_code=1)
        assert failed["outcome"] == "undone"
        assert "Kyoto, Wyoming" in failed["why"]
        assert failed["checks"]["failed"] == 1
        assert text_of(checkout) == before

        failed = swap(checkout, "default", "broken:1b", "--weights", str(broken), "--sha256", digest, exit_code=1)
        assert "assistant-2-0" in failed["why"]
        assert text_of(checkout) == before
        load.more()
    load.demand("assistant")
    assert set(checkout.records()) == {"assistant-0", "router"}
    assert checkout.up()["changes"] == {}


def test_what_kill_9_leaves_serves_and_is_finished_or_undone(checkout: Checkout) -> None:
    url = bring_up(checkout)
    before = text_of(checkout)
    journal = checkout.directory / ".paddock" / "dev" / "swap.json"
    wanted = ("default", "gemma3:270m", "--context", "1024")

    def kill_at(step: str) -> None:
        process = checkout.start("models", "swap", *wanted, "--yes")
        wait_until(lambda: journal.exists() and json.loads(journal.read_bytes())["step"] == step, SECONDS)
        kill(psutil.Process(process.pid))
        process.communicate(timeout=60)

    with Load(url, ("default", "assistant")) as load:
        kill_at("deploy")
        load.more()
        refused = checkout.paddock("models", "swap", "assistant", OWN, "--yes", exit_code=2)
        assert "--resume" in refused.stderr
        assert "--abort" in refused.stderr
        assert swap(checkout, "--abort")["outcome"] == "undone"
        assert text_of(checkout) == before
        assert not journal.exists()

        kill_at("turn")
        load.more()
        assert swap(checkout, *wanted)["outcome"] == "swapped", "the same command goes on where it was cut off"
        load.more()
    load.demand("assistant", "assistant-2")
    assert set(checkout.records()) == {"assistant-2-0", "router"}
    assert checkout.paddock("models", "swap", "--resume", exit_code=2)


def test_what_cannot_be_swapped_is_refused_before_anything_changes(checkout: Checkout) -> None:
    bring_up(checkout)
    before, pids = text_of(checkout), checkout.pids()
    prompts = checkout.directory / "prompts.jsonl"
    prompts.write_text('{"prompt": "hello", "expct": "hello"}\n')
    for arguments, told in (
        (("assistent", "gemma3:270m"), "did you mean 'assistant'"),
        (("default", "gemma3:270m"), "already"),
        (("default", "gemma3:270n"), "gemma3:270m"),
        (("default", "llama3.1:70b"), "models.assistant-2.engine"),
        (("default", OWN, "--weights", "none.gguf", "--sha256", "0" * 64), "there is no file"),
        (("default", "gemma3:270m", "--context", "1000000"), "1000000"),
        (("default", "gemma3:270m", "--context", "1024", "--check", str(prompts)), "line 1: expct"),
        (("default",), "NEW_MODEL"),
        (("--resume",), "no swap"),
        (("--abort",), "no swap"),
    ):
        refused = checkout.paddock("models", "swap", *arguments, "--yes", exit_code=2)
        assert told in refused.stderr, refused.stderr
    unasked = checkout.paddock("models", "swap", "default", "gemma3:270m", "--context", "1024", exit_code=2)
    assert "--yes" in unasked.stderr
    assert (text_of(checkout), checkout.pids()) == (before, pids)


def test_from_llamacpp_to_a_real_ollama_and_back(checkout: Checkout) -> None:
    checkout.environment["PATH"] = os.pathsep.join([str(ollama_binary().parent), checkout.environment["PATH"]])
    url = bring_up(checkout)
    with Load(url, ("default", "assistant")) as load:
        there = swap(checkout, "assistant", "gemma3:270m", "--engine", "ollama")
        load.more()
        back = swap(checkout, "assistant", "gemma3:270m", "--engine", "llamacpp")
        load.more()
    assert (there["outcome"], back["outcome"]) == ("swapped", "swapped")
    assert (there["new"], back["new"]) == ("assistant-2", "assistant")
    load.demand("assistant", "assistant-2")
    assert load.by["assistant-2"] > 0
    assert config_of(checkout)["aliases"] == {"default": "assistant", "assistant-2": "assistant"}
    assert set(checkout.records()) == {"assistant-0", "router"}


class ClusterRouter(BaseHTTPRequestHandler):
    """Answers as the router of a cluster of which nothing runs: by the contract that its replicas would have."""

    cluster: DirectoryCluster
    failing: str = ""
    """A model that fails."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        contract = self._contract()
        (model,) = contract["aliases"].get(body["model"], {body["model"]: 1})
        if model == self.failing:
            self._reply(500, b'{"error": {"message": "out of memory"}}', model)
            return
        message = {"role": "assistant", "content": "Hello."}
        if body.get("stream"):
            pieces = [{"choices": [{"delta": message}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
            events = [json.dumps(piece) for piece in pieces]
            self._reply(200, "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode(), model)
            return
        self._reply(200, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode(), model)

    def do_GET(self) -> None:
        lines = [
            f'paddock_model_active_requests{{model="{name}",tier="local"}} 0' for name in self._contract()["models"]
        ]
        self._reply(200, "\n".join(lines).encode(), "")

    def _contract(self) -> dict[str, Any]:
        return json.loads(self.cluster.objects()["ConfigMap/fleet-contract"]["data"]["contract.json"])

    def _reply(self, status: int, body: bytes, model: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Paddock-Model", model)
        self.send_header("X-Paddock-Endpoint", f"http://{model}-{time.monotonic_ns() % 2}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        del format, args


@contextmanager
def cluster_router(cluster: DirectoryCluster, failing: str = "") -> Generator[str]:
    handler = type("Handler", (ClusterRouter,), {"cluster": cluster, "failing": failing})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def on_a_cluster(cluster_checkout: Checkout, cluster: DirectoryCluster) -> Iterator[Checkout]:
    cluster_checkout.write(
        target="kubernetes",
        models={"assistant": {"model": "llama3.1:8b", "replicas": 2}},
        router={"image": "registry.example.com/paddock:1.0.0"},
        monitoring={"enabled": False},
        valkey={"mode": "none"},
    )
    cluster_checkout.up()
    cluster.begin_log()
    yield cluster_checkout
    cluster_checkout.paddock("destroy", "--yes")


def test_on_a_cluster_the_same_steps_make_change_and_remove_the_right_objects(
    on_a_cluster: Checkout, cluster: DirectoryCluster
) -> None:
    before = set(cluster.objects())
    unreachable = on_a_cluster.paddock("models", "swap", "assistant", "gemma3:1b", "--yes", exit_code=2)
    assert "port-forward" in unreachable.stderr

    text = text_of(on_a_cluster)
    with cluster_router(cluster, failing="assistant-2") as url:
        on_a_cluster.environment["PADDOCK_ROUTER_URL"] = url
        failed = swap(on_a_cluster, "assistant", "gemma3:1b", exit_code=1)
        assert "out of memory" in failed["why"]
        assert (text_of(on_a_cluster), set(cluster.objects())) == (text, before)

    cluster.begin_log()
    with cluster_router(cluster) as url:
        on_a_cluster.environment["PADDOCK_ROUTER_URL"] = url
        done = swap(on_a_cluster, "assistant", "gemma3:1b")
    assert done["outcome"] == "swapped"
    log = cluster.log()

    def place(pattern: str, action: str) -> int:
        return next(i for i, one in enumerate(log) if one.object.startswith(pattern) and one.action == action)

    contracts = [i for i, one in enumerate(log) if (one.object, one.state) == ("ConfigMap/fleet-contract", "done")]
    steps = [
        place("StatefulSet/assistant-2-", "create"),
        contracts[0],  # it can be asked
        contracts[1],  # clients get it
        contracts[2],  # the old one is not in the contract any more
        place("StatefulSet/assistant-g", "delete"),
    ]
    assert steps == sorted(steps)
    mounted = json.loads(cluster.objects()["ConfigMap/fleet-contract"]["data"]["contract.json"])
    assert set(mounted["models"]) == {"assistant-2"}
    assert mounted["aliases"] == {"default": {"assistant-2": 1.0}, "assistant": {"assistant-2": 1.0}}
    assert not [name for name in cluster.objects() if name.startswith("StatefulSet/assistant-g")]
