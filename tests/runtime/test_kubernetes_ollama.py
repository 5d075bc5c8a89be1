"""What a model server's pod runs, with a real Ollama: the loading script, the probes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from components.kubernetes.manifests.engines.ollama import OLLAMA
from components.kubernetes.plan import plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.loading import load_spec
from tests.ports import free_port
from tests.runtime.conftest import process, wait_until_healthy

pytestmark = pytest.mark.runtime

SPEC = {
    "target": "kubernetes",
    "models": {"small": {"model": "gemma3:270m", "engine": "ollama", "contextLength": 512}},
    "router": {"image": "registry.example.com/paddock:1"},
}
PLAN = plan_fleet(load_spec(SPEC), "test", load_catalogue())
MODEL = PLAN.models[0]


@pytest.fixture
def environment(ollama: Path, tmp_path: Path) -> dict[str, str]:
    """The server container's environment, at home in a folder of the test and on a port of its own."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ollama").symlink_to(ollama)
    given = OLLAMA.environment(PLAN, MODEL)
    changed = {
        "HOME": str(tmp_path),
        "OLLAMA_MODELS": str(tmp_path / "models"),
        "OLLAMA_HOST": f"127.0.0.1:{free_port()}",
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
    }
    assert changed.keys() - {"PATH"} <= given.keys()
    return {**given, **changed}


@pytest.fixture
def server(ollama: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    url = f"http://{environment['OLLAMA_HOST']}"
    with process([str(ollama), *OLLAMA.command(MODEL)[1:]], tmp_path / "log", env=environment) as started:
        wait_until_healthy(f"{url}/api/version", started, tmp_path / "log")
        yield url


def shell(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_the_probes_pass_when_the_model_is_there_and_not_before(
    server: str, environment: dict[str, str], weights: Path, tmp_path: Path
) -> None:
    probes = OLLAMA.probes(MODEL, 60)

    def passes(name: str) -> bool:
        *shell_words, script = probes[name]["exec"]["command"]
        here = script.replace("127.0.0.1:11434", environment["OLLAMA_HOST"])
        assert here != script
        return shell([*shell_words, here], environment).returncode == 0

    assert httpx.get(server + probes["livenessProbe"]["httpGet"]["path"], trust_env=False).status_code == 200
    assert not passes("readinessProbe")
    assert not passes("startupProbe")
    modelfile = tmp_path / "Modelfile"
    modelfile.write_text(f"FROM {weights}\n", encoding="utf-8")
    made = shell(["ollama", "create", MODEL.served_name, "-f", str(modelfile)], environment)
    assert made.returncode == 0, made.stderr
    assert passes("readinessProbe")
    assert httpx.get(f"{server}/api/ps", trust_env=False).json()["models"] == []
    assert passes("startupProbe")
    loaded = httpx.get(f"{server}/api/ps", trust_env=False).json()["models"]
    assert [one["model"] for one in loaded] == [MODEL.served_name], "the start-up probe loads the model into memory"

    # The init container of a pod that comes back: the store has the model, and no network is asked for it.
    loading = OLLAMA.loading(PLAN, MODEL)
    again = {**environment, "OLLAMA_HOST": f"127.0.0.1:{free_port()}"}
    done = shell(loading.command, again)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"paddock: {MODEL.served_name} is in the store already\n"
    waiting = OLLAMA.waiting(PLAN, MODEL)
    done = shell(waiting.command, {**again, "PADDOCK_WAIT_SECONDS": "60"})
    assert done.returncode == 0, done.stdout + done.stderr
