"""What a swap writes into a stack's file: the four stages, comments kept, names that never vanish, and the way back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from cli.stack_changes import at, load, made, put, section
from cli.swap.edits import STAGES, Edits
from cli.swap.journal import Settings
from cli.swap.names import model_behind, name_for_candidate, name_for_new
from cli.swap.proposal import Wanted, propose
from fleet_spec.errors import BadInputError, SpecError
from fleet_spec.loading import load_spec

pytestmark = pytest.mark.unit

FILE = """\
# The stack of the office.
config:
  paddock:target: local
  paddock:models:
    # Answers everybody.
    chat:
      model: llama3.1:8b  # as agreed in March
      engine: ollama
      contextLength: 2048  # no one needs more
    other: {model: "mistral:7b", engine: ollama}
  # Names that clients know.
  paddock:aliases:
    default: chat  # most
    both: {chat: 0.9, other: 0.1}
    only-other: other
  paddock:router:
    port: 8080
    keys:
      ci:
        hash: "HASH"
        scopes: [chat]
        models: [chat, default]
      web:
        hash: "HUSH"
        scopes: [chat]
        models:
          - chat
  paddock:tiers:
    commercial:
      models:
        chat: big-one
  paddock:load:
    models:
      chat: {inputTokens: 500}
"""

ENTRY = {"model": "gemma3:1b", "engine": "ollama", "contextLength": 2048}


def edits(text: str = FILE, entry: dict[str, Any] | None = None) -> Edits:
    return Edits(text, "chat", "chat-2", "chat-2-candidate", entry or ENTRY)


def config(text: str, name: str) -> dict[str, Any]:
    return at(load(text), section(name)) or {}


def test_the_new_model_comes_beside_the_old_one_with_all_its_settings_and_comments() -> None:
    text = edits().texts["beside"]
    assert config(text, "models")["chat-2"] == ENTRY
    assert config(text, "models")["chat"] == config(FILE, "models")["chat"]
    assert config(text, "aliases")["chat-2-candidate"] == "chat-2"
    assert text.count("# no one needs more") == 2


def test_every_name_is_turned_over_and_what_the_old_model_was_allowed_the_new_one_is() -> None:
    text = edits().texts["turned"]
    assert config(text, "aliases") == {
        "default": "chat-2",
        "both": {"chat-2": 0.9, "other": 0.1},
        "only-other": "other",
        "chat": "chat-2",
    }
    keys = config(text, "router")["keys"]
    assert keys["ci"]["models"] == ["chat", "default", "chat-2"]
    assert keys["web"]["models"] == ["chat", "chat-2"]
    assert config(text, "tiers")["commercial"]["models"] == {"chat": "big-one", "chat-2": "big-one"}
    assert "chat" in config(text, "models"), "the old one goes on with what it has begun"


def test_in_the_end_the_old_model_is_gone_and_its_name_is_not() -> None:
    text = edits().texts["final"]
    assert set(config(text, "models")) == {"chat-2", "other"}
    assert config(text, "aliases")["chat"] == "chat-2"
    assert config(text, "load")["models"] == {"chat-2": {"inputTokens": 500}}


def test_comments_and_all_the_rest_of_the_file_stay() -> None:
    assert (
        edits().texts["final"].partition("  paddock:router:")[0]
        == """\
# The stack of the office.
config:
  paddock:target: local
  paddock:models:
    # Answers everybody.
    chat-2:
      model: gemma3:1b  # as agreed in March
      engine: ollama
      contextLength: 2048  # no one needs more
    other: {model: "mistral:7b", engine: ollama}
  # Names that clients know.
  paddock:aliases:
    default: chat-2  # most
    both: {chat-2: 0.9, other: 0.1}
    only-other: other
    chat: chat-2
"""
    )


def test_swapping_twice_leaves_the_names_as_they_were() -> None:
    first = edits().texts["final"]
    models, aliases = config(first, "models"), config(first, "aliases")
    assert model_behind("chat", models, aliases) == "chat-2"
    assert name_for_new("chat-2", models, aliases) == "chat"
    second = Edits(first, "chat-2", "chat", "chat-candidate", {**ENTRY, "model": "llama3.1:8b"}).texts["final"]
    assert config(second, "models") == config(FILE, "models")
    assert config(second, "aliases") == {**config(FILE, "aliases"), "chat-2": "chat"}
    third = Edits(second, "chat", "chat-2", "chat-2-candidate", ENTRY)
    assert config(third.texts["beside"], "aliases")["chat-2"] == "chat", "its own name still leads to the old one"
    assert config(third.texts["final"], "aliases") == config(first, "aliases"), "the file does not fill up"


@pytest.mark.parametrize("stage", ["beside", "turned", "final"])
def test_each_stage_is_a_config_that_comes_up(stage: str) -> None:
    text = FILE.replace("HASH", "sha256:" + "0" * 64).replace("HUSH", "sha256:" + "1" * 64)
    tier = "  paddock:tiers:\n    commercial:\n      models:\n        chat: big-one\n"
    assert tier in text
    whole = edits(text.replace(tier, "")).texts[stage]  # type: ignore[index]
    raw = {key.partition(":")[2]: value for key, value in load(whole)["config"].items()}
    assert "chat-2" in load_spec(raw).models


def test_an_alias_may_have_a_models_name_where_it_leads_to_others() -> None:
    models = {"chat": "llama3.1:8b", "chat-2": "gemma3:1b"}
    assert load_spec({"models": models, "aliases": {"chat": "chat-2"}}).aliases == {"chat": {"chat-2": 1.0}}
    for arms in ("chat", {"chat": 0.5, "chat-2": 0.5}):
        with pytest.raises(SpecError, match="also the name of a model"):
            load_spec({"models": models, "aliases": {"chat": arms}})


def test_the_way_back_ends_where_it_began_to_the_letter() -> None:
    texts = edits().texts
    for stage in STAGES:
        assert edits().backward(texts[stage], "original") == FILE
        assert edits().backward(texts[stage], "beside") == texts["beside"]


@pytest.mark.parametrize(("here", "there"), list(itertools.pairwise(STAGES)))
def test_what_a_person_changes_meanwhile_stays(here: str, there: str) -> None:
    changed = edits().texts[here].replace("port: 8080", "port: 9090  # moved")  # type: ignore[index]
    forward = edits().forward(changed, there)  # type: ignore[arg-type]
    assert forward == edits().texts[there].replace("port: 8080", "port: 9090  # moved")  # type: ignore[index]
    back = edits().backward(forward, "original")
    assert load(back) == load(FILE.replace("port: 8080", "port: 9090"))
    assert "# moved" in back


def test_a_step_that_was_taken_is_not_taken_twice() -> None:
    changed = edits().texts["turned"].replace("8080", "9090")
    assert edits().forward(changed, "turned") == changed


@pytest.mark.parametrize(
    "models",
    [
        "chat: llama3.1:8b",
        "{chat: {model: 'llama3.1:8b', contextLength: 512}, other: mistral:7b}",
        '"chat": {model: "llama3.1:8b"}',
    ],
)
def test_other_layouts_of_models_and_a_file_without_aliases(models: str) -> None:
    whole = models if models.startswith("{") else f"\n    {models}"
    text = f"config:\n  paddock:models: {whole}\n"
    texts = edits(text, {"model": "gemma3:1b"}).texts
    assert config(texts["beside"], "models")["chat-2"] == {"model": "gemma3:1b"}
    assert list(config(texts["final"], "models"))[-1] == "chat-2" or "other" in config(texts["final"], "models")
    assert config(texts["final"], "aliases") == {"chat": "chat-2"}


def test_a_layout_that_cannot_be_changed_is_refused_before_anything_is() -> None:
    shared = "x: &one {model: 'llama3.1:8b'}\nconfig:\n  paddock:models:\n    chat: *one\n"
    assert yaml.safe_load(shared)["config"]["paddock:models"]["chat"]["model"] == "llama3.1:8b"
    with pytest.raises(BadInputError, match="anchors"):
        edits(shared, {"model": "gemma3:1b"}).texts  # noqa: B018


def test_the_only_entry_of_a_mapping_is_replaced_in_its_layout() -> None:
    text = "config:\n  paddock:aliases:\n    default: a\n  paddock:target: local\n"
    there = made(text, [put(section("aliases"), "default", {"a": 0.5, "b": 0.5})])
    assert "  paddock:aliases:\n    default:" in there
    assert made(there, [put(section("aliases"), "default", "a")]) == text


ADAPTERS = """\
config:
  paddock:target: local
  paddock:models:
    chat:
      model: llama3.1:8b
      engine: ollama
      contextLength: 2048
      adapters:
        law: law.gguf  # from the lawyers
        medicine: {source: medicine.gguf}
  paddock:aliases:
    default: {chat: 90, law: 10}
    doctor: medicine
  paddock:router:
    keys:
      ci:
        hash: "HASH"
        scopes: [chat]
        models: [law]
"""


def test_adapters_go_over_under_names_of_their_own_and_their_old_names_lead_to_them() -> None:
    journal = propose(
        Wanted("default-chat", "llama3.1:8b", context_length_tokens=4096), with_name(ADAPTERS), Settings()
    )
    assert [(one.old, one.new) for one in journal.every] == [
        ("chat", "chat-2"),
        ("law", "law-2"),
        ("medicine", "medicine-2"),
    ]
    texts = journal.edits.texts
    for stage in STAGES:
        raw = {key.partition(":")[2]: value for key, value in load(texts[stage])["config"].items()}
        raw["router"]["keys"]["ci"]["hash"] = "sha256:" + "0" * 64
        assert load_spec(raw), "each stage is a config that comes up"
        assert journal.edits.backward(texts[stage], "original") == with_name(ADAPTERS)
    assert config(texts["beside"], "models")["chat-2"]["adapters"] == {
        "law-2": "law.gguf",
        "medicine-2": {"source": "medicine.gguf"},
    }
    assert config(texts["beside"], "aliases")["law-2-candidate"] == "law-2"
    assert config(texts["final"], "aliases") == {
        "default": {"chat-2": 90, "law-2": 10},
        "doctor": "medicine-2",
        "default-chat": "chat-2",
        "chat": "chat-2",
        "law": "law-2",
        "medicine": "medicine-2",
    }
    assert config(texts["final"], "router")["keys"]["ci"]["models"] == ["law", "law-2"]
    assert "law-2: law.gguf  # from the lawyers" in texts["final"]

    back = propose(Wanted("chat", "llama3.1:8b", context_length_tokens=2048), texts["final"], Settings())
    assert [(one.old, one.new) for one in back.every] == [
        ("chat-2", "chat"),
        ("law-2", "law"),
        ("medicine-2", "medicine"),
    ]
    assert config(back.edits.texts["final"], "aliases")["law-2"] == "law"


def with_name(text: str) -> str:
    """With an alias of the model alone."""
    return text.replace("    doctor: medicine\n", "    doctor: medicine\n    default-chat: chat\n")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted("chat", "gemma3:1b"), "made for llama3.1:8b, and gemma3:1b cannot take over: law, medicine"),
        (Wanted("law", "llama3.1:8b"), "'law' is an adapter of 'chat'"),
        (Wanted("doctor", "llama3.1:8b"), "'medicine' is an adapter of 'chat'"),
        (Wanted("lwa", "llama3.1:8b"), "did you mean 'law'"),
        (Wanted("chat", "llama3.1:8b", context_length_tokens=512, new_name="law"), "'law' is taken"),
    ],
)
def test_what_adapters_stand_in_the_way_of_is_refused(wanted: Wanted, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        propose(wanted, ADAPTERS, Settings())


def test_an_adapter_under_an_ab_test_holds_its_model() -> None:
    text = ADAPTERS + "  paddock:experiments:\n    both: {}\n"
    text = text.replace("doctor: medicine", "both: {medicine: 0.5, law: 0.5}")
    with pytest.raises(BadInputError, match=r"'medicine' is an arm of the A/B test on 'both'.*--keep medicine"):
        propose(Wanted("chat", "llama3.1:8b", context_length_tokens=512), text, Settings())


def test_names() -> None:
    models: dict[str, Any] = {"a": {}, "b": {}}
    assert name_for_new("a", models, {}) == "a-2"
    assert name_for_new("a", {**models, "a-2": {}}, {"a-3": "b"}) == "a-4"
    assert name_for_new("a", models, {"a-2": "a"}) == "a-2"
    assert name_for_new("gpt-4", {"gpt-4": {}}, {}) == "gpt-4-2"
    assert name_for_candidate("a", {**models, "a-candidate": {}}, {}) == "a-candidate-2"
    assert model_behind("x", models, {"x": {"a": 1, "b": 0}}) == "a"
    assert model_behind("a", models, {"a": "b"}) == "b", "an alias comes before a model of its name"
    with pytest.raises(BadInputError, match="name the one"):
        model_behind("x", models, {"x": {"a": 1, "b": 1}})
    with pytest.raises(BadInputError, match="did you mean 'default'"):
        model_behind("defualt", models, {"default": "a"})
