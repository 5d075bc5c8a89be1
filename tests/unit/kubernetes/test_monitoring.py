"""Rules and dashboards: PromQL that parses, over series that somebody really serves."""

from __future__ import annotations

import json
import re

import promql_parser
import pytest
import yaml

from agent_runtime.router.metrics import Metrics
from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.model import KubernetesPlan
from tests.unit.kubernetes.configurations import CONFIGURATIONS, fleet, manifests_of, of_kind, planned

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
        found += [panel["targets"][0]["expr"] for panel in panels]
    for one in of_kind(manifests, "ScaledObject").values():
        found += [trigger["metadata"]["query"] for trigger in one["spec"]["triggers"]]
    return found, {rule["record"] for rule in rules if "record" in rule}


def served() -> set[str]:
    """The series of the router's own /metrics."""
    names = {family.name for family in Metrics().families(active={}, endpoints=[], connections=0)}
    return names | {f"{name}_bucket" for name in names}


def test_every_expression_is_promql_over_series_that_exist(plan: KubernetesPlan, manifests: list[Manifest]) -> None:
    found, recorded = expressions(manifests)
    assert bool(found) == plan.spec.monitoring.enabled
    for expression in found:
        promql_parser.parse(expression)
        bare = re.sub(r'"[^"]*"', '""', expression)
        named = set(re.findall(r"\b(?:paddock|ollama|kube|DCGM|gpu_utilization)_\w+", bare))
        assert named <= served() | recorded | OTHERS_SERIES, expression


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
