"""Which privacy rules hold while a contract changes, or cannot be used; and tiers whose key is missing."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.router.fort import (
    ASLEEP,
    LIMITS,
    MARK,
    PUBLIC,
    SLEEPING,
    Mode,
    fort,
    hangs_up,
    silent,
)
from tests.unit.router.rig import (
    Talk,
    eventually,
)

pytestmark = pytest.mark.unit


async def test_who_waits_while_the_rules_change_goes_by_the_new_ones(tmp_path: Path) -> None:
    mode = Mode("waits", parts={"models": SLEEPING, "routing": {"routine": ["local", "cloud"], **ASLEEP}})
    async with fort(tmp_path, mode) as fortress:
        rig = fortress.rig
        fortress.outside["cloud"].script = silent
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        # Nobody may have a second request at the cloud: the next one waits there.
        data = deepcopy(fortress.data)
        data["routing"]["queue"] = {"maxActivePerSlot": 1, "waitSeconds": 5.0, "wakeSeconds": 0.2}
        rig.write_contract(data)
        await eventually(lambda: rig.router.fleet.tiers["cloud"].models["m"].limit == 1)
        cloud = rig.router.fleet.tiers["cloud"].models["m"]
        body = {"model": "m", "messages": [{"role": "user", "content": PUBLIC}]}
        pin = {**headers, "X-Paddock-Tier": "cloud"}
        first = asyncio.ensure_future(rig.client.post("/v1/chat/completions", json=body, headers=headers | pin))
        await eventually(lambda: fortress.outside["cloud"].asked)
        marked = {"model": "m", "messages": [{"role": "user", "content": f"{PUBLIC} {MARK}"}]}
        second = asyncio.ensure_future(rig.client.post("/v1/chat/completions", json=marked, headers=headers | pin))
        await eventually(lambda: cloud.line.size == 1)
        rig.write_contract({**data, "privacy": {"default": "private"}})
        assert (await second).status_code == 403
        await first
        assert not any(MARK.encode() in one for one in fortress.seen_outside())


async def test_a_fallback_that_was_decided_by_old_rules_is_not_taken(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def fails_late(talk: Talk) -> None:
        await gate.wait()
        await talk.hang_up()

    mode = Mode("late", local=fails_late, parts={"routing": {"routine": ["local", "cloud", "commercial"]}})
    async with fort(tmp_path, mode) as fortress:
        rig = fortress.rig
        rig.router.account._limits = replace(LIMITS, first_byte_seconds=5.0)
        body = {"model": "m", "messages": [{"role": "user", "content": f"{PUBLIC} {MARK}"}]}
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        task = asyncio.ensure_future(rig.client.post("/v1/chat/completions", json=body, headers=headers))
        await eventually(lambda: fortress.local[0].asked)
        policy = rig.router.governance.policy
        assert policy is not None
        # A contract in between that changes nothing of the rules must not make it forget who decided.
        rig.write_contract({**fortress.data, "stack": "other"})
        await eventually(lambda: rig.router.governance.policy is not policy)
        rig.write_contract({**fortress.data, "privacy": {"patterns": {"ours": MARK}}})
        await eventually(lambda: policy.withdrawn)
        gate.set()
        assert (await task).status_code in (502, 504)
        assert fortress.seen_outside() == []


@pytest.mark.parametrize("first_good", [True, False])
async def test_rules_that_cannot_be_used_leave_the_last_good_ones_in_force(tmp_path: Path, first_good: bool) -> None:
    mode = Mode("bad rules", local=hangs_up, parts={"privacy": {"patterns": {"ours": "PRJ-[0-9]{6}"}}})
    async with fort(tmp_path, mode) as fortress:
        rig = fortress.rig
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}

        async def leaves(text: str) -> bool:
            before = len(fortress.seen_outside())
            body = {"model": "m", "messages": [{"role": "user", "content": text}]}
            await rig.client.post("/v1/chat/completions", json=body, headers=headers)
            return len(fortress.seen_outside()) > before

        assert await leaves(PUBLIC)
        if not first_good:
            from agent_runtime.router.privacy_rules import PrivacyRules

            rig.router.governance.privacy = PrivacyRules()
        rig.write_contract({**fortress.data, "privacy": {"patterns": {"theirs": r"(?=look)\d"}}})
        await eventually(lambda: rig.router.governance.privacy.problem)
        assert not await leaves("Ask about PRJ-123456 please")
        assert await leaves(PUBLIC) is first_good
        problems = (await rig.client.get("/readyz")).json()["problems"]
        assert any("privacy.patterns.theirs" in one for one in problems)
        rig.write_contract({**fortress.data, "privacy": {}})
        await eventually(lambda: rig.router.governance.privacy.problem is None)
        assert await leaves(PUBLIC)
        assert await leaves("Ask about PRJ-123456 please")


async def test_rules_that_cannot_be_used_but_are_stricter_count_as_far_as_they_can(tmp_path: Path) -> None:
    async with fort(tmp_path, Mode("stricter", local=hangs_up)) as fortress:
        rig = fortress.rig
        rig.write_contract({**fortress.data, "privacy": {"default": "private", "patterns": {"bad": "("}}})
        await eventually(lambda: rig.router.governance.privacy.problem)
        body = {"model": "m", "messages": [{"role": "user", "content": PUBLIC}]}
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        assert (await rig.client.post("/v1/chat/completions", json=body, headers=headers)).status_code == 502
        assert fortress.seen_outside() == []


async def test_a_tier_whose_key_is_gone_is_not_shown_a_prompt_and_people_are_told(tmp_path: Path) -> None:
    async with fort(tmp_path, Mode("no key")) as fortress:
        rig = fortress.rig
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        body = {"model": "m", "messages": [{"role": "user", "content": PUBLIC}]}
        for tier in fortress.outside:
            (fortress.secrets / f"tier-{tier}").unlink()
        await eventually(lambda: rig.router.governance.tier_problem)
        reply = await rig.client.post("/v1/chat/completions", json=body, headers=headers)
        assert (reply.status_code, reply.headers["x-paddock-tier"]) == (200, "local")
        assert fortress.seen_outside() == []
        assert "tier-cloud, tier-commercial" in (await rig.client.get("/readyz")).json()["problems"][0]
        pinned = await rig.client.post("/v1/chat/completions", json=body, headers=headers | {"X-Paddock-Tier": "cloud"})
        assert pinned.status_code == 503
        assert "key" in pinned.json()["error"]["message"]
