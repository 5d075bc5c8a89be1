"""Own catalogues over the shipped one: field by field, whole, or new; every mistake with its file and key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fleet_spec.catalogue import load_catalogue
from fleet_spec.catalogue_layers import Layer, layered
from fleet_spec.catalogue_notes import deprecation_notes
from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec
from fleet_spec.stack_catalogue import CACHE, stack_catalogue

pytestmark = pytest.mark.unit

NEW = """
models:
  - name: mine:1b
    family: llama
    parameters: {total: 1000000000}
    architecture: {layers: 16, hiddenSize: 2048, heads: 32, kvHeads: 8, feedForwardSize: 8192, vocabularySize: 32000,
                   contextLength: 8192}
    licence: MIT
    capabilities: [chat]
    useCases: [code]
    sources: {}
"""


def mistakes(*texts: str) -> list[str]:
    with pytest.raises(SpecError) as refused:
        layered([Layer(f"{number}.yaml", text) for number, text in enumerate(texts)])
    return [str(problem) for problem in refused.value.problems]


def test_a_field_is_laid_over_and_the_rest_stays() -> None:
    over = "models:\n  - name: llama3.1:8b\n    useCases: [code]\n    architecture: {contextLength: 8192}\n"
    shipped, found = load_catalogue().get("llama3.1:8b"), layered([Layer("own", over)]).get("llama3.1")
    assert found.use_cases == ("code",)
    assert found.architecture.context_length == 8192
    assert found.architecture.layers == shipped.architecture.layers
    assert found.sources == shipped.sources


def test_the_last_layer_has_the_last_word_and_the_shipped_one_stays_as_it_is() -> None:
    texts = [f"models:\n  - name: llama3.1:8b\n    useCases: [{case}]\n" for case in ("code", "math")]
    assert layered([Layer(text, text) for text in texts]).get("llama3.1:8b").use_cases == ("math",)
    assert load_catalogue().get("llama3.1:8b").use_cases != ("math",)


def test_an_entry_that_replaces_leaves_nothing_of_the_old_one() -> None:
    text = NEW.replace("mine:1b", "llama3.1:8b\n    replace: true")
    found = layered([Layer("own", text)]).get("llama3.1:8b")
    assert found.sources.ollama is None
    assert found.architecture.layers == 16


def test_a_new_model_comes_last_and_may_bring_its_licence() -> None:
    text = NEW.replace("licence: MIT", "licence: ours").replace(
        "models:", "licences:\n  ours: {name: Ours, commercialUse: allowed}\nmodels:", 1
    )
    catalogue = layered([Layer("own", text)])
    assert catalogue.names()[-1] == "mine:1b"
    assert catalogue.licence_of(catalogue.get("mine:1b")).name == "Ours"
    assert len(catalogue.models) == len(load_catalogue().models) + 1


def test_an_alias_means_the_model_and_does_not_rename_it() -> None:
    found = layered([Layer("own", "models:\n  - name: llama3.1\n    useCases: [code]\n")])
    assert found.get("llama3.1").name == "llama3.1:8b"
    assert found.get("llama3.1:8b").use_cases == ("code",)


def test_every_mistake_is_told_with_its_file_and_key() -> None:
    told = mistakes(
        "models:\n  - name: llama3.1:8b\n    useCases: [nothing]\n    contextLenght: 3\n",
        "models:\n  - name: new:1b\n    licence: MIT\n",
    )
    assert any(one.startswith("0.yaml: models.llama3.1:8b.useCases.0: ") for one in told)
    assert any(one.startswith("0.yaml: models.llama3.1:8b.contextLenght: ") for one in told)
    assert any(one.startswith("1.yaml: models.new:1b.architecture: field required") for one in told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: [", "0.yaml: is not YAML"),
        ("- a", "0.yaml: is no mapping"),
        ("modles: []", "0.yaml: modles: is a key that Paddock does not know"),
        ("models: {a: b}", "0.yaml: models: is no list"),
        ("models: [{family: a}]", "0.yaml: models.0.name: is missing"),
        ("models: [{name: llama3.1:8b, replace: perhaps}]", "0.yaml: models.llama3.1:8b.replace: is neither true"),
        ("models: [{name: llama3.1:8b, licence: none}]", "licences that are not described: none"),
        ("models: [{name: llama3.1:8b, aliases: [mistral:7b]}]", "names given more than once: mistral:7b"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, told: str) -> None:
    assert any(told in one for one in mistakes(text)), mistakes(text)


def deprecated(replacement: str) -> str:
    said = f"{{since: 2026-01-31, replacement: {replacement}, reason: Old.}}"
    return f"models:\n  - name: mistral:7b\n    deprecated: {said}\n"


def test_a_deprecated_model_is_told_with_its_replacement(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(deprecated("llama3.1:8b"))
    raw = {"models": {"m": "mistral:7b", "n": "llama3.1:8b"}, "catalogues": ["own.yaml"]}
    told = list(deprecation_notes(load_spec(raw, directory=tmp_path)))
    assert told == ["models.m: mistral:7b is deprecated since 2026-01-31: Old. Take llama3.1:8b in its place."]


def test_a_replacement_that_is_not_there_is_a_mistake() -> None:
    assert any("mistral:7b by nothing:1b" in one for one in mistakes(deprecated("nothing:1b")))


def test_a_stacks_spec_knows_its_own_models(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(NEW)
    raw = {"models": {"m": "mine:1b"}, "catalogues": ["own.yaml"]}
    assert load_spec(raw, directory=tmp_path).catalogue.get("mine:1b").use_cases == ("code",)
    with pytest.raises(SpecError, match="'mine:1b' is not in the catalogue"):
        load_spec({"models": {"m": "mine:1b"}})


def test_a_catalogue_that_was_fetched_is_read_without_a_network(tmp_path: Path) -> None:
    digest = hashlib.sha256(NEW.encode()).hexdigest()
    (tmp_path / CACHE).mkdir(parents=True)
    (tmp_path / CACHE / f"{digest}.yaml").write_text(NEW)
    raw = {"catalogues": [{"url": "https://catalogues.example.com/own.yaml", "sha256": digest}]}
    assert stack_catalogue(raw, tmp_path).get("mine:1b")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("missing.yaml", "there is no file"),
        ({"path": "own.yaml", "sha256": "0" * 64}, "has the hash"),
        ({"url": "https://a.example.com/own.yaml", "sha256": "0" * 64}, "was never fetched"),
        ("https://a.example.com/own.yaml", "has no sha256"),
        ({"url": "http://a.example.com/own.yaml", "sha256": "0" * 64}, "catalogues.0.url"),
        ({"path": "own.yaml", "url": "https://a.example.com/o", "sha256": "0" * 64}, "names no one place"),
    ],
)
def test_where_a_catalogue_is_not_what_the_config_says_the_stack_is_refused(
    tmp_path: Path, entry: object, told: str
) -> None:
    (tmp_path / "own.yaml").write_text(NEW)
    with pytest.raises(SpecError) as refused:
        load_spec({"models": {"m": "gemma3:270m"}, "catalogues": [entry]}, directory=tmp_path)
    assert told in str(refused.value)
