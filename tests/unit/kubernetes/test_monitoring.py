"""Rules and dashboards: PromQL that parses, over series that somebody really serves."""

from __future__ import annotations

import json

import promql_parser
import pytest
import yaml

from components.kubernetes.manifests.alerts import rule_groups
from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.model import KubernetesPlan
from tests.unit.kubernetes.configurations import CONFIGURATIONS, fleet, manifests_of, of_kind, planned
from tests.unit.monitoring.served import named_in, served

pytestmark = pytest.mark.unit

OTHERS_SERIES = {
    "DCGM_FI_DEV_GPU_UTIL",  # NVIDIA's exporter
    "kube_pod_init_container_status_running",  # kube-state-metrics
    "kube_deployment_status_replicas_available",
}


def expressions(manifests: list[Manifest]) -> tuple[list[str], set[str]]:
    """Every expression of a fleet's rules, dashboards and scalers, and the series that its rules record."""
    groups = [one["spec"]["groups"] for one in of_kind(manifests, "PrometheusRule").values()]
    maps = of_kind(manifests, "ConfigMap")
    if "paddock-rules" in maps:
        groups.append(yaml.safe_load(maps["paddock-rules"]["data"]["paddock.yaml"])["groups"])
    rules = [rule for one in groups for group in one for rule in group["rules"]]
    found = [rule["expr"] for rule in rules]
    if "paddock-dashboard" in maps:
        panels = json.loads(maps["paddock-dashboard"]["data"]["paddock.json"])["panels"]
        found += [query["expr"] for panel in panels for query in panel.get("targets", ())]
    for one in of_kind(manifests, "ScaledObject").values():
        found += [trigger["metadata"]["query"] for trigger in one["spec"]["triggers"]]
    return found, {rule["record"] for rule in rules if "record" in rule}


def test_every_expression_is_promql_over_series_that_exist(plan: KubernetesPlan, manifests: list[Manifest]) -> None:
    found, recorded = expressions(manifests)
    assert bool(found) == plan.spec.monitoring.enabled
    for expression in found:
        promql_parser.parse(expression)
        assert named_in(expression) <= served() | recorded | OTHERS_SERIES, expression


def test_a_name_with_dots_and_colons_is_meant_as_it_is() -> None:
    plan = planned(fleet(models={"llama3.1:8b": "llama3.1:8b"}))
    found, _ = expressions(manifests_of(plan))
    assert any('model="llama3.1:8b"' in expression for expression in found)
    assert any('model=~"llama3[.]1:8b"' in expression for expression in found)


def test_a_fleet_that_may_sleep_raises_no_alarm_about_it() -> None:
    rules, _ = expressions(manifests_of(planned(CONFIGURATIONS["keda to zero"])))
    awake, _ = expressions(manifests_of(planned(CONFIGURATIONS["keda"])))
    down = "max by (model) (paddock_endpoint_healthy"
    assert not any(down in expression for expression in rules)
    assert any(down in expression for expression in awake)


def test_no_two_alerts_have_one_name() -> None:
    models = {name: {"model": "llama3.1:8b", "replicas": {"min": 1, "max": 3}} for name in ("one", "two")}
    (group,) = (one for one in rule_groups(planned(fleet(models=models))) if one["name"].endswith("-alerts"))
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    (full,) = (rule["expr"] for rule in group["rules"] if rule["alert"] == "PaddockQueueAtMaximum")
    assert full.count(" or ") == 1
