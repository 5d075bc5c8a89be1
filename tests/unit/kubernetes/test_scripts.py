"""What runs inside the pods: the scripts that fetch weights and the one that waits for streams, really run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.kubernetes.manifests import drain
from components.kubernetes.manifests.engines import ENGINES
from components.kubernetes.model import KubernetesModel, KubernetesPlan
from tests.unit.kubernetes.configurations import CONFIGURATIONS, planned

pytestmark = pytest.mark.unit

# A command line of Ollama's manners: `pull` writes over its own line, `show` fails until the model is whole.
FAKE_OLLAMA = r"""#!/bin/sh
store="$OLLAMA_MODELS"
echo "$1" >>"$store/calls"
case "$1" in
  serve) exec sleep 60 ;;
  list) [ "$OLLAMA_HOST" = 127.0.0.1:11434 ] ;;
  show) [ -f "$store/whole" ] ;;
  pull)
    printf 'pulling manifest \r\033[2K\033[1Gpulling aa11: 50%% half\r\033[2Kpulling aa11: 50%% half again\r'
    printf 'pulling aa11: 100%% all\nverifying sha256 digest\nsuccess\n'
    [ -f "$store/broken" ] || touch "$store/whole" ;;
esac
"""


def configured(name: str) -> tuple[KubernetesPlan, KubernetesModel]:
    plan = planned(CONFIGURATIONS[name])
    return plan, plan.models[0]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ollama").write_text(FAKE_OLLAMA, encoding="utf-8")
    (programs / "ollama").chmod(0o755)
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def run_loading(store: Path, which: str = "loading", **more: str) -> subprocess.CompletedProcess[str]:
    plan, model = configured("smallest")
    loading = getattr(ENGINES["ollama"], which)(plan, model)
    environment = {**loading.environment, "HOME": str(store.parent), "OLLAMA_MODELS": str(store), **more}
    environment["PATH"] = f"{store.parent / 'bin'}:{os.environ['PATH']}"
    command = [shutil.which("bash") or "bash", *loading.command[1:]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_init_container_fetches_checks_and_says_how_far_it_is(store: Path) -> None:
    done = run_loading(store)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "paddock: fetching llama3.1:8b",
        "paddock: pulling manifest ",
        "paddock: pulling aa11: 50% half",
        "paddock: pulling aa11: 100% all",
        "paddock: verifying sha256 digest",
        "paddock: success",
        "paddock: llama3.1:8b is in the store, checked",
    ]


def test_a_second_start_fetches_nothing(store: Path) -> None:
    run_loading(store)
    (store / "calls").unlink()
    again = run_loading(store)
    assert again.returncode == 0
    assert again.stdout == "paddock: llama3.1:8b is in the store already\n"
    assert "pull" not in (store / "calls").read_text(encoding="utf-8").split()


def test_a_model_that_is_not_whole_after_the_pull_fails_the_start(store: Path) -> None:
    (store / "broken").touch()
    done = run_loading(store)
    assert done.returncode == 1
    assert "is not whole" in done.stdout


def test_a_replica_of_a_shared_store_waits_and_gives_up_with_a_word(store: Path) -> None:
    (store / "whole").touch()
    assert run_loading(store, "waiting").returncode == 0
    (store / "whole").unlink()
    late = run_loading(store, "waiting", PADDOCK_WAIT_SECONDS="0")
    assert late.returncode == 1
    assert "did not come" in late.stdout


FAKE_HUB = """
import pathlib, os
class _File:
    def __init__(self, name, size): self.rfilename, self.size = name, size
class _Info:
    sha = "abc"
    siblings = [_File("config.json", 10), _File("model.safetensors", 2_000_000_000), _File("pytorch_model.bin", 5),
                _File("original/consolidated.00.pth", 7)]
class HfApi:
    def __init__(self, token=None): pass
    def model_info(self, repository, files_metadata): return _Info()
def hf_hub_download(repository, name, revision=None, token=None):
    with open(os.environ["CALLS"], "a") as calls: calls.write(name + "\\n")
"""


def test_weights_from_hugging_face_are_fetched_once_and_only_those_that_are_served(tmp_path: Path) -> None:
    (tmp_path / "huggingface_hub.py").write_text(FAKE_HUB, encoding="utf-8")
    plan, model = configured("vllm over four GPUs")
    loading = ENGINES["vllm"].loading(plan, model)
    script = loading.command[-1].replace("/models/", f"{tmp_path}/")
    environment = {"PADDOCK_MODEL": model.source, "CALLS": str(tmp_path / "calls"), "PYTHONPATH": str(tmp_path)}

    def run() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    first = run()
    assert first[0] == "paddock: fetching meta-llama/Llama-3.1-70B-Instruct at abc: 2 files, 2.0 GB"
    assert first[-1].endswith("is in the store, checked")
    fetched = (tmp_path / "calls").read_text(encoding="utf-8").split()
    assert set(fetched) == {"config.json", "model.safetensors"}
    assert run() == ["paddock: meta-llama/Llama-3.1-70B-Instruct is in the store already"]
    assert (tmp_path / "calls").read_text(encoding="utf-8").split() == fetched


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of connections")
def test_a_pod_that_has_to_end_waits_until_its_last_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "LEAVE_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = drain.pre_stop(port, 60)["preStop"]["exec"]["command"]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        waiting = subprocess.Popen(command)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(timeout=4)
            client.close()
            accepted.close()
            closed_at = time.monotonic()
            assert waiting.wait(timeout=50) == 0
            assert time.monotonic() - closed_at < 50
        finally:
            waiting.kill()
            waiting.wait()


def test_a_stream_that_never_ends_does_not_keep_a_pod_beyond_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "LEAVE_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = drain.pre_stop(port, 2)["preStop"]["exec"]["command"]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            with accepted:
                assert subprocess.run(command, timeout=50, check=False).returncode == 0
