"""models list and add: a catalogue that a person searches, and entries that are read from a model's description."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cli.catalogue.listing import gpu_of
from cli.main import app
from fleet_spec.catalogue import load_catalogue
from fleet_spec.errors import BadInputError
from tests.gguf_maker import write_gguf
from tests.programs import REPOSITORY

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose stack has a catalogue of its own."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(REPOSITORY / name, tmp_path)
    config = {"paddock:models": {"m": "mistral:7b"}, "paddock:catalogues": ["own.yaml"]}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    (tmp_path / "own.yaml").write_text(
        "models:\n  - name: mistral:7b\n    useCases: [creative]\n"
        "    deprecated: {since: 2026-01-31, replacement: 'llama3.1:8b', reason: Old.}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def listed(*arguments: str) -> list[dict[str, Any]]:
    return json.loads(run("list", *arguments, "--json"))


def test_models_that_fit_a_gpu() -> None:
    one, four = ({model["name"] for model in listed("--fits", kind)} for kind in ("nvidia-t4", "nvidia-t4:4"))
    assert one < four
    assert "llama3.1:8b" in one
    assert "llama3.1:70b" in four - one


def test_models_by_size_licence_and_price_in_order() -> None:
    found = listed("--min-parameters", "1", "--max-parameters", "9", "--commercial", "--sort", "size")
    sizes = [model["parameters"]["total"] for model in found]
    assert sizes == sorted(sizes)
    assert all(1e9 <= size <= 9e9 for size in sizes)
    licences = load_catalogue().licences
    assert {licences[model["licence"]].commercial_use for model in found} == {"allowed"}
    prices = [model["usdPerMillionTokens"] for model in listed("--max-price", "0.5", "--sort", "price")]
    assert prices == sorted(prices)
    assert 0 < prices[0] <= prices[-1] <= 0.5


def test_a_price_is_that_of_the_cheapest_gpus_over_their_speed() -> None:
    (model,) = [one for one in listed() if one["name"] == "llama3.1:8b"]
    # An upper bound of the speed is bandwidth over weights, so the price is at least weights / bandwidth x USD/h.
    assert model["cheapest"]["usdPerHour"] > 0
    speed = model["cheapest"]["usdPerHour"] / 3600 / model["usdPerMillionTokens"] * 1e6
    assert 20 < speed < 2000


@pytest.mark.parametrize("text", ["nvidia-l4:0", "nvidia-l4:x", ":2", "nvidia-l5"])
def test_what_is_no_gpu_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="fix:"):
        gpu_of(text)


def test_the_stacks_own_catalogue_is_laid_over(project: Path) -> None:
    assert project
    assert "mistral:7b" in {model["name"] for model in listed("--use-case", "creative")}
    text = run("list", "--use-case", "creative")
    assert "mistral:7b (deprecated)" in text
    assert "mistral:7b" not in run("list", "--use-case", "creative", "--current")
    assert "deprecated since 2026-01-31: Old. Take llama3.1:8b in its place." in run("show", "mistral:7b")


def test_an_entry_is_made_from_a_file_and_added_to_a_catalogue(project: Path) -> None:
    own = write_gguf(project / "own.gguf")
    printed = yaml.safe_load(run("add", str(own)))
    assert printed["models"][0]["architecture"]["contextLength"] == 1024
    result = CliRunner().invoke(app, ["models", "add", str(own)])
    assert "not known: licence" in result.stderr
    before = (project / "own.yaml").read_text()
    run("add", str(own), "--name", "mine:1m", "--licence", "MIT", "--write", "own.yaml")
    assert (project / "own.yaml").read_text().startswith(before), "what stood there stays word for word"
    assert [one["name"] for one in listed() if one["licence"] == "MIT" and one["family"] == "nonsense"] == ["mine:1m"]
    with pytest.raises(BadInputError, match="has mine:1m already"):
        run("add", str(own), "--name", "mine:1m")


def test_an_entry_is_one_json_document_where_that_is_asked_for(project: Path) -> None:
    own = write_gguf(project / "own.gguf")
    told = json.loads(run("add", str(own), "--name", "mine:1m", "--json"))
    assert told["catalogue"] == yaml.safe_load(run("add", str(own), "--name", "mine:1m"))
    assert told["written"] is None
    assert any(one.startswith("licence") for one in told["unknown"])
    told = json.loads(
        run("add", str(own), "--name", "mine:1m", "--licence", "MIT", "--write", str(project / "new.yaml"), "--json")
    )
    assert told["written"] == str(project / "new.yaml")
    assert yaml.safe_load((project / "new.yaml").read_text()) == told["catalogue"]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("models: [\n", "is no YAML"),
        ("- a\n", "does not end with its models"),
        ("models:\n  - {name: 'mine:1m'}\n", "has mine:1m already"),
    ],
)
def test_a_catalogue_that_cannot_take_an_entry_is_left_as_it_is(project: Path, before: str, told: str) -> None:
    own, target = write_gguf(project / "own.gguf"), project / "other.yaml"
    target.write_text(before)
    with pytest.raises(BadInputError, match=told):
        run("add", str(own), "--name", "mine:1m", "--licence", "MIT", "--write", str(target))
    assert target.read_text() == before


def test_a_device_or_a_folder_is_no_catalogue_to_write_to(project: Path) -> None:
    own = write_gguf(project / "own.gguf")
    for target in ("/dev/zero", str(project)):
        with pytest.raises(BadInputError, match="is no file"):
            run("add", str(own), "--licence", "MIT", "--write", target)


def test_a_config_of_the_hub_is_read_from_a_file(project: Path) -> None:
    config = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4}
    config |= {"intermediate_size": 96, "vocab_size": 300, "max_position_embeddings": 512}
    path = project / "config.json"
    path.write_text(json.dumps(config))
    (entry,) = yaml.safe_load(run("add", str(path), "--name", "tiny:1m"))["models"]
    assert entry["architecture"]["layers"] == 2
    assert entry["parameters"]["total"] > 64 * 300


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["http://example.com/config.json"], "is not https"),
        (["own.gguf", "--licence", "none"], "describes no licence 'none'"),
        (["own.gguf", "--name", "Upper"], "is no name of a model"),
        (["missing.gguf"], "cannot be read"),
        (["llama9:1b", "--url", "http://127.0.0.1:9"], "no Ollama answers"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(project: Path, arguments: list[str], told: str) -> None:
    write_gguf(project / "own.gguf")
    with pytest.raises(BadInputError, match=told):
        run("add", *arguments)


SHOWN = {
    "license": "                                 Apache License\n                           Version 2.0, January 2004",
    "template": "{{ .System }}{{ .Prompt }}",
    "details": {"quantization_level": "Q4_K_M"},
    "capabilities": ["completion", "tools"],
    "model_info": {
        "general.architecture": "llama",
        "general.parameter_count": 94912,
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.feed_forward_length": 96,
        "llama.context_length": 512,
        "tokenizer.ggml.tokens": None,
    },
    "tensors": [{"name": "token_embd.weight", "type": "F32", "shape": [64, 259]}],
}


@pytest.fixture
def ollama() -> Iterator[str]:
    """A server that answers /api/show as Ollama 0.17 does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(SHOWN).encode()
            self.send_response(200 if asked["model"] == "tiny:95k" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            """Nothing is logged."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_entry_is_made_from_what_an_ollama_holds(project: Path, ollama: str) -> None:
    assert project
    (entry,) = yaml.safe_load(run("add", "tiny:95k", "--url", ollama))["models"]
    assert entry["name"] == "tiny:95k"
    assert entry["licence"] == "Apache-2.0"
    assert entry["capabilities"] == ["chat", "completion", "tools"]
    assert entry["architecture"]["vocabularySize"] == 259
    assert entry["sources"] == {"ollama": {"tag": "tiny:95k", "quantization": "Q4_K_M"}}
    with pytest.raises(BadInputError, match="does not hold 'other:1b'"):
        run("add", "other:1b", "--url", ollama)


def test_the_catalogue_of_a_stack_that_is_not_there_is_no_answer(project: Path) -> None:
    with pytest.raises(BadInputError, match="nosuch"):
        run("list", "--stack", "nosuch")
    (project / "Pulumi.dev.yaml").unlink()
    assert len(listed()) == len(load_catalogue().models)
