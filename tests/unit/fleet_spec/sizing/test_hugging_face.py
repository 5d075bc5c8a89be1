"""A config.json of Hugging Face gives the figures and the weights; a broken one is refused, cheaply."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_spec.catalogue import load_catalogue
from fleet_spec.sizing.hugging_face import HuggingFaceConfigError, read_hugging_face_config
from fleet_spec.sizing.kv_cache import kv_cache_bytes

pytestmark = pytest.mark.unit

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
MIXTRAL = {
    **LLAMA,
    "model_type": "mixtral",
    "vocab_size": 32000,
    "max_position_embeddings": 32768,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
MOST_MEMORY_BYTES = 8 * 2**20


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub") / "config.json"


@pytest.mark.parametrize(("config", "name"), [(LLAMA, "llama3.1:8b"), (MIXTRAL, "mixtral:8x7b")])
def test_the_figures_and_weights_are_those_of_the_catalogue(file: Path, config: dict[str, Any], name: str) -> None:
    file.write_text(json.dumps(config))
    model, known = read_hugging_face_config(file), load_catalogue().get(name)
    assert model.parameters.total == pytest.approx(known.parameters.total, rel=0.001)
    if known.parameters.active is not None:
        assert model.parameters.active == pytest.approx(known.parameters.active, rel=0.01)
    cache, known_cache = (kv_cache_bytes(one.architecture, context_length=8192, parallel=1) for one in (model, known))
    assert cache == known_cache


def test_a_vision_models_text_part_counts(file: Path) -> None:
    text = {key: value for key, value in LLAMA.items() if key != "model_type"}
    file.write_text(json.dumps({"model_type": "llava", "text_config": text, "vision_config": {"hidden_size": 1}}))
    assert read_hugging_face_config(file).architecture.hidden_size == 4096


def test_windows_of_some_layers_are_seen_and_of_all_are_not(file: Path) -> None:
    file.write_text(json.dumps({**LLAMA, "sliding_window": 1024, "sliding_window_pattern": 6}))
    window = read_hugging_face_config(file).architecture.sliding_window
    assert window is not None
    assert (window.tokens, window.full_attention_every) == (1024, 6)
    kinds = (["sliding_attention"] * 3 + ["full_attention"]) * 8
    file.write_text(json.dumps({**LLAMA, "sliding_window": 1024, "layer_types": kinds}))
    window = read_hugging_face_config(file).architecture.sliding_window
    assert window is not None
    assert window.full_attention_every == 4
    file.write_text(json.dumps({**LLAMA, "sliding_window": 4096}))
    assert read_hugging_face_config(file).architecture.sliding_window is None


def test_a_latent_cache_is_seen(file: Path) -> None:
    file.write_text(json.dumps({**LLAMA, "kv_lora_rank": 512, "qk_rope_head_dim": 64}))
    assert read_hugging_face_config(file).architecture.kv_latent_size == 576


def test_what_is_missing_is_named_all_at_once(file: Path) -> None:
    file.write_text(json.dumps({"model_type": "bert", "hidden_size": 768, "num_hidden_layers": True}))
    with pytest.raises(HuggingFaceConfigError, match="num_hidden_layers, num_attention_heads") as caught:
        read_hugging_face_config(file)
    assert caught.value.exit_code == 2


def test_figures_that_contradict_each_other_are_refused(file: Path) -> None:
    file.write_text(json.dumps({**LLAMA, "num_key_value_heads": 7}))
    with pytest.raises(HuggingFaceConfigError, match="kvHeads"):
        read_hugging_face_config(file)


@given(st.sampled_from(sorted(MIXTRAL)), st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5)))
def test_a_damaged_config_is_read_or_refused_and_costs_no_memory(file: Path, key: str, value: object) -> None:
    file.write_text(json.dumps({**MIXTRAL, key: value}))
    tracemalloc.start()
    try:
        read_hugging_face_config(file)
    except HuggingFaceConfigError as error:
        assert str(file) in str(error)  # noqa: PT017
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < MOST_MEMORY_BYTES


@given(st.binary(max_size=200))
def test_anything_else_is_refused(file: Path, junk: bytes) -> None:
    file.write_bytes(junk)
    with pytest.raises(HuggingFaceConfigError, match="fix"):
        read_hugging_face_config(file)


def test_a_number_of_layers_that_no_model_has_is_refused(file: Path) -> None:
    file.write_text(json.dumps({**LLAMA, "num_hidden_layers": 10**9}))
    with pytest.raises(HuggingFaceConfigError, match="num_hidden_layers"):
        read_hugging_face_config(file)


def test_weights_under_that_name_are_not_read(file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(2**33)
    with pytest.raises(HuggingFaceConfigError, match="too large"):
        read_hugging_face_config(file)
    file.unlink()
    with pytest.raises(HuggingFaceConfigError, match="No such file"):
        read_hugging_face_config(file)
