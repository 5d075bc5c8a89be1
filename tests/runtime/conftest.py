"""Real model servers for the tests of this layer: llama.cpp and Ollama, with real weights, and routers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests import programs
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
MODEL = "gemma3:270m"
CONTEXT_LENGTH = 2048
CAPABILITIES = ("chat", "completion")

# The weights are a base model's: a template of questions and answers is what it follows best.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'assistant' %}A: {{ message.content }}\n"
    "{% elif message.role == 'system' %}{{ message.content }}\n"
    "{% else %}Q: {{ message.content }}\n{% endif %}{% endfor %}A:"
)
OLLAMA_TEMPLATE = (
    '{{ range .Messages }}{{ if eq .Role "assistant" }}A: {{ .Content }}\n'
    '{{ else if eq .Role "system" }}{{ .Content }}\n{{ else }}Q: {{ .Content }}\n{{ end }}{{ end }}A:'
)


@contextmanager
def process(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone when the block ends."""
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=env)
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(timeout=20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def wait_until_healthy(url: str, started: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if started.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} did not answer; its log ends with:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="session")
def weights() -> Path:
    """Gemma 3, 270 million parameters, 4 bits."""
    return programs.packaged_weights()


@pytest.fixture(scope="session")
def ollama() -> Path:
    """Ollama's program; without one the test is skipped, or fails where the tools are required."""
    return programs.ollama_binary()


@pytest.fixture(scope="session")
def llamacpp_url(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A llama.cpp server as the local target starts it."""
    pytest.importorskip("xllamacpp")
    port = free_port()
    log = tmp_path_factory.mktemp("llamacpp") / "log"
    command = [sys.executable, "-m", "components.local.llamacpp_server", "--weights", str(weights)]
    command += ["--model", MODEL, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--context", str(CONTEXT_LENGTH), "--parallel", "2", "--chat-template", CHAT_TEMPLATE]
    # Threads that wait for each other on a busy machine are slower than one that does not.
    command += ["--threads", "1"]
    with process(command, log) as started:
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(f"{url}/health", started, log)
        yield url


@pytest.fixture(scope="session")
def ollama_url(ollama: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An Ollama with a home and a store of its own, that holds one model."""
    binary = str(ollama)
    home = tmp_path_factory.mktemp("ollama")
    log = home / "log"
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(home / "models"),
        "OLLAMA_CONTEXT_LENGTH": str(CONTEXT_LENGTH),
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_NUM_PARALLEL": "1",
    }
    modelfile = home / "Modelfile"
    modelfile.write_text(
        f'FROM {weights}\nTEMPLATE """{OLLAMA_TEMPLATE}"""\nPARAMETER stop "Q:"\nPARAMETER num_thread 1\n'
    )
    with process([binary, "serve"], log, env=env) as started:
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(f"{url}/api/version", started, log)
        create = [binary, "create", MODEL, "-f", str(modelfile)]
        made = subprocess.run(create, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert made.returncode == 0, made.stderr
        yield url


RouterFor = Callable[..., str]


@pytest.fixture(scope="session")
def router_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterFor]:
    """Starts a router, as a process, for one model that is called ``assistant``; gives its URL.

    What is named beside goes into the contract.
    """
    started: list[tuple[subprocess.Popen[str], IO[str]]] = []

    def start(engine: str, *urls: str, capabilities: Sequence[str] = CAPABILITIES, **parts: Any) -> str:
        path = tmp_path_factory.mktemp("router") / "fleet.json"
        path.write_text(json.dumps({**contract(engine, *urls, capabilities=capabilities), **parts}))
        command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(path), "--port", "0"]
        log = path.with_suffix(".log").open("w+")
        router = subprocess.Popen(command, stderr=log, cwd=ROOT, text=True)
        started.append((router, log))
        return f"http://127.0.0.1:{_listening_port(router, Path(log.name))}"

    yield start
    for router, log in started:
        router.terminate()
        assert router.wait(timeout=20) == 0
        log.close()


def _listening_port(router: subprocess.Popen[str], log: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and router.poll() is None:
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "listening":
                return int(event["port"])
        time.sleep(0.05)
    raise AssertionError(f"the router did not start:\n{log.read_text()}")


def contract(engine: str, *urls: str, capabilities: Sequence[str] = CAPABILITIES) -> dict[str, Any]:
    """A contract with one model."""
    root = "http://127.0.0.1:8080"
    return {
        "version": 1,
        "stack": "test",
        "target": "local",
        "router": {"url": root, "openai": f"{root}/v1", "ollama": root, "metrics": f"{root}/metrics"},
        "models": {
            "assistant": {
                "model": MODEL,
                "engine": engine,
                "contextLength": CONTEXT_LENGTH,
                "parallel": 2,
                "capabilities": [*capabilities],
                "endpoints": [{"url": url} for url in urls],
            }
        },
        "aliases": {"default": {"assistant": 1.0}},
    }
