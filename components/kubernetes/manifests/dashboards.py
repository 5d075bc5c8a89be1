"""The fleet's Grafana dashboard, as a ConfigMap that Grafana's sidecar finds."""

from __future__ import annotations

import json
from typing import Any

from components.kubernetes.manifests.meta import Manifest, fleet_labels, manifest
from components.kubernetes.model import KubernetesPlan

NAME = "paddock-dashboard"
_WIDTH, _HEIGHT = 12, 8


def _panels(namespace: str) -> list[tuple[str, str, str, str]]:
    """Title, unit, expression, legend."""
    here = f'namespace="{namespace}"'

    def rate(name: str, by: str = "model") -> str:
        return f"sum by ({by}) (rate({name}{{{here}}}[5m]))"

    def quantile(share: float, name: str) -> str:
        return f"histogram_quantile({share}, sum by (model, le) (rate({name}_bucket{{{here}}}[5m])))"

    return [
        ("Requests", "reqps", rate("paddock_requests_total"), "{{model}}"),
        ("Requests by status", "reqps", rate("paddock_requests_total", "status"), "{{status}}"),
        ("In flight and waiting", "short", f"sum by (model) (ollama_active_requests{{{here}}})", "{{model}}"),
        ("First token, 95 %", "s", quantile(0.95, "paddock_time_to_first_token_seconds"), "{{model}}"),
        ("Whole answer, 95 %", "s", quantile(0.95, "paddock_request_duration_seconds"), "{{model}}"),
        ("Tokens out", "short", rate("paddock_completion_tokens_total"), "{{model}}"),
        ("Tokens in", "short", rate("paddock_prompt_tokens_total"), "{{model}}"),
        (
            "Failures of model servers",
            "short",
            rate("paddock_upstream_errors_total", "model, kind"),
            "{{model}} {{kind}}",
        ),
        (
            "Endpoints that answer",
            "short",
            f"sum by (model) (max by (model, endpoint) (paddock_endpoint_healthy{{{here}}}))",
            "{{model}}",
        ),
        ("GPU utilisation", "percent", f"gpu_utilization_percent{{{here}}}", "{{pod}}"),
    ]


def _panel(index: int, title: str, unit: str, expression: str, legend: str) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": _WIDTH * (index % 2), "y": _HEIGHT * (index // 2)},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
    }


def dashboard(plan: KubernetesPlan) -> dict[str, Any]:
    """The dashboard in Grafana's own format."""
    return {
        "uid": f"paddock-{plan.namespace}"[:40],
        "title": f"Paddock: {plan.namespace}",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(index, *panel) for index, panel in enumerate(_panels(plan.namespace))],
    }


def dashboard_map(plan: KubernetesPlan) -> Manifest:
    """The ConfigMap that carries it."""
    text = json.dumps(dashboard(plan), indent=1) + "\n"
    labels = {**fleet_labels(plan), "grafana_dashboard": "1"}
    return manifest("v1", "ConfigMap", NAME, {"data": {"paddock.json": text}}, labels=labels, namespace=plan.namespace)
