"""What those who watch the page are told, and when they are no longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent_runtime.router.page import live
from agent_runtime.router.settings import Settings
from fleet_spec.keys import hash_of, new_key
from tests.unit.router.rig import Talk, contract, demand_quiet, eventually, openai_whole, running
from tests.unit.router.tiers import tiered
from tests.unit.router.watching import watching

pytestmark = pytest.mark.unit

PROMPT = "a prompt that nobody else may read"
ANSWER = "an answer that nobody else may read"


async def answers(talk: Talk) -> None:
    await talk.reply(openai_whole(ANSWER))


async def test_who_comes_is_told_everything_and_then_what_changes(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig, watching(rig) as watch:
        model = watch.parts["model/local/m"]
        assert model["endpoints"][0]["url"] == rig.engine.url
        assert watch.parts["router"]["stack"] == "test"
        assert watch.parts["you"] == {"name": "anonymous", "scopes": ["admin", "chat", "metrics"], "signedIn": False}
        await rig.completion(messages=[{"role": "user", "content": PROMPT}])
        await watch.until(lambda watch: watch.decisions)
        [decision] = watch.decisions
        assert decision["model"] == "m"
        assert decision["tier"] == "local"
        assert (decision["promptTokens"], decision["completionTokens"]) == (7, 2)
        await watch.until(lambda watch: watch.parts["model/local/m"]["requestsPerMinute"] == 1)
        assert watch.parts["totals"]["tokensPerSecond"] == pytest.approx(2 / 60, abs=0.01)
        assert watch.names.count("hello") == 1


async def test_nothing_of_prompts_and_answers_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig, watching(rig) as watch:
        await rig.completion(messages=[{"role": "user", "content": PROMPT}], user="somebody")
        await rig.chat(messages=[{"role": "user", "content": PROMPT}], stream=False)
        await rig.completion(model=PROMPT)
        await watch.until(lambda watch: len(watch.decisions) == 3)
        assert [one["status"] for one in watch.decisions] == [200, 200, 404]
        assert PROMPT not in watch.text
        assert ANSWER not in watch.text


async def test_several_who_watch_are_told_the_same_from_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    event = live._event
    monkeypatch.setattr(live, "_event", lambda name, *rest: made.append(name) or event(name, *rest))
    async with running(tmp_path, answers) as rig, watching(rig) as one, watching(rig) as two:
        made.clear()
        await rig.completion()
        await one.until(lambda watch: watch.decisions)
        await two.until(lambda watch: watch.decisions)
        assert one.decisions == two.decisions
        assert made.count("change") == two.names.count("change")


async def test_a_model_that_leaves_the_fleet_is_taken_from_the_page(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig, watching(rig) as watch:
        rig.write_contract(contract({"other": {"endpoints": [{"url": rig.engine.url}]}}))
        await watch.until(lambda watch: "model/local/other" in watch.parts)
        assert "model/local/m" not in watch.parts


async def test_costs_come_from_the_ledger(tmp_path: Path) -> None:
    price = {"inputUsdPerMillion": 1_000_000.0, "outputUsdPerMillion": 2_000_000.0}
    settings = Settings(tmp_path / "fleet.json", data=tmp_path / "data")
    async with running(tmp_path, answers, settings=settings, price=price) as rig:
        await rig.completion()
        async with watching(rig) as watch:
            await watch.until(lambda watch: "costs" in watch.parts)
            assert watch.parts["costs"]["total"]["usd"] == pytest.approx(11)
            assert watch.parts["costs"]["byModel"][0]["model"] == "m"
            assert watch.parts["costs"]["forecastUsd"] >= 11


async def test_a_key_needs_the_scope_metrics_and_loses_sight_when_it_is_revoked(tmp_path: Path) -> None:
    seeing, asking = new_key(), new_key()
    data = contract({"m": {}})
    keys = {
        "seeing": {"hash": hash_of(seeing), "scopes": ["metrics"]},
        "asking": {"hash": hash_of(asking), "scopes": ["chat"]},
    }
    async with running(tmp_path, data={**data, "keys": keys}) as rig:
        refused = await rig.client.get("/api/paddock/live", headers={"Authorization": f"Bearer {asking}"})
        assert refused.status_code == 403
        async with watching(rig, {"Authorization": f"Bearer {seeing}"}) as watch:
            assert watch.parts["you"]["name"] == "seeing"
            assert seeing not in watch.text
            rig.write_contract({**data, "keys": {"asking": keys["asking"]}})
            async with asyncio.timeout(5):
                while await watch.next():
                    pass
        await eventually(lambda: not rig.router.page.live.viewers)


async def test_a_router_that_ends_sends_those_who_watch_away(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig, watching(rig) as watch:
        async with asyncio.timeout(3):
            assert await rig.router.drain()
        assert not await watch.next()


async def test_who_leaves_is_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig:
        async with watching(rig):
            assert len(rig.router.page.live.viewers) == 1
        await eventually(lambda: not rig.router.page.live.viewers)
        await demand_quiet(rig)


async def test_who_does_not_read_is_told_everything_once_it_does(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig, watching(rig) as watch:
        [viewer] = rig.router.page.live.viewers
        viewer.client_paused()
        await rig.completion()
        await eventually(lambda: rig.router.page.live._decisions)
        viewer.client_resumed()
        await watch.until(lambda watch: watch.names.count("hello") == 2)
        assert len(watch.decisions) == 1


async def test_no_more_than_so_many_may_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_VIEWERS", 1)
    async with running(tmp_path, answers) as rig, watching(rig):
        refused = await rig.client.get("/api/paddock/live")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "5"


async def test_a_client_of_http_1_0_gets_events_without_chunks(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig:
        reader, writer = await rig.connect()
        writer.write(b"GET /api/paddock/live HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert b"Transfer-Encoding" not in head
        assert await asyncio.wait_for(reader.readline(), 5) == b"event: hello\n"
        writer.close()


async def test_a_page_of_a_site_may_not_watch_a_router_without_keys(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert (await rig.client.get("/api/paddock/live", headers=headers)).status_code == 403


async def test_a_request_that_another_tier_took_says_instead_of_whom(tmp_path: Path) -> None:
    async def hangs_up(talk: Talk) -> None:
        await talk.hang_up()

    async with tiered(tmp_path, local=hangs_up, cloud=answers) as (rig, _), watching(rig) as watch:
        assert (await rig.completion()).status_code == 200
        await watch.until(lambda watch: watch.decisions)
        assert (watch.decisions[0]["tier"], watch.decisions[0]["insteadOf"]) == ("cloud", "m (local)")
