"""models adapter prepare: what peft saved becomes what llama.cpp serves, where it belongs to its base."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("gguf")
pytest.importorskip("safetensors")

import numpy as np
from gguf import GGUFReader

from cli.main import app
from fleet_spec.errors import BadInputError, PaddockError
from tests.peft_maker import PREFIX, halves, write_peft
from tests.tiny_llama import TINY, Array, TinyLlama, turned, write_adapter, write_base

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "base.gguf")


def prepare(source: Path, base: Path, out: Path, *options: str) -> dict[str, Any]:
    command = ["models", "adapter", "prepare", str(source), "--base", str(base), "--out", str(out), "--json", *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def written(path: Path) -> tuple[float, dict[str, Array]]:
    """The file's alpha and its tensors, rows first."""
    reader = GGUFReader(path)
    alpha = reader.get_field("adapter.lora.alpha")
    assert alpha is not None
    return float(alpha.contents()), {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


def added(alpha: float, tensors: dict[str, Array], matrix: str) -> Array:
    """What llama.cpp adds to a matrix: alpha / rank x B A."""
    a, b = tensors[f"{matrix}.lora_a"], tensors[f"{matrix}.lora_b"]
    return (alpha / len(a) * b @ a).astype(np.float32)


def trained(layer: int, module: str, scale: float) -> Array:
    """What was added in training."""
    made = halves()
    b, a = (made[f"{PREFIX}.{layer}.{module}.lora_{half}.weight"] for half in "BA")
    return (scale * b @ a).astype(np.float32)


def test_the_base_is_never_written_over(tmp_path: Path) -> None:
    base, law = write_base(tmp_path / "base.gguf"), write_adapter(tmp_path / "law.gguf", seed=2)
    before = base.read_bytes()
    for source in (law, write_peft(tmp_path / "trained")):
        with pytest.raises(BadInputError, match="is the base itself"):
            prepare(source, base, base)
    assert base.read_bytes() == before


@pytest.mark.parametrize("source", ["law.gguf", "trained"])
def test_a_disk_without_room_leaves_what_was_there(source: str, base: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path / "law.gguf", seed=2)
    write_peft(tmp_path / "trained")
    out = tmp_path / "out.gguf"
    out.write_bytes(b"an earlier one")
    before = sorted(tmp_path.iterdir())
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(PaddockError, match=r"written.*fix: make room") as refused:
            prepare(tmp_path / source, base, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert refused.value.exit_code == 1
    assert out.read_bytes() == b"an earlier one"
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_added_to_each_matrix_is_what_was_trained(base: Path, tmp_path: Path) -> None:
    told = prepare(write_peft(tmp_path / "law"), base, tmp_path / "law.gguf")
    assert (told["rank"], told["alpha"], told["matrices"], told["architecture"]) == (4, 8.0, 6, "llama")
    alpha, tensors = written(tmp_path / "law.gguf")
    for layer in range(TINY.layers):
        for name, module, heads in (("attn_q", "q_proj", TINY.heads), ("attn_k", "k_proj", TINY.kv_heads)):
            expected = turned(trained(layer, f"self_attn.{module}", 8 / 4), heads)
            np.testing.assert_allclose(added(alpha, tensors, f"blk.{layer}.{name}.weight"), expected, rtol=1e-5)
        expected = trained(layer, "mlp.down_proj", 8 / 4)
        np.testing.assert_allclose(added(alpha, tensors, f"blk.{layer}.ffn_down.weight"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "options", "scale"),
    [
        ({"use_rslora": True}, (), 8 / 4**0.5),
        ({"alpha_pattern": {"down_proj": 2}}, (), 2 / 4),
        ({}, ("--scale", "0.5"), 0.5 * 8 / 4),
    ],
)
def test_every_way_of_scaling_ends_in_the_same_sum(
    base: Path, tmp_path: Path, config: dict[str, Any], options: tuple[str, ...], scale: float
) -> None:
    prepare(write_peft(tmp_path / "law", **config), base, tmp_path / "law.gguf", *options)
    found = added(*written(tmp_path / "law.gguf"), "blk.1.ffn_down.weight")
    np.testing.assert_allclose(found, trained(1, "mlp.down_proj", scale), rtol=1e-5)


def test_half_precision_is_read_as_it_was_written(base: Path, tmp_path: Path) -> None:
    half = {name: value.astype(np.float16) for name, value in halves().items()}
    prepare(write_peft(tmp_path / "law", half), base, tmp_path / "law.gguf")  # pyright: ignore[reportArgumentType]
    found = added(*written(tmp_path / "law.gguf"), "blk.0.ffn_down.weight")
    np.testing.assert_allclose(found, trained(0, "mlp.down_proj", 2), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "holds a PREFIX_TUNING adapter"),
        ({"use_dora": True}, "is an adapter with DoRA"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"base_model_name_or_path": "mistralai/Mistral-7B-v0.3"}, "was trained on mistralai/Mistral-7B-v0.3"),
    ],
)
def test_what_a_file_cannot_express_or_another_base_is_refused(
    base: Path, tmp_path: Path, config: dict[str, Any], told: str
) -> None:
    folder = write_peft(tmp_path / "law", **config)
    with pytest.raises(BadInputError, match="fix:") as refused:
        prepare(folder, base, tmp_path / "law.gguf")
    assert told in str(refused.value)
    assert not (tmp_path / "law.gguf").exists()


def test_a_base_of_another_name_is_taken_where_a_person_says_so(base: Path, tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "law", base_model_name_or_path="somewhere/else")
    assert prepare(folder, base, tmp_path / "law.gguf", "--other-name")["matrices"] == 6


def test_an_adapter_of_another_shape_is_refused_and_nothing_is_written(base: Path, tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "law", halves(TinyLlama(width=32)))
    with pytest.raises(BadInputError, match=r"is 64 x 64 there and 32 x 32 in the adapter; and 3 more"):
        prepare(folder, base, tmp_path / "law.gguf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["law"]


def test_what_is_no_lora_matrix_is_refused_by_name(base: Path, tmp_path: Path) -> None:
    extra = {"base_model.model.lm_head.weight": np.zeros((2, 2), np.float32)}
    with pytest.raises(BadInputError, match=r"such as base_model\.model\.lm_head\.weight"):
        prepare(write_peft(tmp_path / "law", extra=extra), base, tmp_path / "law.gguf")


def test_a_file_that_was_cut_short_is_refused(base: Path, tmp_path: Path) -> None:
    weights = write_peft(tmp_path / "law") / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    with pytest.raises(BadInputError, match="is no whole safetensors file"):
        prepare(tmp_path / "law", base, tmp_path / "law.gguf")


def test_a_file_that_is_converted_already_is_checked_and_copied(base: Path, tmp_path: Path) -> None:
    source = write_adapter(tmp_path / "made.gguf")
    assert prepare(source, base, tmp_path / "out" / "law.gguf")["rank"] == 4
    assert (tmp_path / "out" / "law.gguf").read_bytes() == source.read_bytes()
    with pytest.raises(BadInputError, match="needs the adapter as it was trained"):
        prepare(source, base, tmp_path / "law.gguf", "--scale", "2")


@pytest.mark.parametrize(("base_name", "told"), [("llama3.1:8b", "not at hand as a file"), ("nothing:1b", "neither")])
def test_a_base_without_a_file_is_refused(tmp_path: Path, base_name: str, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        prepare(write_peft(tmp_path / "law"), Path(base_name), tmp_path / "law.gguf")
