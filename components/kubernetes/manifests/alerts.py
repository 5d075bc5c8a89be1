"""Prometheus rules on Kubernetes: the series that autoscalers read, and the alerts of every target with its own."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.autoscaling import GPU_UTILIZATION
from components.kubernetes.manifests.meta import ROUTER
from components.kubernetes.model import KubernetesPlan
from fleet_spec.monitoring.alerts import Alert, rules
from fleet_spec.monitoring.watched import Watched, matchers, quoted

SERVICE_REQUESTS = "paddock_service_active_requests"
"""The router's count per model, under the name of the model's Service, as the custom metrics API needs it."""


def rule_groups(plan: KubernetesPlan) -> list[dict[str, Any]]:
    """All groups of rules, as a rule file and a PrometheusRule have them."""
    return [
        {"name": f"{plan.namespace}-paddock-scaling", "interval": "15s", "rules": [*_requests(plan), _gpus(plan)]},
        {"name": f"{plan.namespace}-paddock-alerts", "rules": rules(watched(plan), _of_the_cluster(plan))},
    ]


def _requests(plan: KubernetesPlan) -> list[dict[str, Any]]:
    return [
        {
            "record": SERVICE_REQUESTS,
            "expr": f'sum(ollama_active_requests{{namespace="{plan.namespace}",model="{quoted(model.name)}"}})',
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


def watched(plan: KubernetesPlan) -> Watched:
    """The fleet as the pods' series tell it from others: by its namespace."""
    here = matchers({"namespace": plan.namespace}, f'deployment="{ROUTER}"')
    return Watched(
        name=plan.namespace,
        labels={"namespace": plan.namespace},
        router_down=f"kube_deployment_status_replicas_available{here} == 0",
        awake=tuple(model.name for model in plan.models if not model.replicas.sleeps),
        soft_limit=plan.spec.budget.soft_limit,
        most_waiting=plan.spec.routing.queue.max_waiting,
        runbook_url=plan.spec.monitoring.runbook_url,
    )


def _of_the_cluster(plan: KubernetesPlan) -> list[Alert]:
    """Alerts over what other targets have not: init containers, and replicas that come and go."""
    here = f'namespace="{plan.namespace}"'
    loading = f'kube_pod_init_container_status_running{{{here},container=~"load-weights|wait-for-weights"}}'
    found = [
        Alert(
            "PaddockLoadingTakesLong",
            f"{loading} == 1",
            30 * 60,
            "warning",
            "{{ $labels.pod }} has been fetching its weights for half an hour.",
        )
    ]
    full = [
        f'{SERVICE_REQUESTS}{{{here},service="{model.safe_name}"}} > '
        f"{model.replicas.max * model.replicas.scaling.target_active_requests}"
        for model in plan.models
        if model.replicas.scaling is not None
    ]
    if full:
        # One rule for all of them: two of one name and the same labels are an error to promtool.
        found.append(
            Alert(
                "PaddockQueueAtMaximum",
                " or ".join(full),
                15 * 60,
                "warning",
                "{{ $labels.service }} has more requests than all replicas that it may have are meant for.",
            )
        )
    return found


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
