"""What the router tells: of each answer in its head and in the log, and of itself where something is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.discovery import ContractFile
from agent_runtime.router.governance import Governance
from agent_runtime.router.server import serve
from agent_runtime.router.settings import Settings
from fleet_spec.errors import BadInputError
from tests.unit.router.rig import HELLO, Talk, contract, eventually, openai_whole, running, sse
from tests.unit.router.test_governed import PROOF, answers, asked, bearer, governed

pytestmark = pytest.mark.unit


async def refuses(talk: Talk) -> None:
    await talk.reply({"error": {"message": "not you"}}, status="500 Oh")


async def test_after_a_fallback_head_and_log_name_who_has_answered(tmp_path: Path) -> None:
    async with governed(tmp_path, commercial=True, keys={"web": {}}) as (rig, engines, plain):
        engines["commercial"].script = refuses
        reply = await asked(rig, PROOF, headers=bearer(plain["web"]))
        names = ("tier", "model", "endpoint", "attempts")
        told = {name: reply.headers[f"x-paddock-{name}"] for name in names}
        assert told == {"tier": "local", "model": "m", "endpoint": engines["m"].url, "attempts": "2"}
        assert reply.headers["x-paddock-reason"].startswith("complex")
        assert float(reply.headers["x-paddock-cost-usd"]) == 11.0
        (line,) = rig.events("request")
        assert line["request_id"] == reply.headers["x-paddock-request-id"]
        found = {name: line[name] for name in ("tier", "key", "reason", "usd", "model", "endpoint", "status")}
        assert found == {
            "tier": "local",
            "key": "web",
            "reason": "complex",
            "usd": 11.0,
            "model": "m",
            "endpoint": engines["m"].url,
            "status": 200,
        }
        (attempt,) = rig.events("attempt_ended")
        assert (attempt["request_id"], attempt["endpoint"]) == (line["request_id"], engines["commercial"].url)


SECRET_WORD = "quetzalcoatlus"


async def test_no_prompt_is_in_the_log_or_told_to_others_even_where_an_engine_quotes_it(tmp_path: Path) -> None:
    async def quotes(talk: Talk) -> None:
        said = json.dumps(talk.asked.json)
        if talk.asked.json.get("stream"):
            await talk.stream(sse({"error": {"message": f"cannot do {said}"}}))
        else:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + said.encode())
            await talk.hang_up()

    async with governed(tmp_path, models=2) as (rig, engines, _):
        engines["m"].script = quotes
        for path in ("/v1/chat/completions", "/api/chat"):
            for stream in (True, False):
                for _ in range(3):
                    body = {"model": "m", "messages": [{"role": "user", "content": SECRET_WORD}], "stream": stream}
                    await rig.client.post(path, json=body)
        # Half of a character, which no text in UTF-8 can have.
        lone = json.dumps({"model": "m", "messages": [{"role": "user", "content": SECRET_WORD + "\ud800"}]})
        for path in ("/v1/chat/completions", "/api/chat"):
            reply = await rig.client.post(path, content=lone)
            assert reply.status_code != 500, reply.text
        assert rig.events("upstream_error")
        assert SECRET_WORD not in "".join(rig.log_lines)
        for path in ("/readyz", "/metrics", "/api/paddock/status"):
            assert SECRET_WORD not in (await rig.client.get(path)).text
        # Others are told that it cannot be reached, and why: by then the breaker has opened.
        assert SECRET_WORD not in (await asked(rig)).text


async def test_a_fault_of_the_routers_own_is_told_without_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError(SECRET_WORD)

    async with governed(tmp_path) as (rig, _engines, _):
        monkeypatch.setattr("agent_runtime.router.admission.route", fails)
        assert (await asked(rig, SECRET_WORD)).status_code == 500
        (fault,) = rig.events("fault")
        assert fault["problem"].startswith("ValueError at test_telling.py:")
        assert SECRET_WORD not in "".join(rig.log_lines)


async def test_a_fault_in_what_time_brings_does_not_stop_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with governed(tmp_path) as (rig, _engines, _):

        def fails() -> None:
            raise ValueError

        monkeypatch.setattr(rig.router.governance, "tick", fails)
        await eventually(lambda: len(rig.events("fault")) > 1)
        rig.write_contract({**json.loads(rig.contract_path.read_text()), "stack": "later"})
        await eventually(lambda: rig.router.fleet.stack == "later")


async def test_a_ledger_that_is_down_closes_paid_tiers_and_the_fleet_answers_on(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger.db").write_bytes(b"this is no database, whatever its name says" * 50)
    data = contract({"m": {"endpoints": []}})
    async with running(tmp_path, answers) as other:
        data["models"]["m"]["endpoints"] = [{"url": other.engine.url}]
        entry = {"model": "x", "engine": "openai", "tier": "commercial", "contextLength": 999}
        price = {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 1.0}
        entry |= {"endpoints": [{"url": "http://127.0.0.1:1"}], "price": price}
        data["tiers"] = {"commercial": {"models": {"m": entry}}}
        directory = tmp_path / "second"
        directory.mkdir()
        settings = Settings(directory / "fleet.json", data=tmp_path / "data")
        async with running(directory, data=data, settings=settings) as rig:
            reply = await rig.completion()
            assert (reply.status_code, reply.headers["x-paddock-tier"]) == (200, "local")
            hard = await rig.client.post(
                "/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": PROOF}]}
            )
            assert (hard.status_code, hard.headers["x-paddock-tier"]) == (200, "local")
            assert "ledger" in hard.headers["x-paddock-reason"]
            await eventually(lambda: rig.router.fleet.models["m"].replicas[0].endpoint.health == "up")
            ready = await rig.client.get("/readyz")
            assert ready.status_code == 200
            assert ready.json()["ready"] is True
            assert any("ledger.db" in problem for problem in ready.json()["problems"])
            status = (await rig.client.get("/api/paddock/status")).json()
            assert status["problems"] == ready.json()["problems"]
            pinned = {"X-Paddock-Tier": "commercial"}
            refused = await rig.client.post(
                "/v1/chat/completions", json={"model": "m", "messages": [HELLO]}, headers=pinned
            )
            assert refused.status_code in (429, 503)


# At the start


def start(tmp_path: Path, **parts: Any) -> Settings:
    fleet = tmp_path / "fleet.json"
    entry = {"model": "x", "engine": "openai", "tier": "cloud", "contextLength": 999, "endpoints": []}
    data = {**contract({"m": {"endpoints": []}}), "tiers": {"cloud": {"models": {"m": entry}}}, **parts}
    fleet.write_text(json.dumps(data))
    return Settings(fleet, port=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pattern_that_cannot_be_used_stops_the_start(tmp_path: Path, workers: int) -> None:
    settings = start(tmp_path, privacy={"patterns": {"ours": "(?=look)"}})
    with pytest.raises(BadInputError, match=r"privacy\.patterns\.ours.*'\(\?=look\)'.*RE2"):
        serve(Settings(settings.fleet, port=0, workers=workers))


def test_presidio_that_is_not_there_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    monkeypatch.setattr("agent_runtime.router.prompts.presidio.find_spec", lambda _name: None)
    settings = start(tmp_path, privacy={"presidio": True})
    with pytest.raises(BadInputError, match=r"paddock\[presidio\]"):
        Governance.check(settings, ContractFile(settings.fleet).load())


def test_rules_of_a_fleet_without_tiers_stop_nothing(tmp_path: Path) -> None:
    settings = start(tmp_path, tiers={}, privacy={"patterns": {"ours": "(?=look)"}})
    Governance.check(settings, ContractFile(settings.fleet).load())


# The cache, on the way of every request


async def test_no_answer_crosses_from_key_to_key_model_to_model_or_private_to_public(tmp_path: Path) -> None:
    count = 0

    async def counts(talk: Talk) -> None:
        nonlocal count
        count += 1
        await talk.reply(openai_whole(str(count)))

    async with governed(tmp_path, models=2, keys={"a": {}, "b": {}, "p": {"private": True}}) as (rig, engines, plain):
        for engine in engines.values():
            engine.script = counts
        said: dict[tuple[str, str, str], str] = {}
        for key in plain:
            for model in ("m", "m1"):
                for privacy in ("public", "private"):
                    headers = bearer(plain[key]) | {"X-Paddock-Privacy": privacy}
                    first = await asked(rig, temperature=0, model=model, headers=headers)
                    again = await asked(rig, temperature=0, model=model, headers=headers)
                    assert again.headers["x-paddock-cache"] == "hit"
                    text = first.json()["choices"][0]["message"]["content"]
                    assert again.json()["choices"][0]["message"]["content"] == text
                    said[key, model, "private" if key == "p" else privacy] = text
        # What a private key asks is private either way: its second round found what the first had left.
        assert count == len(set(said.values())) == 2 * 2 * 2 + 2


async def test_an_answer_that_was_cut_off_is_not_given_again(tmp_path: Path) -> None:
    async def breaks(talk: Talk) -> None:
        await talk.begin()
        await talk.chunk(sse({"id": "1", "choices": [{"index": 0, "delta": {"content": "half"}}]}))
        await talk.hang_up()

    async with governed(tmp_path) as (rig, engines, _):
        engines["m"].script = breaks
        for _ in range(2):
            cut = await asked(rig, temperature=0, stream=True)
            assert cut.headers["x-paddock-cache"] == "miss"
        engines["m"].script = answers
        whole = await asked(rig, temperature=0, stream=True)
        assert (whole.headers["x-paddock-cache"], len(engines["m"].asked)) == ("miss", 3)
        again = await asked(rig, temperature=0, stream=True)
        assert (again.headers["x-paddock-cache"], again.content) == ("hit", whole.content)
        assert await rig.metric('paddock_cache_hits_total{model="m"}') == 1


async def test_a_cache_that_is_switched_off_keeps_nothing(tmp_path: Path) -> None:
    async with governed(tmp_path, routing={"cache": {"enabled": False}}) as (rig, engines, _):
        for _ in range(3):
            assert "x-paddock-cache" not in (await asked(rig, temperature=0)).headers
        assert len(engines["m"].asked) == 3
