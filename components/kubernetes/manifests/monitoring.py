"""What Prometheus is told: with the operator through its kinds, without it through annotations and ConfigMaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from components.kubernetes.manifests.alerts import adapter_rules, rule_groups
from components.kubernetes.manifests.dashboards import dashboard_map
from components.kubernetes.manifests.engines import ENGINES
from components.kubernetes.manifests.meta import (
    INSTANCE,
    MODEL_COMPONENT,
    NAME,
    ROUTER,
    Manifest,
    fleet_labels,
    manifest,
    part_selector,
)
from components.kubernetes.manifests.secrets import router_keys
from components.kubernetes.model import KubernetesPlan

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The one in C writes the same, ten times as fast: the rules of a large fleet take longer than the rest of its plan."""
RULES = "paddock-rules"
ADAPTER_RULES = "paddock-prometheus-adapter-rules"


def monitoring(plan: KubernetesPlan) -> list[Manifest]:
    """Everything that watches the fleet; nothing where monitoring is off."""
    if not plan.spec.monitoring.enabled:
        return []
    made: list[Manifest] = []
    if plan.spec.monitoring.operator:
        made += [*_pod_monitors(plan), _prometheus_rule(plan)]
    else:
        made.append(_config_map(plan, RULES, "paddock.yaml", {"groups": rule_groups(plan)}))
    if any(model.replicas.scaling is not None and model.replicas.scaling.kind == "hpa" for model in plan.models):
        made.append(_config_map(plan, ADAPTER_RULES, "rules.yaml", {"rules": adapter_rules()}))
    if plan.spec.monitoring.dashboards:
        made.append(dashboard_map(plan))
    return made


def _config_map(plan: KubernetesPlan, name: str, file: str, content: Mapping[str, Any]) -> Manifest:
    text = yaml.dump(dict(content), Dumper=_DUMPER, sort_keys=False, width=1000)
    return manifest(
        "v1", "ConfigMap", name, {"data": {file: text}}, labels=fleet_labels(plan), namespace=plan.namespace
    )


def _labels(plan: KubernetesPlan) -> dict[str, str]:
    return {**fleet_labels(plan), **plan.spec.monitoring.labels}


def _pod_monitors(plan: KubernetesPlan) -> list[Manifest]:
    watched = {ROUTER: part_selector(ROUTER)}
    for name, engine in ENGINES.items():
        if engine.serves_metrics and any(model.engine == name for model in plan.models):
            watched[name] = {NAME: name, "app.kubernetes.io/component": MODEL_COMPONENT}
    return [
        manifest(
            "monitoring.coreos.com/v1",
            "PodMonitor",
            name,
            {
                "spec": {
                    "selector": {"matchLabels": selector},
                    "podMetricsEndpoints": [
                        {
                            "port": "http",
                            "path": "/metrics",
                            "interval": "15s",
                            **(_authorization(plan) if name == ROUTER else {}),
                        }
                    ],
                    **({} if name == ROUTER else {"podTargetLabels": [INSTANCE]}),
                }
            },
            labels=_labels(plan),
            namespace=plan.namespace,
        )
        for name, selector in watched.items()
    ]


def _authorization(plan: KubernetesPlan) -> dict[str, Any]:
    """What Prometheus shows to the router, where that is asked of it."""
    if plan.spec.monitoring.open_metrics:
        return {}
    key = router_keys(plan)
    return {"authorization": {"type": "Bearer", "credentials": {"name": key.name, "key": key.key}}}


def _prometheus_rule(plan: KubernetesPlan) -> Manifest:
    return manifest(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        RULES,
        {"spec": {"groups": rule_groups(plan)}},
        labels=_labels(plan),
        namespace=plan.namespace,
    )
