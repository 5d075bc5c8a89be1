"""The catalogue is data that people type in: what it must hold, and what gives a typing error away."""

import re
import subprocess
import sys

import pytest

from fleet_spec.catalogue import (
    CAPABILITIES,
    USE_CASES,
    Catalogue,
    CatalogueError,
    CatalogueModel,
    UnknownModelError,
    load_catalogue,
)
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit

CATALOGUE = load_catalogue()
EVERY_MODEL = pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.name)

ENTRY = """
licences:
  MIT: {name: MIT License, spdx: MIT, commercialUse: allowed}
models:
  - name: tiny:1b
    aliases: [tiny]
    family: tiny
    parameters: {total: 1000000000}
    architecture: {layers: 16, hiddenSize: 2048, heads: 32, kvHeads: 8, feedForwardSize: 8192,
                   vocabularySize: 32000, contextLength: 4096}
    licence: MIT
    capabilities: [chat]
    useCases: [general]
    sources: {ollama: {tag: "tiny:1b", quantization: Q4_K_M}}
"""


def estimated_parameters(model: CatalogueModel) -> int:
    """What the figures add up to: attention, feed-forward (or experts and their router), and embeddings."""
    figures = model.architecture
    attention = 2 * figures.hidden_size * figures.head_size * (figures.heads + figures.kv_heads)
    width = figures.hidden_size * (3 if figures.gated_feed_forward else 2)
    dense, experts = figures.layers, 0
    if figures.experts is not None:
        dense = figures.experts.dense_layers
        of_one_layer = width * figures.experts.feed_forward_size * (figures.experts.count + figures.experts.shared)
        experts = (figures.layers - dense) * (of_one_layer + figures.hidden_size * figures.experts.count)
    embeddings = figures.vocabulary_size * figures.hidden_size * (1 if figures.tied_embeddings else 2)
    return figures.layers * attention + dense * width * figures.feed_forward_size + experts + embeddings


def test_the_shipped_catalogue_is_read_once() -> None:
    assert load_catalogue() is CATALOGUE
    assert len(CATALOGUE.models) >= 80
    assert CATALOGUE.names() == tuple(model.name for model in CATALOGUE.models)


@pytest.mark.parametrize(
    ("name", "use_case"),
    [
        ("llama3.1:8b", "general"),
        ("llama3.1:70b", "science"),
        ("mistral:7b", "creative"),
        ("codellama:13b", "code"),
        ("mathstral:7b", "math"),
        ("phi3:mini", "general"),
    ],
)
def test_the_models_of_the_reference_are_there_for_what_it_uses_them_for(name: str, use_case: str) -> None:
    assert use_case in CATALOGUE.get(name).use_cases


def test_every_capability_and_every_use_case_has_a_model() -> None:
    assert {capability for model in CATALOGUE.models for capability in model.capabilities} == set(CAPABILITIES)
    assert {use_case for model in CATALOGUE.models for use_case in model.use_cases} == set(USE_CASES)


@EVERY_MODEL
def test_the_figures_add_up_to_the_number_of_parameters(model: CatalogueModel) -> None:
    share = estimated_parameters(model) / model.parameters.total
    if "vision" in model.capabilities:
        # The figures are those of the text part. The encoder of a small model is a large part of it.
        assert 0.7 < share < 1
    else:
        assert share == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("model", "number", "unit"),
    [
        pytest.param(model, float(size[1]), {"b": 1e9, "m": 1e6}[size[2]], id=model.name)
        for model in CATALOGUE.models
        if (size := re.search(r":([\d.]+)([bm])\b", model.name))
    ],
)
def test_the_size_in_the_name_is_the_size_of_the_model(model: CatalogueModel, number: float, unit: float) -> None:
    # Names round: falcon3:1b has 1.7 billion. A digit too many or too few is far outside.
    assert 0.6 < model.parameters.total / (number * unit) < 1.7


@EVERY_MODEL
def test_an_entry_is_plausible(model: CatalogueModel) -> None:
    figures = model.architecture
    assert model.name.startswith(model.family + ":")
    assert len(set(model.capabilities)) == len(model.capabilities)
    assert len(set(model.use_cases)) == len(model.use_cases)
    assert 512 <= figures.context_length <= 262_144
    assert figures.head_size in {32, 64, 80, 96, 128, 256}
    assert figures.sliding_window is None or figures.sliding_window.tokens < figures.context_length
    assert ("retrieval" in model.use_cases) or ("embedding" not in model.capabilities)
    assert model.sources.vllm is not None
    assert model.sources.ollama is not None
    assert model.sources.ollama.tag == model.name
    gguf = model.sources.llamacpp
    if gguf is not None:
        assert "vision" not in model.capabilities or gguf.projector is not None
        named = gguf.file.lower().removesuffix(".gguf")
        assert named.endswith((gguf.quantization.lower(), "-q4"))


@EVERY_MODEL
def test_a_licence_with_conditions_says_which(model: CatalogueModel) -> None:
    licence = CATALOGUE.licence_of(model)
    assert (licence.note is None) == (licence.commercial_use == "allowed")
    assert licence.spdx in {None, model.licence}


def test_a_name_may_leave_out_what_ollama_leaves_out() -> None:
    model = CATALOGUE.get("llama3.1:8b")
    for name in ("llama3.1", "llama3.1:latest", " Llama3.1:8B "):
        assert CATALOGUE.get(name) is model


def test_an_unknown_model_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(UnknownModelError, match=r"no model 'lama3\.1:8b'.*llama3\.1:8b.*paddock models list") as caught:
        CATALOGUE.get("lama3.1:8b")
    assert caught.value.nearest[0] == "llama3.1:8b"
    assert caught.value.exit_code == 2


def test_a_name_like_no_other_gets_no_guess() -> None:
    with pytest.raises(UnknownModelError) as caught:
        CATALOGUE.get("zzzzzzzz")
    assert caught.value.nearest == ()
    assert "Did you mean" not in str(caught.value)


def test_find_takes_every_condition_together() -> None:
    found = CATALOGUE.find(capability="vision", use_case="edge", max_parameters=5_000_000_000, licence="apache-2.0")
    assert CATALOGUE.get("ministral-3:3b") in found
    for model in found:
        assert "vision" in model.capabilities
        assert "edge" in model.use_cases
        assert model.parameters.total <= 5_000_000_000
        assert model.licence == "Apache-2.0"


def test_find_without_conditions_finds_all() -> None:
    assert CATALOGUE.find() == CATALOGUE.models


@pytest.mark.parametrize("condition", [{"capability": "chatt"}, {"use_case": "coding"}, {"licence": "GPL-3.0-only"}])
def test_a_condition_that_no_model_can_meet_is_a_mistake(condition: dict[str, str]) -> None:
    (value,) = condition.values()
    with pytest.raises(BadInputError, match=rf"'{value}'\. Use one of: "):
        CATALOGUE.find(**condition)  # pyright: ignore[reportArgumentType]


def test_what_is_left_out_follows_from_the_rest() -> None:
    figures = Catalogue.parse(ENTRY).get("tiny").architecture
    assert figures.head_size == 64
    assert figures.caching_layers == 16
    assert CATALOGUE.get("llama3.2-vision:11b").architecture.caching_layers == 32


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("kvHeads: 8", "kvHeads: 7"), r"heads \(32\) must be a multiple of kvHeads \(7\)"),
        (("hiddenSize: 2048", "hiddenSize: 2050"), r"hiddenSize \(2050\) is no multiple of heads"),
        (("layers: 16", "layers: 16, kvLayers: 17"), r"kvLayers \(17\) must not exceed layers"),
        (("capabilities: [chat]", "capabilities: [chatter]"), r"models\.0\.capabilities\.0"),
        (("capabilities: [chat]", "capabilities: [embedding]"), "embeddingLength and the capability embedding"),
        (("useCases: [general]", "useCases: []"), r"models\.0\.useCases"),
        (("total: 1000000000", "total: 1000000000, active: 5"), r"active and architecture\.experts go together"),
        (("total: 1000000000", "total: 5, active: 6"), r"active \(6\) must be less than total"),
        (("licence: MIT", "licence: BSD"), "licences that are not described: BSD"),
        (("aliases: [tiny]", "aliases: [tiny, tiny]"), "names given more than once: tiny"),
        (("family: tiny", "family: tiny\n    colour: red"), r"models\.0\.colour"),
        (("models:", "models: ["), "is not YAML"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_typing_error_is_found_and_named(change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(CatalogueError, match=complaint) as caught:
        Catalogue.parse(ENTRY.replace(*change), "my catalogue")
    assert str(caught.value).startswith("my catalogue ")


def test_all_typing_errors_are_told_at_once() -> None:
    text = ENTRY.replace("kvHeads: 8", "kvHeads: 7").replace("useCases: [general]", "useCases: [fun]")
    with pytest.raises(CatalogueError, match=r"(?s)kvHeads \(7\).*useCases"):
        Catalogue.parse(text)


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        CATALOGUE.models[0].family = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_packaged_weights_know_how_to_be_talked_to() -> None:
    packaged = CATALOGUE.get("gemma3:270m").sources.packaged
    assert packaged is not None
    assert packaged.prompting is not None
    assert {"\nQ:", "\n\n"} <= set(packaged.prompting.stop)
    prompting = packaged.prompting
    assert all(form in template for template in (prompting.jinja, prompting.ollama) for form in ("Q: ", "A:"))
    assert ".Messages" in prompting.ollama


def test_reading_the_catalogue_imports_no_engine_and_no_network() -> None:
    script = "import sys, fleet_spec.catalogue as c; c.load_catalogue(); print(*sys.modules)"
    modules = set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not modules & {"pulumi", "httpx", "xllamacpp", "rich", "typer", "grpc"}
