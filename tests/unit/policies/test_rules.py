"""Each rule: a good fleet passes, and taking its line out of the manifests, or breaking it, is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleet_spec.policy_spec import RULE_NAMES
from policies.rules import RULES
from policies.rules.images import pinned, registry_allowed
from policies.rules.rule import SECRET, UNKNOWN, Facts
from tests.unit.policies.fleet import container, findings, good_fleet, one_of

pytestmark = pytest.mark.unit

Manifests = list[dict[str, Any]]
Mutation = Callable[[Manifests, Facts], Facts | None]

MUTATIONS: dict[str, dict[str, Mutation]] = {
    "pinned-images": {
        "a tag that moves": lambda all_, _: container(one_of(all_, "Deployment", "router")).update(image="me/r:latest"),
        "no tag": lambda all_, _: container(one_of(all_, "StatefulSet", "chat")).update(image="ollama/ollama"),
        "an image as a volume": lambda all_, _: one_of(all_, "Deployment", "code")["spec"]["template"]["spec"][
            "volumes"
        ].append({"name": "weights", "image": {"reference": "weights/mistral:main"}}),
    },
    "image-registries": {
        "another registry": lambda all_, _: container(one_of(all_, "Deployment", "router")).update(
            image="evil.example.com/paddock:1.0.0"
        ),
        "a registry's name as the beginning of another": lambda all_, _: container(
            one_of(all_, "Deployment", "router")
        ).update(image="registry.example.com.evil.io/paddock:1.0.0"),
    },
    "no-privileged-pods": {
        "privileged": lambda all_, _: container(one_of(all_, "Deployment", "router"))["securityContext"].update(
            privileged=True
        ),
        "the node's network": lambda all_, _: one_of(all_, "Deployment", "router")["spec"]["template"]["spec"].update(
            hostNetwork=True
        ),
        "the node's disk": lambda all_, _: one_of(all_, "Deployment", "router")["spec"]["template"]["spec"][
            "volumes"
        ].append({"name": "host", "hostPath": {"path": "/"}}),
        "a capability": lambda all_, _: container(one_of(all_, "Deployment", "router"))["securityContext"].update(
            capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}
        ),
    },
    "restricted-pods": {
        "all capabilities": lambda all_, _: container(one_of(all_, "StatefulSet", "chat"))["securityContext"].update(
            capabilities={}
        ),
        "escalation": lambda all_, _: container(one_of(all_, "StatefulSet", "chat"))["securityContext"].update(
            allowPrivilegeEscalation=True
        ),
        "a root that can be written to": lambda all_, _: container(one_of(all_, "StatefulSet", "chat"))[
            "securityContext"
        ].update(readOnlyRootFilesystem=False),
        "no security context of the container": lambda all_, _: container(one_of(all_, "Deployment", "router")).update(
            securityContext={}
        ),
        "no seccomp profile": lambda all_, _: one_of(all_, "Deployment", "router")["spec"]["template"]["spec"][
            "securityContext"
        ].update(seccompProfile={}),
        "root": lambda all_, _: one_of(all_, "Deployment", "router")["spec"]["template"]["spec"][
            "securityContext"
        ].update(runAsUser=0),
    },
    "limits-and-requests": {
        "no limits": lambda all_, _: container(one_of(all_, "Deployment", "router"))["resources"].update(limits={}),
        "no request of memory": lambda all_, _: container(one_of(all_, "StatefulSet", "chat"))["resources"].update(
            requests={"cpu": "1"}
        ),
        "nothing": lambda all_, _: container(one_of(all_, "Job")).update(resources={}),
    },
    "one-gpu-owner": {
        "a second owner": lambda all_, _: one_of(all_, "StatefulSet", "chat")["spec"]["template"]["spec"][
            "containers"
        ].append({"name": "greedy", "resources": {"limits": {"nvidia.com/gpu": "1"}}}),
        "a limit over the request": lambda all_, _: container(one_of(all_, "StatefulSet", "chat"))["resources"][
            "limits"
        ].update({"nvidia.com/gpu": "2"}),
        "two kinds": lambda all_, _: container(one_of(all_, "StatefulSet", "chat"))["resources"]["limits"].update(
            {"amd.com/gpu": "1"}
        ),
        "two ways": lambda all_, _: one_of(all_, "StatefulSet", "chat")["spec"]["template"]["spec"].update(
            resourceClaims=[{"name": "gpu"}]
        ),
    },
    "probes": {
        "no readiness": lambda all_, _: container(one_of(all_, "StatefulSet", "chat")).pop("readinessProbe") and None,
        "no liveness": lambda all_, _: container(one_of(all_, "Deployment", "router")).pop("livenessProbe") and None,
    },
    "one-scaler": {
        "a second scaler": lambda all_, _: all_.append(
            {
                **one_of(all_, "HorizontalPodAutoscaler", "chat"),
                "kind": "ScaledObject",
                "metadata": {"name": "another"},
            }
        ),
        "a number beside it": lambda all_, _: one_of(all_, "StatefulSet", "chat")["spec"].update(replicas=3),
        "a target that is not there": lambda all_, _: all_.remove(one_of(all_, "StatefulSet", "chat")),
    },
    "no-open-door": {
        "a load balancer": lambda all_, _: one_of(all_, "Service", "router")["spec"].update(type="LoadBalancer"),
        "a port of every node": lambda all_, _: one_of(all_, "Service", "chat")["spec"].update(type="NodePort"),
        "no certificate": lambda all_, _: one_of(all_, "Ingress")["spec"].pop("tls") and None,
        "a certificate of another host": lambda all_, _: one_of(all_, "Ingress")["spec"].update(
            tls=[{"hosts": ["other.example.com"], "secretName": "t"}]
        ),
        "past the router": lambda all_, _: one_of(all_, "Ingress")["spec"]["rules"][0]["http"]["paths"][0].update(
            backend={"service": {"name": "chat", "port": {"name": "http"}}}
        ),
    },
    "network-policies": {
        "none": lambda all_, _: all_.__setitem__(slice(None), [one for one in all_ if one["kind"] != "NetworkPolicy"]),
        "the one that closes is gone": lambda all_, _: all_.remove(one_of(all_, "NetworkPolicy", "default-deny")),
        "it allows everything": lambda all_, _: one_of(all_, "NetworkPolicy", "default-deny")["spec"].update(
            ingress=[{}]
        ),
    },
    "no-plain-secrets": {
        "a password": lambda all_, _: container(one_of(all_, "Deployment", "router"))["env"].append(
            {"name": "DB_PASSWORD", "value": "hunter" + "2"}
        ),
        "a key under another name": lambda all_, _: container(one_of(all_, "Deployment", "router"))["env"].append(
            {"name": "SETTING", "value": "sk-" + "a" * 24}
        ),
        "an address with a password": lambda all_, _: container(one_of(all_, "Deployment", "router")).update(
            args=["--valkey", "redis://user:" + "secret" + "@host:6379"]
        ),
        "in a ConfigMap": lambda all_, _: one_of(all_, "ConfigMap", "fleet-contract")["data"].update(
            {"api_key": "abc" + "def"}
        ),
    },
    "storage-class": {
        "another class": lambda all_, _: one_of(all_, "PersistentVolumeClaim", "web-ui")["spec"].update(
            storageClassName="slow"
        ),
        "none": lambda all_, _: (
            one_of(all_, "StatefulSet", "chat")["spec"]["volumeClaimTemplates"][0]["spec"].pop("storageClassName")
            and None
        ),
    },
    "protected-claims": {
        "no protection": lambda all_, _: (
            one_of(all_, "PersistentVolumeClaim", "web-ui")["metadata"]["annotations"].pop("paddock/protect") and None
        ),
        "claims that go with their set": lambda all_, _: one_of(all_, "StatefulSet", "valkey")["spec"].update(
            persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"}
        ),
    },
    "spread-and-budgeted": {
        "not spread": lambda all_, _: (
            one_of(all_, "StatefulSet", "chat")["spec"]["template"]["spec"].pop("topologySpreadConstraints") and None
        ),
        "no budget": lambda all_, _: all_.remove(one_of(all_, "PodDisruptionBudget", "router")),
    },
    "monthly-cost": {
        "over the ceiling": lambda _, facts: replace(facts, most_monthly_usd=10_001.0),
        "not known": lambda _, facts: replace(facts, most_monthly_usd=None),
    },
    "model-licences": {
        "not on the list": lambda _, facts: replace(facts, licences=("MIT",)),
        "no commercial use": lambda _, facts: replace(
            facts,
            licences=None,
            models=tuple(replace(one, licence="mnpl", commercial_use="forbidden") for one in facts.models),
        ),
    },
}


@pytest.mark.parametrize("name", RULE_NAMES)
def test_a_good_fleet_passes(name: str) -> None:
    manifests, facts = good_fleet()
    assert findings(name, manifests, facts) == []


@pytest.mark.parametrize(("name", "mutation"), [(name, what) for name, cases in MUTATIONS.items() for what in cases])
def test_a_broken_fleet_is_caught(name: str, mutation: str) -> None:
    manifests, facts = good_fleet()
    changed = MUTATIONS[name][mutation](manifests, facts)
    found = findings(name, manifests, changed if isinstance(changed, Facts) else facts)
    assert found
    for finding in found:
        assert finding.where
        assert finding.what
        assert finding.fix


def test_every_rule_is_there_once_and_has_mutations() -> None:
    assert sorted(rule.name for rule in RULES) == sorted(RULE_NAMES)
    assert set(MUTATIONS) == set(RULE_NAMES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rules_go_on_over_what_is_missing_or_not_known(rule: Any) -> None:
    manifests, facts = good_fleet()
    strange = [{"kind": one["kind"], "metadata": UNKNOWN, "spec": UNKNOWN} for one in manifests]
    strange += [{"kind": "Deployment"}, {}, {"kind": "Ingress", "spec": {"rules": None, "tls": None}}]
    list(rule.check(strange, facts))


def test_no_finding_shows_a_secret() -> None:
    manifests, facts = good_fleet()
    value = "hunter" + "2" * 10
    container(one_of(manifests, "Deployment", "router"))["env"].append({"name": "API_KEY", "value": value})
    found = findings("no-plain-secrets", manifests, facts)
    assert found
    assert not any(value in f"{finding}" for finding in found)


def test_what_is_secret_or_unknown_is_no_plain_secret() -> None:
    manifests, facts = good_fleet()
    container(one_of(manifests, "Deployment", "router"))["env"] += [
        {"name": "API_KEY", "value": SECRET},
        {"name": "TOKEN", "value": UNKNOWN},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}},
    ]
    assert findings("no-plain-secrets", manifests, facts) == []


def test_an_image_that_the_stack_will_build_is_no_finding() -> None:
    manifests, facts = good_fleet()
    container(one_of(manifests, "Deployment", "router"))["image"] = UNKNOWN
    assert findings("pinned-images", manifests, facts) == []
    assert findings("image-registries", manifests, facts) == []


def test_a_workload_that_starts_with_a_number_that_the_engine_then_ignores_has_one_owner() -> None:
    manifests, facts = good_fleet()
    workload = one_of(manifests, "StatefulSet", "chat")
    workload["spec"]["replicas"] = 2
    workload["paddockOptions"] = {"protect": False, "ignoreChanges": ["spec.replicas"]}
    assert findings("one-scaler", manifests, facts) == []


def test_a_route_of_a_gateway_may_lead_to_what_asks_for_keys_alone() -> None:
    manifests, facts = good_fleet()
    route = {"kind": "HTTPRoute", "metadata": {"name": "r"}, "spec": {"rules": [{"backendRefs": [{"name": "router"}]}]}}
    manifests.append(route)
    assert findings("no-open-door", manifests, facts) == []
    route["spec"]["rules"][0]["backendRefs"][0]["name"] = "chat"
    assert [one.where for one in findings("no-open-door", manifests, facts)] == ["HTTPRoute/r"]


def test_a_load_balancer_inside_the_cloud_is_no_open_door() -> None:
    manifests, facts = good_fleet()
    service = one_of(manifests, "Service", "router")
    service["spec"]["type"] = "LoadBalancer"
    service["metadata"]["annotations"] = {"networking.gke.io/load-balancer-type": "Internal"}
    assert findings("no-open-door", manifests, facts) == []


@pytest.mark.parametrize("name", ["protected-claims", "spread-and-budgeted"])
def test_what_holds_for_production_does_not_for_others(name: str) -> None:
    manifests, facts = good_fleet()
    for mutation in MUTATIONS[name].values():
        mutation(manifests, facts)
    assert findings(name, manifests, facts)
    assert findings(name, manifests, replace(facts, production=False)) == []


@pytest.mark.parametrize(
    ("image", "is_pinned"),
    [
        ("ollama/ollama:0.17.4", True),
        ("registry.example.com:5000/paddock@sha256:" + "ab" * 32, True),
        ("registry.example.com:5000/paddock", False),
        ("ollama/ollama:latest", False),
        ("ollama/ollama@sha256:abc", False),
        ("", False),
    ],
)
def test_which_images_are_pinned(image: str, is_pinned: bool) -> None:
    assert pinned(image) is is_pinned


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("ubuntu:24.04", "docker.io"),
        ("ollama/ollama:1", "docker.io/ollama"),
        ("localhost:5000/x:1", "localhost:5000"),
        ("ghcr.io/team/x:1", "ghcr.io/team"),
    ],
)
def test_where_images_come_from(image: str, allowed: str) -> None:
    assert registry_allowed(image, [allowed])
    assert not registry_allowed(image, ["quay.io"])
