"""The fleet's Grafana dashboard, as a ConfigMap that Grafana's sidecar finds."""

from __future__ import annotations

import json

from components.kubernetes.manifests.alerts import watched
from components.kubernetes.manifests.autoscaling import GPU_UTILIZATION
from components.kubernetes.manifests.meta import Manifest, fleet_labels, manifest
from components.kubernetes.model import KubernetesPlan
from fleet_spec.monitoring.dashboard import dashboard
from fleet_spec.monitoring.panels import Panel, Row

NAME = "paddock-dashboard"


def dashboard_map(plan: KubernetesPlan) -> Manifest:
    """The ConfigMap that carries it, with what the GPUs do."""
    fleet = watched(plan)
    gpus = Panel("GPU utilisation", "percent", ((fleet.series(GPU_UTILIZATION), "{{pod}}"),))
    text = json.dumps(dashboard(fleet, [Row("GPUs", (gpus,))]), indent=1) + "\n"
    labels = {**fleet_labels(plan), "grafana_dashboard": "1"}
    return manifest("v1", "ConfigMap", NAME, {"data": {"paddock.json": text}}, labels=labels, namespace=plan.namespace)
