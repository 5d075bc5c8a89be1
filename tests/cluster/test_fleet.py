"""The fleet's own manifests on a real control plane: accepted strictly, placed rightly, scaled, drained and rolled."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from components.kubernetes.manifests.secrets import needed_secrets
from components.kubernetes.model import KubernetesPlan
from fleet_spec.stack_file import read_stack_file
from tests.cluster.client import Client, Manifest
from tests.cluster.conditions import count_ready
from tests.cluster.conftest import AddNodes
from tests.cluster.control_plane import ControlPlane
from tests.cluster.metrics_api import Metrics
from tests.cluster.nodes import CPU, drain, node, nvidia
from tests.cluster.recording import recording
from tests.cluster.volumes import storage_class
from tests.unit.kubernetes.configurations import ROOT, manifests_of, of_kind, planned, pod_templates, prod
from tests.unit.kubernetes.conftest import PLANS

pytestmark = pytest.mark.cluster

NOT_BUILT_IN = ("karpenter.", "keda.sh", "monitoring.coreos.com", "gateway.networking.k8s.io", "cloud.google.com")
"""Kinds that need definitions of their own; the unit tests hold them against their published schemas."""
MODEL_PODS = "app.kubernetes.io/component=model"
ALL_READY_SECONDS = 90.0


def is_built_in(manifest: Manifest) -> bool:
    group = manifest["apiVersion"].rpartition("/")[0]
    return not any(group.startswith(name) or name in group for name in NOT_BUILT_IN)


@pytest.fixture(scope="module")
def shared_namespace(control_plane: ControlPlane, client: Client) -> Iterator[str]:
    """The namespace of all configurations, made from the fleet's own manifest, for what is only tried."""
    plan = prod()
    client.apply_all(one for one in manifests_of(plan) if one["kind"] in ("Namespace", "ServiceAccount"))
    yield plan.namespace
    control_plane.end_namespace(plan.namespace)


def test_every_manifest_of_every_configuration_is_accepted_strictly(client: Client, shared_namespace: str) -> None:
    accepted = 0
    for name, plan in PLANS.items():
        for manifest in manifests_of(plan):
            if is_built_in(manifest) and manifest["kind"] != "Namespace":
                assert client.apply(manifest, dry_run=True), f"{name}: {manifest['kind']}"
                accepted += 1
    assert accepted > 500


def test_every_pod_of_every_configuration_is_let_in_where_restricted_is_enforced(
    client: Client, shared_namespace: str
) -> None:
    namespace = shared_namespace
    labels = client.get("v1", "Namespace", namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, plan in PLANS.items():
        manifests = manifests_of(plan)
        for maker, template in pod_templates(manifests).items():
            spec = copy.deepcopy(template["spec"])
            spec.setdefault("volumes", []).extend(claimed_volumes(manifests, maker))
            # A class of the user's own that this cluster does not have.
            spec.pop("priorityClassName", None)
            spec.pop("runtimeClassName", None)
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "tried", "labels": template["metadata"]["labels"]},
                "spec": spec,
            }
            assert client.apply(pod, namespace=namespace, dry_run=True), f"{name}: {maker}"


def claimed_volumes(manifests: list[Manifest], maker: str) -> list[Manifest]:
    """The volumes that a StatefulSet would add to its pods."""
    sets = of_kind(manifests, "StatefulSet")
    templates = sets[maker]["spec"].get("volumeClaimTemplates", []) if maker in sets else []
    return [
        {"name": one["metadata"]["name"], "persistentVolumeClaim": {"claimName": one["metadata"]["name"]}}
        for one in templates
    ]


_numbers = itertools.count(1)


@pytest.fixture
def production(
    control_plane: ControlPlane, client: Client, add_nodes: AddNodes, provisioner: None, metrics: Metrics
) -> Iterator[str]:
    """The shipped prod stack, applied for real: GPU nodes in two zones, plain nodes, storage, secrets, all pods up."""
    # In a namespace of its own, since one that ends takes a while.
    raw = read_stack_file(ROOT, "prod").raw
    plan = planned({**raw, "namespace": f"production-{next(_numbers)}"}, "prod")
    namespace = plan.namespace
    client.apply_all(one for one in manifests_of(plan) if one["kind"] == "Namespace")
    labels = {"gpu-type": "nvidia-t4"}
    add_nodes(node(f"t4-{i}", nvidia("Tesla-T4", 4, labels=labels), zone=f"zone-{'ab'[i % 2]}") for i in range(6))
    add_nodes(node(f"l4-{i}", nvidia("NVIDIA-L4", 4)) for i in range(2))
    add_nodes(node(f"cpu-{i}", CPU, zone=f"zone-{'ab'[i % 2]}") for i in range(3))
    client.apply(storage_class("fast-ssd"))
    client.apply(storage_class("standard", default=True))
    for model in plan.models:
        metrics.set_for_object(namespace, "services", model.safe_name, "ollama_active_requests", 0)
    metrics.share_among_pods(namespace, "gpu_utilization_percent", 0)
    metrics.set_cpu(namespace, 0.1)
    for secret in needed_secrets(plan):
        client.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret.reference.name},
                "stringData": {secret.reference.key: "made up"},
            },
            namespace=namespace,
        )
    client.apply_all(manifests_of(plan))
    client.until(
        lambda pods: count_ready(pods) == len(pods) >= least_pods(plan),
        "v1",
        "Pod",
        namespace,
        seconds=ALL_READY_SECONDS,
    )
    yield namespace
    control_plane.end_namespace(namespace)


def least_pods(plan: KubernetesPlan) -> int:
    return sum(model.replicas.min for model in plan.models) + plan.spec.router.replicas.min


def pods_of(client: Client, namespace: str, model: str) -> list[Manifest]:
    return client.pods(namespace, f"{MODEL_PODS},app.kubernetes.io/instance={model}")


def test_pods_land_on_the_nodes_of_their_pool_and_nowhere_else(client: Client, production: str) -> None:
    placed = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in client.pods(production, MODEL_PODS)}
    assert len(placed) == sum(model.replicas.min for model in prod().models)
    assert all(where.startswith("t4-") for where in placed.values()), placed
    others = [pod for pod in client.pods(production) if pod["metadata"]["name"] not in placed]
    assert others
    assert all(pod["spec"]["nodeName"].startswith("cpu-") for pod in others)
    # A replica for each zone at least, so that losing one leaves the model up.
    assert len({pod["spec"]["nodeName"] for pod in pods_of(client, production, "llama")}) == 3


def test_a_model_scales_to_its_limit_under_load_and_back(client: Client, production: str, metrics: Metrics) -> None:
    (scaler,) = (
        one
        for one in client.objects("autoscaling/v2", "HorizontalPodAutoscaler", production)
        if one["spec"]["scaleTargetRef"]["name"].startswith("mistral")
    )
    # The shipped pace is of minutes; a test has seconds.
    policy = {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 10, "periodSeconds": 1}]}
    quick = {"stabilizationWindowSeconds": 0, **policy}
    behavior: dict[str, Any] = {"behavior": {"scaleUp": quick, "scaleDown": quick}}
    client.merge(
        *("autoscaling/v2", "HorizontalPodAutoscaler", scaler["metadata"]["name"]),
        {"spec": behavior},
        namespace=production,
    )
    ready = lambda: count_ready(pods_of(client, production, "mistral"))  # noqa: E731

    metrics.set_for_object(production, "services", "mistral", "ollama_active_requests", 200)
    client.until(lambda _: ready() == 10, "v1", "Pod", production, seconds=ALL_READY_SECONDS)
    assert count_ready(pods_of(client, production, "llama")) == 3  # the others' load is their own

    metrics.set_for_object(production, "services", "mistral", "ollama_active_requests", 0)
    client.until(lambda _: ready() == 2, "v1", "Pod", production, seconds=ALL_READY_SECONDS)


def test_a_drain_never_takes_more_than_the_budget_allows(client: Client, production: str) -> None:
    victim = pods_of(client, production, "llama")[0]["spec"]["nodeName"]
    with recording(client, "v1", "Pod", production, labels=f"{MODEL_PODS},app.kubernetes.io/instance=llama") as states:
        drain(client, victim)
        client.until(
            lambda _: count_ready(pods_of(client, production, "llama")) == 3,
            *("v1", "Pod", production),
            seconds=ALL_READY_SECONDS,
        )
    assert min(count_ready(pods) for pods in states) >= 2


def test_a_rollout_of_the_router_keeps_every_replica_it_promised(client: Client, production: str) -> None:
    (router,) = (
        one
        for one in client.objects("apps/v1", "Deployment", production)
        if one["metadata"]["labels"].get("app.kubernetes.io/name") == "router"
    )
    name, selector = router["metadata"]["name"], "app.kubernetes.io/name=router"
    with recording(client, "v1", "Pod", production, labels=selector) as states:
        restarted = {"template": {"metadata": {"annotations": {"restarted": "now"}}}}
        client.merge("apps/v1", "Deployment", name, {"spec": restarted}, namespace=production)

        def rolled(found: list[Manifest]) -> bool:
            status = next(one for one in found if one["metadata"]["name"] == name)["status"]
            counted = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
            return status.get("observedGeneration", 0) > 1 and counted == [2, 2, 2]

        client.until(rolled, "apps/v1", "Deployment", production, seconds=ALL_READY_SECONDS)
    assert min(count_ready(pods) for pods in states) >= 2
