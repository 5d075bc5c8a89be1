"""Prometheus rules: the series that autoscalers read, and alerts, each with its page in the runbooks."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.autoscaling import GPU_UTILIZATION
from components.kubernetes.manifests.meta import ROUTER
from components.kubernetes.model import KubernetesPlan

SERVICE_REQUESTS = "paddock_service_active_requests"
"""The router's count per model, under the name of the model's Service, as the custom metrics API needs it."""


def rule_groups(plan: KubernetesPlan) -> list[dict[str, Any]]:
    """All groups of rules, as a rule file and a PrometheusRule have them."""
    return [
        {"name": f"{plan.namespace}-paddock-scaling", "interval": "15s", "rules": [*_requests(plan), _gpus(plan)]},
        {"name": f"{plan.namespace}-paddock-alerts", "rules": _alerts(plan)},
    ]


def _requests(plan: KubernetesPlan) -> list[dict[str, Any]]:
    return [
        {
            "record": SERVICE_REQUESTS,
            "expr": f'sum(ollama_active_requests{{namespace="{plan.namespace}",model="{_quoted(model.name)}"}})',
            "labels": {"namespace": plan.namespace, "service": model.safe_name},
        }
        for model in plan.models
    ]


def _gpus(plan: KubernetesPlan) -> dict[str, Any]:
    # DCGM's exporter names the pod that has the GPU; a scrape without honorLabels renames that to exported_pod.
    series = f'DCGM_FI_DEV_GPU_UTIL{{exported_namespace="{plan.namespace}"}}'
    renamed = f'label_replace({series}, "pod", "$1", "exported_pod", "(.+)")'
    renamed = f'label_replace({renamed}, "namespace", "$1", "exported_namespace", "(.+)")'
    kept = f'DCGM_FI_DEV_GPU_UTIL{{namespace="{plan.namespace}",exported_pod="",pod!=""}}'
    return {"record": GPU_UTILIZATION, "expr": f"avg by (namespace, pod) ({renamed} or {kept})"}


def _alerts(plan: KubernetesPlan) -> list[dict[str, Any]]:
    here = f'namespace="{plan.namespace}"'
    failed = f'sum by (model) (rate(paddock_requests_total{{{here},status=~"5.."}}[5m]))'
    answered = f"sum by (model) (rate(paddock_requests_total{{{here}}}[5m]))"
    first = (
        "histogram_quantile(0.95, sum by (model, le) "
        f"(rate(paddock_time_to_first_token_seconds_bucket{{{here}}}[10m])))"
    )
    loading = f'kube_pod_init_container_status_running{{{here},container=~"load-weights|wait-for-weights"}}'
    unavailable = f'kube_deployment_status_replicas_available{{{here},deployment="{ROUTER}"}}'
    endpoints = f"max by (model, endpoint) (paddock_endpoint_healthy{{{here}}})"
    # A name may hold dots, which in a pattern would stand for anything.
    awake = "|".join(model.name.replace(".", "[.]") for model in plan.models if not model.replicas.sleeps)
    of_awake = f'max by (model) (paddock_endpoint_healthy{{{here},model=~"{awake}"}})'
    alerts = [
        _alert(plan, "PaddockRouterDown", f"{unavailable} == 0", "2m", "critical", "No replica of the router answers."),
        _alert(
            plan,
            "PaddockEndpointDown",
            f"{endpoints} == 0",
            "10m",
            "warning",
            "{{ $labels.endpoint }} of {{ $labels.model }} does not answer.",
        ),
        _alert(
            plan,
            "PaddockErrors",
            f"{failed} / {answered} > 0.05",
            "5m",
            "warning",
            "{{ $value | humanizePercentage }} of the requests for {{ $labels.model }} fail.",
        ),
        _alert(
            plan,
            "PaddockSlowFirstToken",
            f"{first} > 10",
            "10m",
            "warning",
            "One in twenty streams of {{ $labels.model }} begins after {{ $value | humanizeDuration }} or later.",
        ),
        _alert(
            plan,
            "PaddockLoadingTakesLong",
            f"{loading} == 1",
            "30m",
            "warning",
            "{{ $labels.pod }} has been fetching its weights for half an hour.",
        ),
        _alert(
            plan,
            "PaddockContractUnusable",
            f"min(paddock_contract_last_reload_successful{{{here}}}) == 0",
            "5m",
            "warning",
            "A router cannot read the contract and goes on with the last good one.",
        ),
    ]
    if awake:
        alerts.append(
            _alert(
                plan,
                "PaddockModelDown",
                f"{of_awake} == 0",
                "2m",
                "critical",
                "No replica of {{ $labels.model }} answers.",
            )
        )
    for model in plan.models:
        scaling = model.replicas.scaling
        if scaling is None:
            continue
        full = model.replicas.max * scaling.target_active_requests
        alerts.append(
            _alert(
                plan,
                "PaddockQueueAtMaximum",
                f'{SERVICE_REQUESTS}{{{here},service="{model.safe_name}"}} > {full}',
                "15m",
                "warning",
                f"{model.safe_name} has more requests than its {model.replicas.max} replicas are meant for.",
            )
        )
    return alerts


def _alert(
    plan: KubernetesPlan, name: str, expression: str, lasting: str, severity: str, summary: str
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity, "namespace": plan.namespace},
        "annotations": {"summary": summary, "runbook_url": f"{plan.spec.monitoring.runbook_url}#{name.lower()}"},
    }


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def adapter_rules() -> list[dict[str, Any]]:
    """What prometheus-adapter must be told, so that the metrics that the HPAs name exist."""
    return [
        {
            "seriesQuery": f'{SERVICE_REQUESTS}{{namespace!="",service!=""}}',
            "resources": {"overrides": {"namespace": {"resource": "namespace"}, "service": {"resource": "service"}}},
            "name": {"as": "ollama_active_requests"},
            "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
        },
        {
            "seriesQuery": f'{GPU_UTILIZATION}{{namespace!="",pod!=""}}',
            "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
            "name": {"as": GPU_UTILIZATION},
            "metricsQuery": "avg(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
        },
    ]
