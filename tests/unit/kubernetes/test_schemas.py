"""Every manifest of every configuration is what Kubernetes' own schemas, and those of the operators, accept."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from components.kubernetes.manifests.meta import Manifest, identity
from components.kubernetes.model import KubernetesPlan
from fleet_spec.checks_versions import older
from tests.unit.kubernetes.configurations import CONFIGURATIONS, manifests_of, of_kind, planned, prod
from tests.unit.kubernetes.schemas import VERSIONS, is_custom, problems

pytestmark = pytest.mark.unit


def test_every_manifest_is_valid_on_every_release_that_the_config_allows(
    plan: KubernetesPlan, manifests: list[Manifest]
) -> None:
    allowed = [version for version in VERSIONS if not older(version, plan.spec.kubernetes.version)]
    assert "1.37" in allowed
    wrong = {
        (*identity(one), version): found
        for version in allowed
        for one in manifests
        if (found := problems(one, version))
    }
    assert not wrong


def test_no_two_objects_have_the_same_name(manifests: list[Manifest]) -> None:
    names = [identity(one) for one in manifests]
    assert len(names) == len(set(names))


def test_everything_is_in_the_namespace_or_named_after_it(plan: KubernetesPlan, manifests: list[Manifest]) -> None:
    cluster_wide = {"Namespace", "NodePool", "EC2NodeClass", "AKSNodeClass", "ComputeClass"}
    for one in manifests:
        if one["kind"] in cluster_wide:
            assert one["metadata"]["name"].startswith(plan.namespace)
            assert "namespace" not in one["metadata"]
        else:
            assert one["metadata"]["namespace"] == plan.namespace


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("StatefulSet", ("spec", "template", "spec", "containers", 0, "imagePulPolicy"), "Always"),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "env", 0, "value"), 1),
        ("Service", ("spec", "ports", 0, "targetport"), "http"),
        ("HorizontalPodAutoscaler", ("spec", "minReplicas"), "two"),
        ("NetworkPolicy", ("spec", "policyTypes"), "Ingress"),
        ("PodDisruptionBudget", ("spec", "maxUnavailble"), 1),
    ],
)
def test_the_schemas_would_find_a_mistake(kind: str, path: tuple[Any, ...], value: Any) -> None:
    one = copy.deepcopy(next(iter(of_kind(manifests_of(prod()), kind).values())))
    assert not problems(one, "1.37")
    place: Any = one
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert problems(one, "1.37")


@pytest.mark.parametrize(
    ("configuration", "kind"),
    [
        ("karpenter on AWS", "NodePool"),
        ("karpenter on AWS", "EC2NodeClass"),
        ("karpenter on Azure", "AKSNodeClass"),
        ("gke", "ComputeClass"),
        ("keda", "ScaledObject"),
        ("gateway", "HTTPRoute"),
        ("operator", "PodMonitor"),
        ("operator", "PrometheusRule"),
    ],
)
def test_a_mistake_in_a_custom_resource_is_found_too(configuration: str, kind: str) -> None:
    found = of_kind(manifests_of(planned(CONFIGURATIONS[configuration])), kind)
    one = copy.deepcopy(next(iter(found.values())))
    assert is_custom(one)
    one["spec"]["unheardOf"] = True
    assert problems(one, "1.37")


def test_no_resource_of_a_newer_release_is_used_unasked(manifests: list[Manifest], plan: KubernetesPlan) -> None:
    if older(plan.spec.kubernetes.version, "1.34"):
        assert not of_kind(manifests, "ResourceClaimTemplate")


def test_the_longest_name_of_a_stack_still_makes_a_label() -> None:
    plan = planned(CONFIGURATIONS["smallest"], stack="s" * 62 + "-" + "t" * 37)
    for one in manifests_of(plan):
        assert len(one["metadata"]["labels"]["paddock/stack"]) == 62
