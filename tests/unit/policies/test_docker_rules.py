"""The rules on a Docker host: the target's own fleets pass, and what breaks one is caught."""

from __future__ import annotations

from typing import Any

import pytest

from policies.rules import RULES
from policies.rules.docker import CONTAINER, IMAGE, manifest_of
from policies.rules.rule import Facts
from tests.unit.components.docker.configurations import CONFIGURATIONS
from tests.unit.components.docker.recording import CONTAINER as CONTAINER_TYPE
from tests.unit.components.docker.recording import REMOTE_IMAGE, inputs, recorded

pytestmark = pytest.mark.unit
TOKEN = "hf_" + "a" * 34


def findings(kind: str, spec: dict[str, Any], facts: Facts | None = None) -> set[str]:
    one = manifest_of(kind, "one", spec)
    return {rule.name for rule in RULES if rule.scope == "object" for _ in rule.check([one], facts or Facts())}


def server(**changes: Any) -> dict[str, Any]:
    return {"name": "router", "mustRun": True, "memory": 512, "healthcheck": {"tests": ["CMD", "true"]}, **changes}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_targets_own_fleets_keep_the_rules(name: str) -> None:
    run = recorded(name)
    for container in inputs(run, CONTAINER_TYPE).values():
        assert findings(CONTAINER, container) == set()
    for image in inputs(run, REMOTE_IMAGE).values():
        assert findings(IMAGE, image) == set()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"privileged": True}, "no-privileged-pods"),
        ({"networkMode": "host"}, "no-privileged-pods"),
        ({"pidMode": "host"}, "no-privileged-pods"),
        ({"capabilities": {"adds": ["CAP_SYS_ADMIN"]}, "networkMode": "none"}, "no-privileged-pods"),
        ({"capabilities": {"adds": ["CAP_CHOWN"]}}, "no-privileged-pods"),
        ({"mounts": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/s"}]}, "no-privileged-pods"),
        ({"envs": ["OPENAI_API_KEY=abc"]}, "no-plain-secrets"),
        ({"command": ["--token", TOKEN]}, "no-plain-secrets"),
        ({"memory": None}, "limits-and-requests"),
        ({"healthcheck": None}, "probes"),
    ],
)
def test_a_container_that_breaks_a_rule_is_caught(changes: dict[str, Any], rule: str) -> None:
    assert findings(CONTAINER, server()) == set()
    broken = {key: value for key, value in server(**changes).items() if value is not None}
    assert findings(CONTAINER, broken) == {rule}


def test_images_are_pinned_and_come_from_where_they_may() -> None:
    assert findings(IMAGE, {"name": "docker.io/ollama/ollama:latest"}) == {"pinned-images"}
    allowed = Facts(registries=("registry.example.com",))
    assert findings(IMAGE, {"name": "docker.io/ollama/ollama:0.17.4"}, allowed) == {"image-registries"}
