"""Who gets at the router with which key, and what of it is reached from outside."""

from __future__ import annotations

from typing import Any

import pytest

from components.kubernetes.contract import build_contract
from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.manifests.network_policy import router_policy
from tests.unit.kubernetes.configurations import CONFIGURATIONS, IMAGE, fleet, manifests_of, planned
from tests.unit.kubernetes.schemas import problems

pytestmark = pytest.mark.unit


def one(raw: dict[str, Any], kind: str, name: str) -> Manifest:
    return next(m for m in manifests_of(planned(raw)) if (m["kind"], m["metadata"]["name"]) == (kind, name))


def arguments(raw: dict[str, Any]) -> list[str]:
    return one(raw, "Deployment", "router")["spec"]["template"]["spec"]["containers"][0]["args"]


def test_the_router_reads_its_secrets_from_a_folder_that_follows_them() -> None:
    raw = CONFIGURATIONS["smallest"]
    given = arguments(raw)
    assert given[given.index("--secrets") + 1] == "/etc/paddock/keys"
    container = one(raw, "Deployment", "router")["spec"]["template"]["spec"]["containers"][0]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["keys"] == {"name": "keys", "mountPath": "/etc/paddock/keys", "readOnly": True}
    assert "subPath" not in mounts["keys"], "a single file that is mounted never changes"


@pytest.mark.parametrize("mode", ["fleet", "none"])
def test_what_a_router_has_not_handed_in_yet_outlives_its_container(mode: str) -> None:
    given = arguments(fleet(valkey={"mode": mode}))
    assert given[given.index("--data") + 1].startswith("/")


def test_several_workers_are_asked_for_where_the_config_has_them() -> None:
    assert "--workers" not in arguments(CONFIGURATIONS["smallest"])
    given = arguments(fleet(router={"image": IMAGE, "workers": 2}))
    assert given[given.index("--workers") + 1] == "2"


@pytest.mark.parametrize("name", ["web ui and ingress", "gateway"])
def test_metrics_are_read_without_a_key_inside_the_cluster_and_never_led_to_from_outside(name: str) -> None:
    raw = CONFIGURATIONS[name]
    assert build_contract(planned(raw)).open_metrics
    if name == "gateway":
        rules = one(raw, "HTTPRoute", "router")["spec"]["rules"]
        paths = {match["path"]["value"]: match["path"]["type"] for rule in rules for match in rule["matches"]}
    else:
        rules = one(raw, "Ingress", "fleet")["spec"]["rules"]
        http = next(rule["http"] for rule in rules if rule["host"] == "llm.example.com")
        paths = {path["path"]: path["pathType"] for path in http["paths"]}
    assert paths.pop("/") == "Exact", "every other path would be led to as well"
    assert set(paths) == {"/api", "/v1", "/healthz", "/readyz"}


def test_prometheus_shows_a_key_where_it_is_asked_for_one() -> None:
    watched = {"operator": True, "openMetrics": False}
    raw = fleet(monitoring=watched)
    monitor = one(raw, "PodMonitor", "router")
    assert problems(monitor, "1.37") == []
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "router-keys", "key": "default"},
    }
    assert not build_contract(planned(raw)).open_metrics
    open_monitor = one(fleet(monitoring={"operator": True}), "PodMonitor", "router")
    assert "authorization" not in open_monitor["spec"]["podMetricsEndpoints"][0]


def test_the_web_ui_gets_a_new_pod_with_a_new_key() -> None:
    def template(generation: int) -> Any:
        raw = fleet(webUi={"enabled": True}, router={"image": IMAGE, "keyGeneration": generation})
        return one(raw, "Deployment", "web-ui")["spec"]["template"]

    assert template(1) != template(2)
    assert template(1)["spec"] == template(2)["spec"]


@pytest.mark.parametrize(
    ("tiers", "ports"),
    [
        ({}, set()),
        ({"commercial": {"url": "https://api.example.com/v1", "apiKey": "[secret]"}}, {443}),
        ({"cloud": {"urls": ["http://gpu.example:8000/v1", "http://b.example/v1"]}}, {8000, 80}),
        ({"cloud": {"stack": "organization/paddock/gpu"}}, {443, 80, 8080}),
    ],
)
def test_the_router_reaches_its_tiers_on_their_ports_and_no_other(tiers: dict[str, Any], ports: set[int]) -> None:
    policy = router_policy(planned(fleet(tiers=tiers)))
    anywhere = [rule for rule in policy["spec"]["egress"] if "to" not in rule]
    assert {port["port"] for rule in anywhere for port in rule["ports"]} == ports
