"""models list and show: tables for people, JSON on request, mistakes named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from fleet_spec.errors import BadInputError
from tests.gguf_maker import write_gguf

pytestmark = pytest.mark.unit


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_says_how_many_of_how_many() -> None:
    said = run("list", "--capability", "vision", "--max-parameters", "5")
    assert "gemma3:4b" in said
    assert "llama3.1:8b" not in said
    assert said.splitlines()[-1].startswith(f"{len(said.splitlines()) - 2} of ")


def test_the_list_as_json_is_one_document() -> None:
    found = json.loads(run("list", "--use-case", "code", "--licence", "Apache-2.0", "--json"))
    assert found
    assert all("code" in model["useCases"] and model["licence"] == "Apache-2.0" for model in found)


def test_a_model_is_shown_with_its_memory_and_the_gpus_that_hold_it() -> None:
    document = json.loads(run("show", "llama3.1:8b", "--context", "8192", "--parallel", "2", "--json"))
    memory = document["memory"]
    assert set(memory) == {"weightsBytes", "kvCacheBytes", "overheadBytes", "totalBytes"}
    assert memory["totalBytes"] == sum(size for name, size in memory.items() if name != "totalBytes")
    assert {"type": "nvidia-t4", "count": 1} in document["gpus"]
    assert document["contextLength"] == 8192
    text = run("show", "llama3.1:8b")
    assert "GPUs that hold it: nvidia-t4" in text


def test_a_large_model_needs_several_gpus_of_a_small_kind() -> None:
    document = json.loads(run("show", "llama3.1:70b", "--json"))
    held = {gpu["type"]: gpu["count"] for gpu in document["gpus"]}
    assert held["nvidia-t4"] == 4
    assert held["nvidia-a100-80gb"] == 1


def test_a_gguf_file_is_shown_from_its_header(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "own.gguf")
    document = json.loads(run("show", str(path), "--engine", "llamacpp", "--json"))
    assert document["family"] == "nonsense"
    assert document["memory"]["weightsBytes"] == 64 * 32 * 2
    assert document["contextLength"] == 1024
    with pytest.raises(BadInputError, match="llamacpp"):
        run("show", str(path), "--engine", "vllm")


def test_advice_about_a_gpu() -> None:
    document = json.loads(run("show", "llama3.1:8b", "--gpu", "nvidia-t4", "--json"))
    assert document["advice"]["fits"] is True
    assert document["advice"]["longestContext"] > 32_768
    assert document["advice"]["finestQuantization"] == "Q8_0"
    assert "upper bound" in run("show", "llama3.1:8b", "--gpu", "nvidia-t4")
    assert "none fits" in run("show", "llama3.1:70b", "--gpu", "nvidia-t4")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "lama3.1:8b"), "llama3.1:8b"),
        (("show", "llama3.1:8b", "--context", "999999"), "131072"),
        (("show", "llama3.1:8b", "--engine", "tgi"), "vllm"),
        (("show", "llama3.1:8b", "--quantization", "Q9"), "Q4_K_M"),
        (("show", "llama3.1:8b", "--gpu", "nvidia-t5"), "nvidia-t4"),
        (("list", "--capability", "telepathy"), "vision"),
    ],
)
def test_a_mistake_is_named_with_what_there_is(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(BadInputError) as caught:
        run(*arguments)
    assert told in str(caught.value)


def test_the_cheapest_gpus_of_the_price_table_are_named_with_their_source() -> None:
    document = json.loads(run("show", "llama3.1:70b", "--json"))
    cheapest = document["cheapest"]
    assert [one["usdPerHour"] for one in cheapest] == sorted(one["usdPerHour"] for one in cheapest)
    held = {one["type"]: one["count"] for one in document["gpus"]}
    assert all(one["count"] >= held[one["type"]] and one["source"] for one in cheapest)
    assert "cheapest" in run("show", "llama3.1:70b")


def test_a_config_of_hugging_face_is_sized_like_a_model(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    figures = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
    file.write_text(json.dumps({**figures, "vocab_size": 1000, "max_position_embeddings": 2048, "model_type": "tiny"}))
    document = json.loads(run("show", str(file), "--engine", "vllm", "--json"))
    assert document["family"] == "tiny"
    assert document["contextLength"] == 2048
    assert document["memory"]["weightsBytes"] == 2 * document["parameters"]["total"]
    assert "architecture tiny" in run("show", str(file))
