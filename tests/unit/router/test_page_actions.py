"""What the page can change, who may, how long it lasts, and that it is written down."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.settings import Settings
from fleet_spec.keys import hash_of, new_key
from tests.unit.router.rig import Rig, Talk, contract, demand_quiet, eventually, openai_whole, running
from tests.unit.router.watching import watching

pytestmark = pytest.mark.unit

DRAIN, WEIGHTS, AUDIT = "/api/paddock/drain", "/api/paddock/weights", "/api/paddock/audit"


async def answers(talk: Talk) -> None:
    await talk.reply(openai_whole())


def kept(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "fleet.json", data=tmp_path / "data")


async def drain(rig: Rig, url: str, drained: bool = True, **headers: str) -> Any:
    return await rig.client.post(DRAIN, json={"endpoint": url, "drained": drained}, headers=headers)


async def weigh(rig: Rig, alias: str, weights: object, **headers: str) -> Any:
    return await rig.client.post(WEIGHTS, json={"alias": alias, "weights": weights}, headers=headers)


async def audited(rig: Rig) -> list[dict[str, Any]]:
    return (await rig.client.get(AUDIT)).json()["entries"]


async def answered_by(rig: Rig, name: str, times: int = 20) -> Counter[str]:
    replies = [await rig.completion(model=name) for _ in range(times)]
    return Counter(reply.headers.get("X-Paddock-Model", str(reply.status_code)) for reply in replies)


def two_models(rig_urls: list[str], weights: dict[str, float] | None = None) -> dict[str, Any]:
    models = {name: {"endpoints": [{"url": url}]} for name, url in zip("ab", rig_urls, strict=True)}
    return contract(models, {"x": weights or {"a": 1.0}})


async def test_a_drained_endpoint_gets_no_new_requests_until_it_is_put_back(tmp_path: Path) -> None:
    async with running(tmp_path, answers, answers) as rig:
        first, second = rig.engines
        assert (await drain(rig, first.url)).status_code == 200
        for _ in range(6):
            assert (await rig.completion()).status_code == 200
        assert (len(first.asked), len(second.asked)) == (0, 6)
        await drain(rig, first.url, drained=False)
        for _ in range(6):
            await rig.completion()
        assert first.asked
        await demand_quiet(rig)


async def test_draining_the_last_endpoint_refuses_requests_and_says_why(tmp_path: Path) -> None:
    async with running(tmp_path, answers) as rig:
        await drain(rig, rig.engine.url)
        reply = await rig.completion()
        assert reply.status_code == 503
        assert "drained by hand" in reply.json()["error"]["message"]


async def test_what_is_in_flight_goes_on(tmp_path: Path) -> None:
    async def slow(talk: Talk) -> None:
        assert (await drain(rig, rig.engine.url)).status_code == 200
        await talk.reply(openai_whole())

    async with running(tmp_path, slow) as rig:
        assert (await rig.completion()).status_code == 200


async def test_weights_send_requests_elsewhere_and_null_ends_that(tmp_path: Path) -> None:
    async with running(tmp_path, answers, answers) as rig:
        rig.write_contract(two_models([engine.url for engine in rig.engines]))
        await eventually(lambda: "x" in rig.router.fleet.aliases)
        assert (await weigh(rig, "x", {"a": 0, "b": 3})).status_code == 200
        assert await answered_by(rig, "x") == {"b": 20}
        await weigh(rig, "x", {"a": 1, "b": 1})
        assert set(await answered_by(rig, "x", 40)) == {"a", "b"}
        await weigh(rig, "x", None)
        assert await answered_by(rig, "x") == {"a": 20}


async def test_an_alias_with_other_weights_is_an_experiment_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, answers, answers) as rig:
        rig.write_contract(two_models([engine.url for engine in rig.engines]))
        await eventually(lambda: "x" in rig.router.fleet.aliases)
        await weigh(rig, "x", {"a": 1, "b": 1})
        await answered_by(rig, "x", 10)
        await rig.router.governance.experiments.write()
        arms = (await rig.client.get("/api/paddock/experiments")).json()["experiments"]["x"]["arms"]
        assert sum(arm["requests"] for arm in arms.values()) == 10


async def test_weights_by_hand_go_before_a_declared_test_and_leave_its_arms_as_they_are(tmp_path: Path) -> None:
    async with running(tmp_path, answers, answers) as rig:
        data = two_models([engine.url for engine in rig.engines], {"a": 1.0, "b": 1.0})
        rig.write_contract({**data, "experiments": {"x": {"metric": "latency"}}})
        declared = rig.router.governance.experiments
        await eventually(lambda: "x" in declared.declared)
        await weigh(rig, "x", {"a": 0, "b": 1})
        assert await answered_by(rig, "x") == {"b": 20}
        assert set(declared.declared["x"].arms) == {"a", "b"}


async def test_overrides_last_until_a_contract_says_something_else_of_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, answers, answers) as rig:
        urls = [engine.url for engine in rig.engines]
        rig.write_contract(two_models(urls))
        await eventually(lambda: "x" in rig.router.fleet.aliases)
        await weigh(rig, "x", {"b": 1})
        await drain(rig, urls[0])
        same = two_models(urls)
        same["models"]["a"]["parallel"] = 7
        rig.write_contract(same)
        await eventually(lambda: rig.router.fleet.models["a"].entry.parallel == 7)
        assert rig.router.fleet.aliases["x"] == {"b": 1}
        rig.write_contract(two_models(urls, {"a": 0.5, "b": 0.5}))
        await eventually(lambda: rig.router.fleet.aliases["x"] == {"a": 0.5, "b": 0.5})
        rig.write_contract(two_models(urls))
        await eventually(lambda: rig.router.fleet.aliases["x"] == {"a": 1.0})  # and does not come back
        assert rig.router.fleet.models["a"].replicas[0].endpoint.drained
        rig.write_contract(contract({"b": {"endpoints": [{"url": urls[1]}]}}))
        await eventually(lambda: not rig.router.page.overrides.to_mapping()["drained"])


async def test_overrides_and_the_audit_log_outlive_a_restart_with_a_data_directory(tmp_path: Path) -> None:
    data = contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}]}})
    for expected in (False, True):
        async with running(tmp_path, data=data, settings=kept(tmp_path)) as rig:
            [endpoint] = rig.router.fleet.endpoints.values()
            assert endpoint.drained is expected
            await drain(rig, "http://127.0.0.1:9")
            assert len(await audited(rig)) == 1 + expected


async def test_routers_of_one_data_directory_share_overrides(tmp_path: Path) -> None:
    data = contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}, {"url": "http://127.0.0.1:10"}]}})
    async with (
        running(tmp_path, data=data, settings=kept(tmp_path)) as one,
        running(tmp_path, data=data, settings=kept(tmp_path)) as two,
    ):
        await drain(one, "http://127.0.0.1:9")
        await drain(two, "http://127.0.0.1:10")
        await eventually(lambda: len(one.router.page.overrides.to_mapping()["drained"]) == 2)
        assert all(endpoint.drained for endpoint in one.router.fleet.endpoints.values())


async def test_an_unreadable_file_keeps_what_was_in_force_and_is_told(tmp_path: Path) -> None:
    data = contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}]}})
    async with running(tmp_path, data=data, settings=kept(tmp_path)) as rig:
        await drain(rig, "http://127.0.0.1:9")
        (tmp_path / "data" / "overrides.json").write_text("{")
        await eventually(lambda: rig.router.page.overrides.problem)
        assert all(endpoint.drained for endpoint in rig.router.fleet.endpoints.values())
        async with watching(rig) as watch:
            assert any("overrides.json" in one["what"] for one in watch.parts["problems"])


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (DRAIN, {"endpoint": "http://127.0.0.1:1", "drained": True}, 404, "no endpoint"),
        (DRAIN, {"endpoint": "http://127.0.0.1:1"}, 400, "drained is required"),
        (DRAIN, {"endpoint": 7, "drained": True}, 400, "endpoint"),
        (WEIGHTS, {"alias": "none", "weights": {"m": 1}}, 404, "no alias"),
        (WEIGHTS, {"alias": "x", "weights": {"other": 1}}, 400, "no model of this fleet"),
        (WEIGHTS, {"alias": "x", "weights": {"m": -1}}, 400, "no number"),
        (WEIGHTS, {"alias": "x", "weights": {"m": True}}, 400, "no number"),
        (WEIGHTS, {"alias": "x", "weights": {"m": 0}}, 400, "above 0"),
        (WEIGHTS, {"alias": "x", "weights": {}}, 400, "object"),
        (WEIGHTS, {"alias": "x", "weights": [1]}, 400, "object"),
        (WEIGHTS, {"alias": "x"}, 400, "weights is required"),
    ],
)
async def test_what_cannot_be_is_refused_and_not_written_down(
    tmp_path: Path, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    async with running(tmp_path, data=contract({"m": {}}, {"x": {"m": 1.0}})) as rig:
        reply = await rig.client.post(path, json=body)
        assert reply.status_code == status
        assert said in reply.json()["error"]
        assert await audited(rig) == []


async def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, data=contract({"m": {}}, {"x": {"m": 1.0}})) as rig:
        for number in ("NaN", "Infinity"):
            body = f'{{"alias": "x", "weights": {{"m": {number}}}}}'
            reply = await rig.client.post(WEIGHTS, content=body, headers={"Content-Type": "application/json"})
            assert reply.status_code == 400


async def test_every_change_is_written_down_with_who_when_and_what(tmp_path: Path) -> None:
    key = new_key()
    data = contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}]}, "n": {}}, {"x": {"m": 1.0}})
    data["keys"] = {"ops": {"hash": hash_of(key), "scopes": ["admin"]}}
    async with running(tmp_path, data=data, settings=kept(tmp_path)) as rig:
        rig.client.headers["Authorization"] = f"Bearer {key}"
        await weigh(rig, "x", {"n": 1})
        await drain(rig, "http://127.0.0.1:9")
        await rig.client.post("/api/pull", json={"model": "tiny:1b"})
        entries = await audited(rig)
        assert [one["action"] for one in entries] == ["/api/pull", "drain", "weights"]
        assert {one["who"] for one in entries} == {"ops"}
        assert entries[0]["model"] == "tiny:1b"
        assert entries[2]["before"] == {"m": 1.0}
        assert entries[2]["after"] == {"n": 1.0}
        text = (tmp_path / "data" / "audit.jsonl").read_text()
        assert [json.loads(line) for line in text.splitlines()] == entries[::-1]
        assert key not in text
        assert (await rig.client.get(f"{AUDIT}?limit=1")).json()["entries"] == entries[:1]
        assert (await rig.client.get(f"{AUDIT}?limit=0")).status_code == 400
        assert len(rig.events("admin")) == 3


async def test_what_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    data = contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}]}})
    async with running(tmp_path, data=data, settings=kept(tmp_path)) as rig:
        (tmp_path / "data" / "audit.jsonl").mkdir(parents=True)
        assert (await drain(rig, "http://127.0.0.1:9")).status_code == 503
        assert not any(endpoint.drained for endpoint in rig.router.fleet.endpoints.values())


@pytest.mark.parametrize("scope", ["chat", "metrics"])
async def test_other_scopes_change_nothing(tmp_path: Path, scope: str) -> None:
    key = new_key()
    data = contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}]}}, {"x": {"m": 1.0}})
    data["keys"] = {"k": {"hash": hash_of(key), "scopes": [scope]}}
    async with running(tmp_path, data=data) as rig:
        rig.client.headers["Authorization"] = f"Bearer {key}"
        assert (await drain(rig, "http://127.0.0.1:9")).status_code == 403
        assert (await weigh(rig, "x", {"m": 1})).status_code == 403
        assert (await rig.client.get(AUDIT)).status_code == 403
        del rig.client.headers["Authorization"]
        assert (await drain(rig, "http://127.0.0.1:9")).status_code == 401


OTHER_PAGES = [
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Host": "evil.example", "Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/x-www-form-urlencoded"},
]


@pytest.mark.parametrize("headers", OTHER_PAGES, ids=lambda headers: " ".join(headers.values()))
async def test_another_page_changes_nothing_on_a_router_without_keys(tmp_path: Path, headers: dict[str, str]) -> None:
    async with running(tmp_path, data=contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}]}})) as rig:
        content = json.dumps({"endpoint": "http://127.0.0.1:9", "drained": True})
        sent = {"Content-Type": "application/json", **headers}
        assert (await rig.client.post(DRAIN, content=content, headers=sent)).status_code in (403, 415)
        assert not any(endpoint.drained for endpoint in rig.router.fleet.endpoints.values())


async def test_its_own_page_may(tmp_path: Path) -> None:
    async with running(tmp_path, data=contract({"m": {"endpoints": [{"url": "http://127.0.0.1:9"}]}})) as rig:
        own = f"http://127.0.0.1:{rig.port}"
        assert (await drain(rig, "http://127.0.0.1:9", Origin=own)).status_code == 200
        # Behind a proxy that changes Host, the browser's own word holds.
        behind = await rig.client.post(
            DRAIN,
            json={"endpoint": "http://127.0.0.1:9", "drained": False},
            headers={"Origin": "https://router.local", "Sec-Fetch-Site": "same-origin"},
        )
        assert behind.status_code == 200


@pytest.mark.parametrize("path", [DRAIN, WEIGHTS])
async def test_a_change_cannot_be_asked_for_with_get(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, answers) as rig:
        assert (await rig.client.get(path)).status_code == 405
