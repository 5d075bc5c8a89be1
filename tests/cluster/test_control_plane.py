"""What the cluster tests stand on: a real control plane that uses simulated nodes as it would use real ones."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cluster import manifests as plain
from tests.cluster.client import ApiError, Client, Manifest
from tests.cluster.conditions import count_ready, is_available, is_ready, why_pending
from tests.cluster.conftest import AddNodes, MakeNamespace
from tests.cluster.control_plane import READY_AFTER
from tests.cluster.nodes import CPU, NodeShape, amd, drain, node, nvidia, nvidia_mig
from tests.cluster.recording import recording
from tests.cluster.volumes import storage_class

pytestmark = pytest.mark.cluster

DEPLOYMENT = ("apps/v1", "Deployment")
WANTS_NVIDIA = {
    "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L4"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}


# --- what the API server refuses ----------------------------------------------------------------------------------


def test_an_unknown_field_is_refused_by_its_path(client: Client, namespace: str) -> None:
    misspelt = plain.deployment("server", plain.pod_spec(tolerationz=[]))
    with pytest.raises(ApiError, match=r"spec\.template\.spec\.tolerationz"):
        client.apply(misspelt, namespace=namespace)
    assert client.find(*DEPLOYMENT, "server", namespace) is None


def test_a_wrong_value_is_refused(client: Client, namespace: str) -> None:
    with pytest.raises(ApiError, match="must be greater than or equal to 0"):
        client.apply(plain.deployment("server", plain.pod_spec(), replicas=-1), namespace=namespace)


def test_a_dry_run_validates_and_makes_nothing(client: Client, namespace: str) -> None:
    defaulted = client.apply(plain.pod("server", plain.pod_spec()), namespace=namespace, dry_run=True)
    assert defaulted["spec"]["terminationGracePeriodSeconds"] == 30
    assert client.pods(namespace) == []


def test_restricted_pod_security_refuses_a_privileged_pod_and_takes_a_hardened_one(
    client: Client, make_namespace: MakeNamespace
) -> None:
    namespace = make_namespace(pod_security="restricted")
    privileged = plain.pod_spec()
    privileged["containers"][0] = {**privileged["containers"][0], "securityContext": {"privileged": True}}
    with pytest.raises(ApiError, match='violates PodSecurity "restricted') as refused:
        client.apply(plain.pod("privileged", privileged), namespace=namespace)
    assert refused.value.status == 403
    client.apply(plain.pod("hardened", plain.pod_spec()), namespace=namespace)


def test_fields_of_another_manager_are_taken_by_force_only(client: Client, namespace: str) -> None:
    client.apply(plain.deployment("server", plain.pod_spec(), replicas=0), namespace=namespace)
    other = plain.deployment("server", plain.pod_spec(), replicas=1)
    with pytest.raises(ApiError, match=r'conflict with "paddock-tests".*: \.spec\.replicas'):
        client.apply(other, namespace=namespace, field_manager="someone", force=False)
    client.apply(other, namespace=namespace, field_manager="someone")
    assert client.get(*DEPLOYMENT, "server", namespace)["spec"]["replicas"] == 1


# --- where pods land ----------------------------------------------------------------------------------------------


def test_gpu_pods_fill_the_tainted_gpu_node_one_a_gpu_and_the_rest_waits(
    client: Client, namespace: str, add_nodes: AddNodes
) -> None:
    add_nodes([node("gpu-1", nvidia(gpus=4)), node("cpu-1", CPU), node("mig-1", nvidia_mig()), node("amd-1", amd())])
    spec = plain.pod_spec(gpus=1, **WANTS_NVIDIA)
    client.apply_all((plain.pod(f"model-{number}", spec) for number in range(6)), namespace=namespace)
    pods = client.until(lambda pods: count_ready(pods) == 4 and _count_waiting(pods) == 2, "v1", "Pod", namespace)
    assert Counter(pod["spec"].get("nodeName") for pod in pods) == {"gpu-1": 4, None: 2}
    reasons = {why_pending(pod) for pod in pods} - {None}
    assert all("1 Insufficient nvidia.com/gpu" in str(reason) for reason in reasons), reasons

    finished = next(pod["metadata"]["name"] for pod in pods if is_ready(pod))
    client.delete("v1", "Pod", finished, namespace)
    client.until(lambda pods: len(pods) == 5 and count_ready(pods) == 4, "v1", "Pod", namespace)


@pytest.mark.parametrize(
    ("device", "shape", "taint"),
    [
        pytest.param("nvidia.com/mig-1g.10gb", nvidia_mig(), "nvidia.com/gpu", id="mig"),
        pytest.param("amd.com/gpu", amd(), "amd.com/gpu", id="amd"),
    ],
)
def test_other_devices_are_found_by_their_names(
    client: Client, namespace: str, add_nodes: AddNodes, device: str, shape: NodeShape, taint: str
) -> None:
    add_nodes([node("whole-1", nvidia(gpus=8)), node("wanted-1", shape)])
    tolerations = [{"key": taint, "operator": "Exists", "effect": "NoSchedule"}]
    client.apply(
        plain.pod("model", plain.pod_spec(gpus=2, device=device, tolerations=tolerations)), namespace=namespace
    )
    (pod,) = client.until(lambda pods: count_ready(pods) == 1, "v1", "Pod", namespace)
    assert pod["spec"]["nodeName"] == "wanted-1"


def test_a_pod_without_the_toleration_stays_off_gpu_nodes(client: Client, namespace: str, add_nodes: AddNodes) -> None:
    add_nodes([node("gpu-1", nvidia(gpus=1))])
    client.apply(plain.pod("stray", plain.pod_spec()), namespace=namespace)
    # The scheduler may have tried once before it saw the node, and events come after what they tell of.
    client.until(lambda pods: "untolerated taint" in str(why_pending(pods[0])), "v1", "Pod", namespace)
    client.until(
        lambda _: any(event.startswith("FailedScheduling:") for event in client.events(namespace, about="stray")),
        *("v1", "Event", namespace),
    )


def test_replicas_spread_over_zones(client: Client, namespace: str, add_nodes: AddNodes) -> None:
    add_nodes(node(f"cpu-{zone}{number}", CPU, zone=f"zone-{zone}") for zone in "ab" for number in (1, 2))
    spread = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "server"}},
    }
    spec = plain.pod_spec(topologySpreadConstraints=[spread])
    client.apply(plain.deployment("server", spec, replicas=4), namespace=namespace)
    pods = client.until(lambda pods: count_ready(pods) == 4, "v1", "Pod", namespace)
    assert Counter(pod["spec"]["nodeName"][4] for pod in pods) == {"a": 2, "b": 2}


# --- how workloads live -------------------------------------------------------------------------------------------


def test_a_rollout_keeps_every_replica_while_new_ones_come_up(
    client: Client, namespace: str, add_nodes: AddNodes
) -> None:
    add_nodes([node("cpu-1", CPU)])
    careful = {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}
    slow = {READY_AFTER: "300ms"}
    spec = plain.pod_spec()
    client.apply(plain.deployment("server", spec, replicas=2, annotations=slow, **careful), namespace=namespace)
    client.until(lambda found: _is_available(found, 2), *DEPLOYMENT, namespace)

    spec["containers"][0]["image"] = "example.com/server:2"
    updated = plain.deployment("server", spec, replicas=2, annotations=slow, **careful)
    with recording(client, "v1", "Pod", namespace) as states:
        client.apply(updated, namespace=namespace)
        client.until(lambda found: _is_available(found, 2), *DEPLOYMENT, namespace)
    assert {pod["spec"]["containers"][0]["image"] for pod in client.pods(namespace)} == {"example.com/server:2"}
    assert min(map(count_ready, states)) == 2


def test_a_budget_holds_evictions_until_a_replacement_is_ready(
    client: Client, namespace: str, add_nodes: AddNodes
) -> None:
    add_nodes([node("cpu-1", CPU)])
    client.apply(plain.disruption_budget("server", min_available=2), namespace=namespace)
    slow = {READY_AFTER: "1s"}
    client.apply(plain.deployment("server", plain.pod_spec(), replicas=3, annotations=slow), namespace=namespace)
    first, second, third = _names(client.until(lambda pods: count_ready(pods) == 3, "v1", "Pod", namespace))
    budget = ("policy/v1", "PodDisruptionBudget", namespace)
    client.until(lambda budgets: budgets[0]["status"]["disruptionsAllowed"] == 1, *budget)

    assert client.evict(first, namespace)
    assert not client.evict(second, namespace)

    client.until(lambda pods: count_ready(pods) == 3 and first not in _names(pods), "v1", "Pod", namespace)
    client.until(lambda budgets: budgets[0]["status"]["disruptionsAllowed"] == 1, *budget)
    assert client.evict(third, namespace)


def test_a_drain_empties_a_node_and_the_budget_holds_meanwhile(
    client: Client, namespace: str, add_nodes: AddNodes
) -> None:
    add_nodes([node("cpu-1", CPU)])
    client.apply(plain.disruption_budget("server", min_available=3), namespace=namespace)
    slow = {READY_AFTER: "500ms"}
    client.apply(plain.deployment("server", plain.pod_spec(), replicas=4, annotations=slow), namespace=namespace)
    client.until(lambda pods: count_ready(pods) == 4, "v1", "Pod", namespace)
    add_nodes([node("cpu-2", CPU)])
    with recording(client, "v1", "Pod", namespace) as states:
        assert drain(client, "cpu-1") > 0
        client.until(lambda pods: count_ready(pods) == 4, "v1", "Pod", namespace)
    assert min(map(count_ready, states)) == 3
    assert {pod["spec"]["nodeName"] for pod in client.pods(namespace)} == {"cpu-2"}


# --- storage ------------------------------------------------------------------------------------------------------


def test_each_replica_of_a_stateful_set_gets_a_volume_that_it_finds_again(
    client: Client, namespace: str, add_nodes: AddNodes, provisioner: None
) -> None:
    add_nodes(node(f"cpu-{zone}", CPU, zone=f"zone-{zone}") for zone in "ab")
    client.apply(storage_class("fast-ssd"))
    claim = {
        "metadata": {"name": "models"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast-ssd",
            "resources": {"requests": {"storage": "100Gi"}},
        },
    }
    spec = plain.pod_spec()
    spec["containers"][0]["volumeMounts"] = [{"name": "models", "mountPath": "/models"}]
    client.apply(plain.stateful_set("model", spec, replicas=2, volumeClaimTemplates=[claim]), namespace=namespace)
    client.until(lambda pods: count_ready(pods) == 2, "v1", "Pod", namespace)
    claims = client.objects("v1", "PersistentVolumeClaim", namespace)
    before = {one["metadata"]["name"]: one["spec"]["volumeName"] for one in claims}
    assert sorted(before) == ["models-model-0", "models-model-1"]
    assert len(set(before.values())) == 2
    assert {one["status"]["phase"] for one in claims} == {"Bound"}

    zone = _zone_of(client, "model-0", namespace)
    (gone,) = [pod["metadata"]["uid"] for pod in client.pods(namespace) if pod["metadata"]["name"] == "model-0"]
    client.delete("v1", "Pod", "model-0", namespace)
    client.until(
        lambda pods: count_ready(pods) == 2 and gone not in {pod["metadata"]["uid"] for pod in pods},
        *("v1", "Pod", namespace),
    )
    assert _zone_of(client, "model-0", namespace) == zone
    claims = client.objects("v1", "PersistentVolumeClaim", namespace)
    assert {one["metadata"]["name"]: one["spec"]["volumeName"] for one in claims} == before


def test_a_job_of_simulated_pods_completes(client: Client, namespace: str, add_nodes: AddNodes) -> None:
    add_nodes([node("cpu-1", CPU)])
    template = {"spec": plain.pod_spec(restartPolicy="Never")}
    client.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load"}, "spec": {"template": template}},
        namespace=namespace,
    )
    client.until(lambda jobs: jobs[0]["status"].get("succeeded") == 1, "batch/v1", "Job", namespace)


# --- reading what was found ---------------------------------------------------------------------------------------


def _count_waiting(pods: list[Manifest]) -> int:
    return sum(1 for pod in pods if why_pending(pod))


def _names(pods: list[Manifest]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def _is_available(found: list[Manifest], replicas: int) -> bool:
    (one,) = found
    return is_available(one, replicas)


def _zone_of(client: Client, pod: str, namespace: str) -> str:
    name = client.get("v1", "Pod", pod, namespace)["spec"]["nodeName"]
    return client.get("v1", "Node", name)["metadata"]["labels"]["topology.kubernetes.io/zone"]
