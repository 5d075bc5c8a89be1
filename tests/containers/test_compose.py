"""The rendered compose file under podman: real Ollama behind the real router, up, used, and down."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.containers.compose import ComposeStack
from tests.containers.conftest import ROUTER, RouterBuild
from tests.ports import free_port
from tests.programs import REPOSITORY, lacking, packaged_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def stack(
    router_build: RouterBuild, ollama_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposeStack]:
    if importlib.util.find_spec("podman_compose") is None:
        lacking("podman-compose is not installed. fix: pip install podman-compose")
    directory = tmp_path_factory.mktemp("project")
    out = render(directory, ollama_image)
    (out / "secrets").mkdir()
    (out / "secrets" / "router-key").write_text(secrets.token_hex(32))
    (out / "secrets" / "router-key").chmod(0o600)
    stack = ComposeStack(router_build.podman, out, {"PADDOCK_ROUTER_PORT": str(free_port())})
    stack.up()
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes")


def render(directory: Path, ollama_image: str) -> Path:
    """The compose file that `paddock render` writes for one small model."""
    weights = packaged_weights()
    repository, _, tag = ollama_image.rpartition(":")
    model = {
        "model": "gemma3:270m",
        "engine": "ollama",
        "contextLength": 1024,
        "weights": {"path": str(weights), "sha256": weights.parent.name},
    }
    config = {
        "paddock:target": "docker",
        "paddock:models": {"assistant": model},
        "paddock:aliases": {"default": "assistant"},
        "paddock:budget": {"monthlyUsd": 100},
        "paddock:router": {"image": ROUTER},
        "paddock:docker": {"images": {"ollama": {"repository": repository, "tag": tag}}},
    }
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(REPOSITORY / name, directory)
    (directory / "Pulumi.pod.yaml").write_text(yaml.safe_dump({"config": config}))
    out = directory / "out"
    command = ["-m", "cli.main", "render", "--stack", "pod", "--target", "docker", "--out", str(out)]
    subprocess.run([sys.executable, *command], cwd=directory, env={"PYTHONPATH": str(REPOSITORY)}, check=True)
    return out


def client(stack: ComposeStack) -> httpx.Client:
    """A client with the stack's key."""
    key = (stack.directory / "secrets" / "router-key").read_text()
    return httpx.Client(
        base_url=f"http://127.0.0.1:{stack.environment['PADDOCK_ROUTER_PORT']}",
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
        trust_env=False,
    )


def ask(http: httpx.Client, *, tokens: int = 8) -> httpx.Response:
    body = {"model": "default", "messages": QUESTION, "max_tokens": tokens, "temperature": 0}
    return http.post("/v1/chat/completions", json=body)


def test_it_answers_a_chat_on_the_published_port_and_only_to_who_has_the_key(stack: ComposeStack) -> None:
    with client(stack) as http:
        assert "assistant" in {one["id"] for one in http.get("/v1/models").json()["data"]}
        reply = ask(http, tokens=16).raise_for_status()
        assert "Paris" in reply.json()["choices"][0]["message"]["content"]
        assert http.post("/v1/chat/completions", headers={"Authorization": "Bearer no"}).status_code == 401
