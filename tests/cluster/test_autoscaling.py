"""Real autoscalers follow what the tests' metrics adapter says: of pods, of an object, and to zero and back."""

from __future__ import annotations

import pytest

from tests.cluster import manifests as plain
from tests.cluster.client import Client, Manifest
from tests.cluster.conditions import is_available
from tests.cluster.conftest import AddNodes
from tests.cluster.metrics_api import Metrics
from tests.cluster.nodes import CPU, node

pytestmark = pytest.mark.cluster

DEPLOYMENT = ("apps/v1", "Deployment")


def test_an_autoscaler_follows_the_load_of_its_pods_from_2_to_10_and_back(
    client: Client, namespace: str, add_nodes: AddNodes, metrics: Metrics
) -> None:
    add_nodes([node("cpu-1", CPU)])
    client.apply(plain.deployment("model", plain.pod_spec(), replicas=None), namespace=namespace)
    metric = {
        "type": "Pods",
        "pods": {"metric": {"name": "ollama_active_requests"}, "target": {"type": "AverageValue", "averageValue": "4"}},
    }
    metrics.share_among_pods(namespace, "ollama_active_requests", 6)
    client.apply(plain.autoscaler("model", metric, least=2, most=10), namespace=namespace)
    client.until(lambda found: _is_available(found, 2), *DEPLOYMENT, namespace)

    metrics.share_among_pods(namespace, "ollama_active_requests", 100)
    client.until(lambda found: _is_available(found, 10), *DEPLOYMENT, namespace)
    assert _conditions(client, "model", namespace)["ScalingLimited"] == ("True", "TooManyReplicas")

    metrics.share_among_pods(namespace, "ollama_active_requests", 0)
    client.until(lambda found: _is_available(found, 2), *DEPLOYMENT, namespace)


def test_an_autoscaler_follows_a_metric_of_a_service(
    client: Client, namespace: str, add_nodes: AddNodes, metrics: Metrics
) -> None:
    add_nodes([node("cpu-1", CPU)])
    client.apply(plain.deployment("model", plain.pod_spec()), namespace=namespace)
    described = {"apiVersion": "v1", "kind": "Service", "name": "router"}
    target = {"type": "Value", "value": "10"}
    metric = {"type": "Object", "object": {"describedObject": described, "metric": {"name": "queue"}, "target": target}}
    metrics.set_for_object(namespace, "services", "router", "queue", 30)
    client.apply(plain.autoscaler("model", metric, least=1, most=3), namespace=namespace)
    client.until(lambda found: _is_available(found, 3), *DEPLOYMENT, namespace)


def test_an_autoscaler_follows_the_processor_time_of_its_pods(
    client: Client, namespace: str, add_nodes: AddNodes, metrics: Metrics
) -> None:
    add_nodes([node("cpu-1", CPU)])
    spec = plain.pod_spec()
    spec["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    client.apply(plain.deployment("router", spec, replicas=None), namespace=namespace)
    target = {"type": "Utilization", "averageUtilization": 50}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    metrics.set_cpu(namespace, 2.0)
    client.apply(plain.autoscaler("router", metric, least=2, most=6), namespace=namespace)
    client.until(lambda found: _is_available(found, 6), *DEPLOYMENT, namespace)
    metrics.set_cpu(namespace, 0.01)
    client.until(lambda found: _is_available(found, 2), *DEPLOYMENT, namespace)


def test_an_autoscaler_wakes_a_model_from_zero_on_an_external_metric(
    client: Client, namespace: str, add_nodes: AddNodes, metrics: Metrics
) -> None:
    add_nodes([node("cpu-1", CPU)])
    client.apply(plain.deployment("model", plain.pod_spec()), namespace=namespace)
    target = {"type": "AverageValue", "averageValue": "2"}
    metric = {"type": "External", "external": {"metric": {"name": "held_requests"}, "target": target}}
    metrics.set_external(namespace, "held_requests", 0)
    client.apply(plain.autoscaler("model", metric, least=0, most=3), namespace=namespace)
    client.until(lambda pods: pods == [], "v1", "Pod", namespace)
    metrics.set_external(namespace, "held_requests", 3)
    client.until(lambda found: _is_available(found, 2), *DEPLOYMENT, namespace)


def test_a_metric_that_does_not_exist_is_said_on_the_autoscaler(
    client: Client, namespace: str, metrics: Metrics
) -> None:
    client.apply(plain.deployment("model", plain.pod_spec()), namespace=namespace)
    metric = {"type": "External", "external": {"metric": {"name": "absent"}, "target": {"type": "Value", "value": "1"}}}
    client.apply(plain.autoscaler("model", metric, least=1, most=3), namespace=namespace)
    client.until(
        lambda _: _conditions(client, "model", namespace).get("ScalingActive") == ("False", "FailedGetExternalMetric"),
        *("autoscaling/v2", "HorizontalPodAutoscaler", namespace),
    )
    assert any(path.startswith("/apis/external.metrics.k8s.io/v1beta1") for path in metrics.asked)


def _is_available(found: list[Manifest], replicas: int) -> bool:
    (one,) = found
    return is_available(one, replicas)


def _conditions(client: Client, autoscaler: str, namespace: str) -> dict[str, tuple[str, str]]:
    found = client.get("autoscaling/v2", "HorizontalPodAutoscaler", autoscaler, namespace)
    return {one["type"]: (one["status"], one["reason"]) for one in found["status"].get("conditions", [])}
