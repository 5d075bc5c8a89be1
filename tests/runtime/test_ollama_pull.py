"""Pulling with a real Ollama from a registry on this machine: progress, cuts, resuming, verification."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from agent_runtime.ollama_client import OllamaLLMClient, OllamaNotFoundError, OllamaProtocolError
from cli.commands.pull import pull
from tests.runtime.model_registry import ModelRegistry, model_registry

pytestmark = [pytest.mark.runtime, pytest.mark.timeout(180)]


@pytest.fixture
def registry() -> Iterator[ModelRegistry]:
    with model_registry() as running:
        yield running


@pytest.fixture
def client(ollama_url: str) -> Iterator[OllamaLLMClient]:
    with OllamaLLMClient(ollama_url) as opened:
        yield opened


def test_progress_comes_in_bytes_and_the_server_holds_the_model_at_the_end(
    client: OllamaLLMClient, registry: ModelRegistry
) -> None:
    seen = list(client.pull(registry.name, insecure=True))
    total = len(registry.weights) + len(registry.config)
    assert seen[-1].done
    assert (seen[-1].completed_bytes, seen[-1].total_bytes) == (total, total)
    counted = [progress.completed_bytes for progress in seen]
    assert counted == sorted(counted)
    assert {"pulling manifest", "verifying sha256 digest", "success"} <= {progress.status for progress in seen}
    assert registry.name in client.refresh()
    client.delete(registry.name)


def test_a_registry_that_breaks_off_is_asked_for_the_rest(client: OllamaLLMClient, registry: ModelRegistry) -> None:
    registry.stop_after = [len(registry.weights) // 4]
    assert [progress.done for progress in client.pull(registry.name, insecure=True)][-1]
    assert registry.starts[0] == 0
    assert 0 < registry.starts[1] <= len(registry.weights) // 4
    client.delete(registry.name)


def test_a_pull_that_was_given_up_goes_on_where_it_was(client: OllamaLLMClient, registry: ModelRegistry) -> None:
    registry.held.clear()
    half = len(registry.weights) // 2
    with OllamaLLMClient(client.url) as impatient:
        for progress in impatient.pull(registry.name, insecure=True):
            if progress.completed_bytes > half // 2:
                break
    registry.held.set()
    seen = list(client.pull(registry.name, insecure=True))
    assert seen[-1].done
    assert registry.starts[0] == 0
    assert registry.starts[-1] > half // 2
    assert registry.name in client.refresh()
    client.delete(registry.name)


def test_bytes_that_are_not_what_the_manifest_says_are_refused(client: OllamaLLMClient) -> None:
    with model_registry(broken=True) as registry:
        with pytest.raises(OllamaProtocolError, match="digest mismatch"):
            list(client.pull(registry.name, insecure=True))
        assert registry.name not in client.refresh()


def test_a_model_that_the_registry_lacks_is_not_found(client: OllamaLLMClient, registry: ModelRegistry) -> None:
    with pytest.raises(OllamaNotFoundError):
        list(client.pull(registry.name.replace("tiny", "huge"), insecure=True))


def test_the_command_shows_bytes_and_ends_with_what_the_server_holds(
    client: OllamaLLMClient, registry: ModelRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(registry.name, "dev", url=client.url, insecure=True, as_json=True)
    said = capsys.readouterr()
    total = len(registry.weights) + len(registry.config)
    assert json.loads(said.out) == {"pulled": [{"url": client.url, "model": registry.name, "sizeBytes": total}]}
    assert f"pulling {registry.name} at {client.url} ..." in said.err
    assert "of 8 MiB" in said.err
    client.delete(registry.name)
