"""The cache as the router uses it: ask, find, record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.router.answers import Answer, AnswerCache, Answerer, Question, cache_families
from agent_runtime.router.dialects.operations import OPENAI_CHAT
from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.exposition import exposed
from fleet_spec.contract import ModelEndpoints
from fleet_spec.governance_spec import CacheSpec, Tier
from tests.unit.router.rig import openai_whole

pytestmark = pytest.mark.unit

ENTRY = ModelEndpoints.model_validate({"model": "tiny:1b", "engine": "llamacpp", "contextLength": 2048})
WHOLE = json.dumps(openai_whole()).encode()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(**spec: Any) -> tuple[AnswerCache, Clock]:
    clock = Clock()
    return AnswerCache(CacheSpec.model_validate(spec), size_bytes=1 << 20, clock=clock), clock


def answerer(name: str = "m", tier: Tier = "local") -> Answerer:
    return Answerer(name, ENTRY, tier)


def ask(cache: AnswerCache, content: str = "Hello", **who: Any) -> Question:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "temperature": 0}
    question = cache.question(OPENAI_CHAT, body, **{"owner": "key", "private": False, **who})
    assert question is not None
    return question


def keep(cache: AnswerCache, question: Question, by: Answerer | None = None, body: bytes = WHOLE) -> bool:
    recording = cache.record(question, by or answerer())
    assert recording is not None
    recording.begin(200, "application/json", {"X-Paddock-Model": "m"})
    recording.write(body)
    return recording.end(Usage(7, 2))


def find(cache: AnswerCache, question: Question, by: Answerer | None = None) -> Answer | None:
    return cache.find(question, by or answerer())


def test_the_same_question_gets_the_answer_that_was_given() -> None:
    cache, clock = made()
    assert find(cache, ask(cache)) is None
    assert keep(cache, ask(cache))
    clock.now += 10
    found = find(cache, ask(cache))
    assert found is not None
    assert found.body == WHOLE
    assert cache.age_seconds(found) == 10
    assert (cache.hits["m"], cache.misses["m"], cache.tokens_saved) == (1, 1, 9)


def test_nobody_gets_the_answers_of_another() -> None:
    cache, _ = made()
    keep(cache, ask(cache, owner="alice"))
    for owner in ("bob", "", None):
        assert find(cache, ask(cache, owner=owner)) is None
    assert find(cache, ask(cache, owner="alice")) is not None


def test_private_and_other_requests_share_no_answers() -> None:
    cache, _ = made()
    keep(cache, ask(cache, private=False))
    assert find(cache, ask(cache, private=True)) is None
    keep(cache, ask(cache, "secret", private=True))
    assert find(cache, ask(cache, "secret", private=False)) is None


@pytest.mark.parametrize("tier", ["cloud", "commercial"])
def test_a_private_request_has_nothing_to_do_with_tiers_beyond_the_fleet(tier: Tier) -> None:
    cache, _ = made()
    question = ask(cache, private=True)
    assert cache.record(question, answerer(tier=tier)) is None
    keep(cache, question)
    assert find(cache, question, answerer(tier=tier)) is None


def test_the_answer_of_one_model_is_not_that_of_another() -> None:
    cache, _ = made()
    keep(cache, ask(cache), answerer("m"))
    assert find(cache, ask(cache), answerer("other")) is None
    assert find(cache, ask(cache), answerer("m", "cloud")) is None


def test_a_model_that_changed_behind_its_name_is_another() -> None:
    cache, _ = made()
    keep(cache, ask(cache))
    larger = Answerer("m", ENTRY.model_copy(update={"context_length": 4096}), "local")
    assert find(cache, ask(cache), larger) is None
    assert find(cache, ask(cache)) is not None


def test_a_client_can_ask_for_a_new_answer_which_is_then_kept() -> None:
    cache, _ = made()
    keep(cache, ask(cache))
    fresh = ask(cache, fresh=True)
    assert find(cache, fresh) is None
    newer = json.dumps(openai_whole("newer")).encode()
    keep(cache, fresh, body=newer)
    found = find(cache, ask(cache))
    assert found is not None
    assert found.body == newer


def test_a_client_can_ask_for_its_answer_to_be_forgotten() -> None:
    cache, _ = made()
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
    assert cache.question(OPENAI_CHAT, body, owner="key", private=False, unkept=True) is None


def test_a_request_drawn_by_chance_is_none_of_its_business() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    for sampled in (False, True):
        cache, _ = made(sampled=sampled)
        assert (cache.question(OPENAI_CHAT, body, owner="key", private=False) is not None) == sampled


def test_a_request_nested_too_deeply_is_left_to_others() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    cache, _ = made()
    assert cache.question(OPENAI_CHAT, {"temperature": 0, "x": deep}, owner="key", private=False) is None


def test_switched_off_it_keeps_nothing_and_forgets_what_it_had() -> None:
    cache, _ = made()
    keep(cache, ask(cache))
    question = ask(cache)
    cache.update(CacheSpec(enabled=False))
    assert cache.question(OPENAI_CHAT, {"temperature": 0}, owner="key", private=False) is None
    keep(cache, question)
    cache.update(CacheSpec())
    assert find(cache, ask(cache)) is None


def test_a_new_contract_leaves_what_still_holds() -> None:
    cache, clock = made(ttlSeconds=3600)
    keep(cache, ask(cache, "old"))
    clock.now += 100
    keep(cache, ask(cache, "young"))
    cache.update(CacheSpec.model_validate({"ttlSeconds": 100}))
    assert find(cache, ask(cache, "old")) is None
    assert find(cache, ask(cache, "young")) is not None


def test_an_answer_on_its_way_while_the_cache_is_emptied_is_not_kept() -> None:
    cache, _ = made()
    recording = cache.record(ask(cache), answerer())
    assert recording is not None
    recording.begin(200, "application/json", {})
    recording.write(WHOLE)
    cache.clear()
    recording.end(None)
    assert find(cache, ask(cache)) is None


def test_time_frees_what_is_too_old() -> None:
    cache, clock = made(ttlSeconds=60)
    keep(cache, ask(cache))
    for _ in range(2):
        clock.now += 60
        cache.tick()
    assert len(cache.store) == 0


def test_many_requests_at_once_keep_the_bounds() -> None:
    cache, _ = made(entries=10)
    recordings = [cache.record(ask(cache, f"{number}"), answerer()) for number in range(200)]
    for step in range(3):
        for recording in recordings:
            assert recording is not None
            if step == 0:
                recording.begin(200, "application/json", {})
            elif step == 1:
                recording.write(WHOLE)
            else:
                recording.end(None)
    assert len(cache.store) <= 10
    assert cache.store.size_bytes <= 1 << 20
    # All the room for answers on their way is there again.
    assert keep(cache, ask(cache, "later"), body=json.dumps(openai_whole("x" * 60_000)).encode())


def test_what_prometheus_reads() -> None:
    cache, _ = made(entries=1)
    find(cache, ask(cache))
    keep(cache, ask(cache))
    find(cache, ask(cache))
    keep(cache, ask(cache, "other"))
    text = exposed(cache_families(cache)).splitlines()
    assert 'paddock_cache_hits_total{model="m"} 1' in text
    assert 'paddock_cache_misses_total{model="m"} 1' in text
    assert "paddock_cache_stored_total 2" in text
    assert "paddock_cache_evictions_total 1" in text
    assert "paddock_cache_saved_tokens_total 9" in text
    assert "paddock_cache_entries 1" in text
    assert f"paddock_cache_size_bytes {cache.store.size_bytes}" in text
