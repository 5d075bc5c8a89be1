"""Practices that no schema and no scanner asks for, and that people were bitten by where they were not kept."""

from __future__ import annotations

from typing import Any

import pytest

from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.quantities import amount
from tests.unit.kubernetes.configurations import of_kind, pod_templates

pytestmark = pytest.mark.unit


def containers(template: Manifest) -> list[Manifest]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def behaviors(manifests: list[Manifest]) -> list[dict[str, Any]]:
    scalers = [one["spec"] for one in of_kind(manifests, "HorizontalPodAutoscaler").values()]
    by_keda = [
        one["spec"]["advanced"]["horizontalPodAutoscalerConfig"] for one in of_kind(manifests, "ScaledObject").values()
    ]
    return [one["behavior"] for one in [*scalers, *by_keda]]


def test_a_scaler_can_leave_zero_and_one(manifests: list[Manifest]) -> None:
    # A percentage of nothing is nothing: with percentages alone, what sleeps never wakes.
    for behavior in behaviors(manifests):
        policies = behavior["scaleUp"]["policies"]
        assert any(policy["type"] == "Pods" and policy["value"] >= 1 for policy in policies)
        assert behavior["scaleUp"].get("selectPolicy", "Max") == "Max"


def test_a_scaler_goes_down_slower_than_up(manifests: list[Manifest]) -> None:
    for behavior in behaviors(manifests):
        up, down = behavior["scaleUp"], behavior["scaleDown"]
        assert up["stabilizationWindowSeconds"] == 0
        assert down["stabilizationWindowSeconds"] >= 60, "a lull of a minute must not unload a model"
        assert all(policy["type"] == "Pods" and policy["value"] == 1 for policy in down["policies"])


def test_no_scaler_watches_what_resource_metrics_do_not_have(manifests: list[Manifest]) -> None:
    for one in of_kind(manifests, "HorizontalPodAutoscaler").values():
        for metric in one["spec"]["metrics"]:
            if metric["type"] == "Resource":
                assert metric["resource"]["name"] in ("cpu", "memory")


def test_a_roll_out_never_waits_for_a_gpu_that_the_old_replica_holds(
    plan: KubernetesPlan, manifests: list[Manifest]
) -> None:
    one_at_a_time = {model.workload for model in plan.models if not model.surge}
    for name, one in of_kind(manifests, "Deployment").items():
        rolling = one["spec"]["strategy"].get("rollingUpdate", {})
        if name in one_at_a_time:
            assert rolling["maxSurge"] == 0, name


def test_no_volume_that_one_node_can_mount_is_shared_by_pods_that_may_be_two(manifests: list[Manifest]) -> None:
    claims = of_kind(manifests, "PersistentVolumeClaim")
    for name, one in of_kind(manifests, "Deployment").items():
        pod = one["spec"]["template"]["spec"]
        for volume in pod["volumes"]:
            claim = claims.get(volume.get("persistentVolumeClaim", {}).get("claimName"))
            if claim is not None and claim["spec"]["accessModes"] == ["ReadWriteOnce"]:
                assert one["spec"]["strategy"]["type"] == "Recreate", name
                assert one["spec"]["replicas"] == 1, name


def test_requests_are_no_more_than_limits_and_devices_are_the_same_on_both_sides(manifests: list[Manifest]) -> None:
    for name, template in pod_templates(manifests).items():
        for container in containers(template):
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            for resource, asked in requests.items():
                if "/" in resource:
                    assert limits[resource] == asked, name
                else:
                    assert amount(asked) <= amount(limits[resource]), name


def test_every_volume_on_the_nodes_own_disk_has_a_limit(manifests: list[Manifest]) -> None:
    for name, template in pod_templates(manifests).items():
        for volume in template["spec"]["volumes"]:
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], f"{name}: {volume['name']}"


def test_what_answers_requests_leaves_in_peace(manifests: list[Manifest]) -> None:
    for name, one in of_kind(manifests, "Deployment", "StatefulSet").items():
        pod = one["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] >= 30, name


def test_jobs_end_and_are_made_anew_where_they_failed(manifests: list[Manifest]) -> None:
    for name, one in of_kind(manifests, "Job").items():
        assert one["spec"]["activeDeadlineSeconds"] > 0, name
        assert one["metadata"]["annotations"]["pulumi.com/replaceUnready"] == "true", name


def test_every_object_says_whose_it_is(plan: KubernetesPlan, manifests: list[Manifest]) -> None:
    for one in manifests:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "paddock"
        assert labels["paddock/stack"] == plan.stack


def test_ports_are_named_where_they_are_referred_to(manifests: list[Manifest]) -> None:
    for name, one in of_kind(manifests, "Service").items():
        for port in one["spec"]["ports"]:
            assert port["name"], name
            assert isinstance(port["targetPort"], str), "a number would bind the Service to one engine's port"


def test_nothing_is_open_to_the_world_but_through_the_way_in(manifests: list[Manifest]) -> None:
    for one in of_kind(manifests, "Service").values():
        assert one["spec"].get("type", "ClusterIP") == "ClusterIP"
    for one in of_kind(manifests, "Ingress").values():
        assert one["spec"]["tls"]


def test_no_secret_is_a_value_in_a_manifest(manifests: list[Manifest]) -> None:
    for name, template in pod_templates(manifests).items():
        for container in containers(template):
            for variable in container.get("env", []):
                if any(word in variable["name"] for word in ("PASSWORD", "SECRET", "TOKEN", "API_KEY")):
                    assert "valueFrom" in variable, f"{name}: {variable['name']}"
