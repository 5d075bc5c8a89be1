"""How manifests refer to each other: selectors find their pods, scalers their workloads, policies both ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components.kubernetes.contract import build_contract
from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.model import KubernetesPlan
from fleet_spec.contract import FleetContract
from tests.unit.kubernetes.configurations import (
    CONFIGURATIONS,
    ROOT,
    fleet,
    manifests_of,
    of_kind,
    planned,
    pod_templates,
    prod,
    with_gpu,
)

pytestmark = pytest.mark.unit


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def selected(manifests: list[Manifest], selector: dict[str, str]) -> set[str]:
    """What makes the pods that a selector finds."""
    found = pod_templates(manifests)
    return {name for name, template in found.items() if matches(selector, template["metadata"]["labels"])}


def test_every_workload_selects_its_own_pods_and_no_others(manifests: list[Manifest]) -> None:
    for name, one in of_kind(manifests, "Deployment", "StatefulSet").items():
        assert selected(manifests, one["spec"]["selector"]["matchLabels"]) == {name}


def test_every_service_leads_to_exactly_one_workload_and_a_port_that_it_has(manifests: list[Manifest]) -> None:
    templates = pod_templates(manifests)
    for one in of_kind(manifests, "Service").values():
        found = selected(manifests, one["spec"]["selector"])
        assert len(found) == 1, one["metadata"]["name"]
        ports = {port["name"] for box in templates[found.pop()]["spec"]["containers"] for port in box.get("ports", [])}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports


def test_every_budget_protects_one_workload_and_lets_one_pod_go(manifests: list[Manifest]) -> None:
    budgets = of_kind(manifests, "PodDisruptionBudget")
    protected = {name: selected(manifests, one["spec"]["selector"]["matchLabels"]) for name, one in budgets.items()}
    assert all(found == {name} for name, found in protected.items())
    assert all(one["spec"]["maxUnavailable"] == 1 for one in budgets.values())
    several = {
        name
        for name in of_kind(manifests, "Deployment", "StatefulSet")
        if name not in ("web-ui", "valkey")  # one pod each: a budget would protect nothing
    }
    assert set(budgets) == several


def test_every_workload_has_exactly_one_owner_of_its_replicas(manifests: list[Manifest]) -> None:
    scalers = [
        one["spec"]["scaleTargetRef"] for one in of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject").values()
    ]
    workloads = {(one["kind"], name): one for name, one in of_kind(manifests, "Deployment", "StatefulSet").items()}
    for reference in scalers:
        assert (reference["kind"], reference["name"]) in workloads
    for (kind, name), one in workloads.items():
        owners = sum((reference["kind"], reference["name"]) == (kind, name) for reference in scalers)
        assert owners + ("replicas" in one["spec"]) == 1, name


def test_every_metric_that_a_scaler_names_is_made_by_the_adapters_rules() -> None:
    manifests = manifests_of(prod())
    text = of_kind(manifests, "ConfigMap")["paddock-prometheus-adapter-rules"]["data"]["rules.yaml"]
    made = {rule["name"]["as"] for rule in yaml.safe_load(text)["rules"]}
    recorded = {
        rule["record"]
        for group in yaml.safe_load(of_kind(manifests, "ConfigMap")["paddock-rules"]["data"]["paddock.yaml"])["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    assert {rule["seriesQuery"].partition("{")[0] for rule in yaml.safe_load(text)["rules"]} == recorded
    services = of_kind(manifests, "Service")
    named: set[str] = set()
    for name, one in of_kind(manifests, "HorizontalPodAutoscaler").items():
        if name == "router":
            continue
        for metric in one["spec"]["metrics"]:
            body = metric[metric["type"].lower()]
            named.add(body["metric"]["name"])
            if metric["type"] == "Object":
                assert body["describedObject"]["name"] in services
    assert named == made


def test_gpu_load_counts_only_where_dcgm_reports_it() -> None:
    def metrics(name: str) -> set[str]:
        found = of_kind(manifests_of(planned(CONFIGURATIONS[name])), "HorizontalPodAutoscaler")
        return {metric["type"] for key, one in found.items() if key != "router" for metric in one["spec"]["metrics"]}

    assert metrics("hpa") == {"Object", "Pods"}
    for name in ("mig", "time-sliced", "amd", "shared", "hpa to zero"):
        assert metrics(name) == {"Object"}, name


def test_keda_asks_prometheus_and_lets_an_idle_model_sleep() -> None:
    awake = of_kind(manifests_of(planned(CONFIGURATIONS["keda"])), "ScaledObject").popitem()[1]["spec"]
    asleep = of_kind(manifests_of(planned(CONFIGURATIONS["keda to zero"])), "ScaledObject").popitem()[1]["spec"]
    assert (awake["minReplicaCount"], awake["maxReplicaCount"]) == (2, 10)
    assert "idleReplicaCount" not in awake
    assert asleep["idleReplicaCount"] == 0
    query = awake["triggers"][0]["metadata"]["query"]
    assert query == 'sum(ollama_active_requests{namespace="llm-serving",model="llama"})'
    services = of_kind(manifests_of(planned(CONFIGURATIONS["keda to zero"])), "Service")
    assert services["llama"]["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def policies_on(manifests: list[Manifest], workload: str) -> list[dict[str, Any]]:
    labels = pod_templates(manifests)[workload]["metadata"]["labels"]
    return [
        one["spec"]
        for one in of_kind(manifests, "NetworkPolicy").values()
        if matches(one["spec"]["podSelector"].get("matchLabels", {}), labels)
    ]


def may_reach(manifests: list[Manifest], source: str, target: str, port: int) -> bool:
    """Whether policies let a workload's pods reach another's on that port, from both ends."""
    templates = pod_templates(manifests)

    def allowed(policies: list[dict[str, Any]], direction: str, peers: str, other: str) -> bool:
        labels = templates[other]["metadata"]["labels"]
        for rule in (rule for policy in policies for rule in policy.get(direction, [])):
            ports = [one["port"] for one in rule.get("ports", [])]
            if ports and port not in ports:
                continue
            if peers not in rule or any(
                matches(peer.get("podSelector", {}).get("matchLabels", {}), labels) for peer in rule[peers]
            ):
                return True
        return False

    return allowed(policies_on(manifests, source), "egress", "to", target) and allowed(
        policies_on(manifests, target), "ingress", "from", source
    )


def test_pods_reach_what_they_need_and_nothing_else() -> None:
    manifests = manifests_of(prod())
    llama = next(name for name in of_kind(manifests, "StatefulSet") if name.startswith("llama-"))
    mistral = next(name for name in of_kind(manifests, "StatefulSet") if name.startswith("mistral-"))
    allowed = {
        (source, target): may_reach(manifests, source, target, port)
        for source in ("router", "web-ui", llama, "valkey")
        for target, port in (("router", 8080), ("web-ui", 8080), (llama, 11434), (mistral, 11434), ("valkey", 6379))
        if source != target
    }
    assert {pair for pair, yes in allowed.items() if yes} == {
        ("router", llama),
        ("router", mistral),
        ("router", "valkey"),
        ("web-ui", "router"),
    }


def test_every_pod_is_walled_in(plan: KubernetesPlan, manifests: list[Manifest]) -> None:
    for name in pod_templates(manifests):
        types = {kind for policy in policies_on(manifests, name) for kind in policy["policyTypes"]}
        assert types == ({"Ingress", "Egress"} if plan.spec.kubernetes.network_policy.enabled else set())


def test_the_contract_in_the_config_map_is_the_fleets_and_its_addresses_are_its_services(
    plan: KubernetesPlan, manifests: list[Manifest]
) -> None:
    text = of_kind(manifests, "ConfigMap")["fleet-contract"]["data"]["contract.json"]
    contract = FleetContract.parse(text)
    assert contract == build_contract(plan)
    services = of_kind(manifests, "Service")
    urls = [contract.router.url, *(one.url for model in contract.models.values() for one in model.endpoints)]
    for url in urls:
        host, _, port = url.removeprefix("http://").partition(":")
        name, namespace, *rest = host.split(".")
        assert (namespace, rest) == (plan.namespace, ["svc", "cluster", "local"])
        assert services[name]["spec"]["ports"][0]["port"] == int(port or 80)
    for model in plan.models:
        assert services[model.endpoints_service]["spec"]["clusterIP"] == "None"
        assert services[model.safe_name]["spec"]["ports"][0]["port"] == 80


def test_addresses_from_outside_are_in_the_contract_where_there_is_a_way_in() -> None:
    inside = build_contract(planned(CONFIGURATIONS["smallest"])).to_mapping()
    assert "externalUrl" not in inside["router"]
    outside = build_contract(planned(CONFIGURATIONS["web ui and ingress"])).to_mapping()
    assert outside["router"]["externalUrl"] == "https://llm.example.com"
    assert outside["webUi"]["externalUrl"] == "https://chat.example.com"


def test_a_change_of_source_or_storage_makes_all_anew_beside_the_old_but_the_service_on_port_80() -> None:
    def names(**model: Any) -> tuple[set[str], set[str]]:
        manifests = manifests_of(planned(fleet(models={"chat": {"model": "llama3.1:8b", **model}})))
        kinds = ("StatefulSet", "Service", "NetworkPolicy", "PodDisruptionBudget")
        of_model = {f"{kind}/{name}" for kind in kinds for name in of_kind(manifests, kind) if name.startswith("chat")}
        return of_model - {"Service/chat"}, of_model

    before, with_service = names()
    assert "Service/chat" in with_service
    assert len(before) == 4
    for change in ({"model": "mistral:7b"}, {"storage": "200Gi"}, {"storage": {"storageClass": "other"}}):
        after, with_service = names(**change)
        # What follows the older contract still reaches the older pods: no name is taken from them.
        assert before.isdisjoint(after), change
        assert "Service/chat" in with_service
    for change in ({"replicas": 3}, {"contextLength": 2048}, {"keepAlive": "1h"}):
        assert names(**change)[0] == before, change


def test_the_web_ui_speaks_to_the_router_alone_and_keeps_its_sessions() -> None:
    pod = pod_templates(manifests_of(planned(CONFIGURATIONS["web ui and ingress"])))["web-ui"]["spec"]
    environment = {one["name"]: one.get("value", one.get("valueFrom")) for one in pod["containers"][0]["env"]}
    assert environment["OPENAI_API_BASE_URL"] == "http://router.llm-serving.svc.cluster.local/v1"
    assert environment["ENABLE_OLLAMA_API"] == "false"
    assert environment["WEBUI_SECRET_KEY"]["secretKeyRef"]["name"] == "web-ui-secret"
    assert environment["WEBUI_URL"] == "https://chat.example.com"


def test_the_router_has_two_replicas_or_more_and_sees_a_new_contract_without_a_restart() -> None:
    manifests = manifests_of(prod())
    router = of_kind(manifests, "Deployment")["router"]["spec"]
    assert of_kind(manifests, "HorizontalPodAutoscaler")["router"]["spec"]["minReplicas"] == 2
    mount = next(
        one for one in router["template"]["spec"]["containers"][0]["volumeMounts"] if one["name"] == "contract"
    )
    assert "subPath" not in mount
    changed = planned(fleet(aliases={"default": "llama"}))
    assert of_kind(manifests_of(changed), "Deployment") == of_kind(
        manifests_of(planned(fleet(aliases={"other": "llama"}))), "Deployment"
    )


def test_a_pool_is_made_with_spot_first_limits_and_the_taints_that_its_pods_tolerate() -> None:
    manifests = manifests_of(planned(CONFIGURATIONS["karpenter on AWS"]))
    pool = of_kind(manifests, "NodePool")["llm-serving-main"]["spec"]
    assert pool["limits"] == {"nvidia.com/gpu": "16"}
    template = pool["template"]
    needs = {one["key"]: one["values"] for one in template["spec"]["requirements"]}
    assert needs["karpenter.sh/capacity-type"] == ["spot", "on-demand"]
    pod = next(one for name, one in pod_templates(manifests).items() if name.startswith("llama-"))["spec"]
    assert pod["nodeSelector"].items() <= template["metadata"]["labels"].items()
    for taint in template["spec"]["taints"]:
        assert {**taint, "operator": "Equal"} in pod["tolerations"]
    gke = manifests_of(planned(CONFIGURATIONS["gke"]))
    name, compute = of_kind(gke, "ComputeClass").popitem()
    assert [one["spot"] for one in compute["spec"]["priorities"]] == [True, False]
    assert compute["spec"]["priorities"][0]["gpu"] == {"type": "nvidia-tesla-t4", "count": 4}
    pod = next(one for name, one in pod_templates(gke).items() if name.startswith("llama-"))["spec"]
    assert pod["nodeSelector"] == {"cloud.google.com/compute-class": name}


def test_plain_prometheus_and_the_operator_get_the_same_rules() -> None:
    with_operator = planned(with_gpu({}, monitoring={"operator": True}))
    without = planned(with_gpu({}))
    rule = of_kind(manifests_of(with_operator), "PrometheusRule")["paddock-rules"]["spec"]
    plain = yaml.safe_load(of_kind(manifests_of(without), "ConfigMap")["paddock-rules"]["data"]["paddock.yaml"])
    assert rule == plain
    annotations = pod_templates(manifests_of(without))["router"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "8080"
    assert "prometheus.io/port" not in pod_templates(manifests_of(with_operator))["router"]["metadata"]["annotations"]
    monitors = of_kind(manifests_of(with_operator), "PodMonitor")
    assert selected(manifests_of(with_operator), monitors["router"]["spec"]["selector"]["matchLabels"]) == {"router"}


def test_every_alert_has_its_page_in_the_runbooks() -> None:
    plan = planned(CONFIGURATIONS["hpa"])
    rules = yaml.safe_load(of_kind(manifests_of(plan), "ConfigMap")["paddock-rules"]["data"]["paddock.yaml"])
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    page = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    assert len(alerts) >= 8
    for alert in alerts:
        file, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert file == "docs/runbooks.md"
        assert anchor == alert["alert"].lower()
        assert f"\n## {alert['alert']}\n" in page


def test_the_dashboard_is_grafanas_json() -> None:
    one = of_kind(manifests_of(prod()), "ConfigMap")["paddock-dashboard"]
    assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
    panels = json.loads(one["data"]["paddock.json"])["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
