"""A cluster fleet's whole life on the real engine: created in order, left alone, changed in place, swapped, removed.

Driven by the plain ``pulumi`` through the stand-ins for the language host and for the Kubernetes plugin.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet_spec.contract import FleetContract
from fleet_spec.stack_file import read_stack_file
from tests.engine.conftest import Pulumi
from tests.engine.kubernetes_stack import ClusterStack, make_stack, small_fleet
from tests.programs import REPOSITORY
from tests.standins.kubernetes_directory import Entry

pytestmark = pytest.mark.engine

MakeStack = Callable[..., ClusterStack]


@pytest.fixture
def stack_of(pulumi_in: Callable[[Path], Pulumi], tmp_path: Path) -> MakeStack:
    """Makes a stack of a config; several are stacks of one project."""
    directory = tmp_path / "project"
    directory.mkdir()

    def make(config: dict[str, Any], name: str = "test") -> ClusterStack:
        return make_stack(pulumi_in(directory), tmp_path, name, config)

    return make


def place(log: list[Entry], pattern: str, state: str = "done") -> int:
    """Where in the log an object that begins so was begun or done."""
    return next(i for i, one in enumerate(log) if one.object.startswith(pattern) and one.state == state)


def named(stack: ClusterStack, prefix: str) -> str:
    """The one object that begins so."""
    (found,) = (name for name in stack.cluster.objects() if name.startswith(prefix))
    return found


def test_the_shipped_production_fleet_comes_up_in_order_stays_and_goes(stack_of: MakeStack) -> None:
    # What holds data in production is kept from deletion; here it is to go.
    stack = stack_of({**read_stack_file(REPOSITORY, "prod").raw, "protect": False}, "prod")
    assert stack.up()["created"] > 50
    log = stack.cluster.log()
    first_in_namespace = min(i for i, one in enumerate(log) if one.namespace)
    assert place(log, "Namespace/") < first_in_namespace
    router = place(log, "Deployment/router", "begun")
    for model in ("llama", "mistral", "codellama"):
        workload = place(log, f"StatefulSet/{model}-")
        assert workload < place(log, f"HorizontalPodAutoscaler/{model}-", "begun")
        assert workload < place(log, f"Service/{model}", "begun") < router
    assert place(log, "StatefulSet/valkey") < router
    assert place(log, "Secret/router-keys") < router
    assert place(log, "ConfigMap/fleet-contract") < router
    followed = place(log, "Job/router-follower-")
    assert place(log, "Deployment/router") < place(log, "Job/router-follower-", "begun")
    assert followed < place(log, "Deployment/web-ui", "begun")

    # What loads weights may take its time; the rest has the plugin's own limits.
    limits = {one.object: one.timeout_seconds for one in log}
    for name, seconds in limits.items():
        kind, _, rest = name.partition("/")
        if kind == "StatefulSet" and rest != "valkey":
            assert seconds >= 3600, name
        elif kind in ("Deployment", "StatefulSet", "Job"):
            assert seconds >= 600, name
        else:
            assert seconds == 0, name

    # The contract of the output is the one that the router's replicas have.
    contract = stack.contract()
    assert FleetContract.from_mapping(contract).target == "kubernetes"
    assert contract == stack.mounted_contract()

    assert stack.up("--expect-no-changes") == {}
    assert stack.cluster.log() == []

    assert stack.destroy()["deleted"] > 50
    assert stack.cluster.objects() == {}
    log = stack.cluster.log()
    assert place(log, "Deployment/router") < place(log, "StatefulSet/llama-", "begun")
    assert log[-1].object == "Namespace/llm-serving"


def test_a_change_of_one_model_touches_that_model_and_what_tells_of_it(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet())
    stack.up()
    router = stack.cluster.objects()["Deployment/router"]
    models = {"one": {"model": "llama3.1:8b", "contextLength": 4096}, "two": {"model": "mistral:7b"}}
    stack.write(small_fleet(models=models))
    assert stack.up() == {"updated": 2}
    assert set(stack.cluster.done("update")) == {named(stack, "StatefulSet/one-"), "ConfigMap/fleet-contract"}
    assert stack.cluster.done("delete") == stack.cluster.done("create") == []
    assert stack.mounted_contract()["models"]["one"]["contextLength"] == 4096
    assert stack.cluster.objects()["Deployment/router"] == router, "it follows the contract without a restart"


def test_a_model_is_swapped_with_the_new_servers_up_before_the_old_ones_go(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet(aliases={"default": {"one": 1}}))
    stack.up()
    before = set(stack.cluster.objects())
    old = named(stack, "StatefulSet/one-")
    old_address = stack.mounted_contract()["models"]["one"]["endpoints"][0]["url"]
    models = {"one": {"model": "gemma3:1b"}, "two": {"model": "mistral:7b"}}
    stack.write(small_fleet(models=models, aliases={"default": {"one": 1}}))
    stack.up()
    new = named(stack, "StatefulSet/one-")
    assert new != old

    log = stack.cluster.log()
    steps = [
        place(log, new),  # the new servers answer
        place(log, "Service/one", "begun"),  # the stable address turns to them
        place(log, "ConfigMap/fleet-contract", "begun"),  # the contract names them
        place(log, "Job/router-follower-"),  # every replica of the router follows it
        min(i for i, one in enumerate(log) if one.action == "delete"),  # and what was there before goes
    ]
    assert steps == sorted(steps)
    # Whatever an old contract leads to is left as it was until then: servers, their address, their open door.
    gone = before - set(stack.cluster.objects())
    assert {name.partition("/")[0] for name in gone} == {
        "StatefulSet",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Job",
    }
    assert set(stack.cluster.done("delete")) == gone
    assert not gone & set(stack.cluster.done("update"))
    address = stack.mounted_contract()["models"]["one"]["endpoints"][0]["url"]
    assert address != old_address
    # The other model was not touched, and nothing was replaced under its name.
    assert not [one for one in log if "/two" in one.object]


def test_an_engine_is_swapped_in_the_same_way(stack_of: MakeStack) -> None:
    pools = {"main": {"gpuType": "nvidia-l4", "gpusPerNode": 4, "maxNodes": 4}}
    models = {"chat": {"model": "llama3.1:8b", "gpu": "nvidia-l4"}}
    stack = stack_of(small_fleet(models=models, gpuPools=pools, aliases={}))
    stack.up()
    policy = named(stack, "NetworkPolicy/chat-")
    models = {"chat": {"model": "llama3.1:8b", "gpu": "nvidia-l4", "engine": "vllm", "quantization": "bitsandbytes"}}
    stack.write(small_fleet(models=models, gpuPools=pools, aliases={}))
    stack.up()
    log = stack.cluster.log()
    assert place(log, "Job/router-follower-") < place(log, policy, "begun"), "the old servers can be reached until then"
    assert stack.mounted_contract()["models"]["chat"]["engine"] == "vllm"


def test_new_servers_that_never_answer_leave_the_old_ones_in_place(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet())
    stack.up()
    old, contract = named(stack, "StatefulSet/one-"), stack.mounted_contract()
    stack.cluster.fault({"StatefulSet/one-*": "not ready"})
    models = {"one": {"model": "gemma3:1b"}, "two": {"model": "mistral:7b"}}
    stack.write(small_fleet(models=models))
    assert "timed out waiting to be Ready" in stack.failing_up()
    assert stack.mounted_contract() == contract
    assert old in stack.cluster.objects()
    assert stack.cluster.done("delete") == []

    # The next one finds them up, and goes on from there.
    stack.cluster.fault({})
    stack.up()
    assert old not in stack.cluster.objects()
    assert stack.mounted_contract()["models"]["one"]["model"] == "gemma3:1b"
    assert stack.up("--expect-no-changes") == {}


def test_a_router_that_does_not_follow_keeps_the_old_servers(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet())
    stack.up()
    old = named(stack, "StatefulSet/one-")
    stack.cluster.fault({"Job/router-follower-*": "not ready"})
    stack.write(small_fleet(models={"one": {"model": "gemma3:1b"}, "two": {"model": "mistral:7b"}}))
    stack.failing_up()
    assert old in stack.cluster.objects()


def test_a_model_that_leaves_takes_only_its_own_with_it(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet())
    stack.up()
    stack.write(small_fleet(models={"one": {"model": "llama3.1:8b"}}))
    stack.up()
    log = stack.cluster.log()
    deleted = stack.cluster.done("delete")
    assert all("/two" in name or name.startswith("Job/router-follower-") for name in deleted)
    assert place(log, "ConfigMap/fleet-contract") < place(log, "StatefulSet/two-", "begun")
    assert not [name for name in stack.cluster.objects() if "/two" in name]


def test_what_cannot_change_in_place_is_replaced_and_nothing_else(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet(webUi={"enabled": True}))
    stack.up()
    before = stack.cluster.objects()
    stack.write(small_fleet(webUi={"enabled": True, "storageClass": "fast"}))
    said = stack.preview()
    stack.up()
    after = stack.cluster.objects()
    claim = "PersistentVolumeClaim/web-ui-data"
    assert after[claim] != before[claim]
    assert claim in stack.cluster.done("delete")
    assert "replace" in said, "and a preview tells it beforehand"
    assert stack.up("--expect-no-changes") == {}


def test_a_refused_object_stops_what_depends_on_it_and_the_next_up_goes_on(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet())
    stack.cluster.fault({"StatefulSet/two-*": "refused"})
    assert "admission webhook denied" in stack.failing_up()
    there = stack.cluster.objects()
    assert not [name for name in there if name in ("Deployment/router", "ConfigMap/fleet-contract")]
    stack.cluster.fault({})
    stack.up()
    repeated = set(stack.cluster.done("create")) & set(there)
    assert not repeated, "what was made stays as it is"
    assert "Deployment/router" in stack.cluster.objects()
    assert stack.up("--expect-no-changes") == {}


def test_what_somebody_took_away_is_found_by_refresh_and_made_again(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet())
    stack.up()
    stack.cluster.remove("Service/one")
    by_hand = stack.cluster.objects()["Deployment/router"]
    stack.cluster.change({**by_hand, "spec": {**by_hand["spec"], "revisionHistoryLimit": 7}})
    stack.up("--refresh")
    assert "Service/one" in stack.cluster.objects()
    assert stack.cluster.objects()["Deployment/router"]["spec"]["revisionHistoryLimit"] == 3


def test_secrets_are_in_plain_sight_nowhere_but_in_the_cluster(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet(webUi={"enabled": True}, valkey={"mode": "fleet"}))
    said = stack.pulumi.run("up", "--yes", "--stack", stack.name, "--diff", "--logtostderr")
    secrets = {name: one for name, one in stack.cluster.objects().items() if one["kind"] == "Secret"}
    assert set(secrets) >= {"Secret/router-keys", "Secret/web-ui-secret", "Secret/valkey-password"}
    values = [
        value for one in secrets.values() for key in ("data", "stringData") for value in one.get(key, {}).values()
    ]
    assert len(values) == len(set(values)) >= 3
    assert min(map(len, values)) >= 32
    outputs = stack.pulumi.outputs("--stack", stack.name)
    others = [one for name, one in stack.cluster.objects().items() if name not in secrets]
    log = (stack.cluster.root / "log.jsonl").read_text()
    for where in (said, stack.state(), json.dumps(outputs), json.dumps(others), log):
        assert not [value for value in values if value in where]
    assert outputs["fleetSecrets"] == "[secret]"

    # Kept from then on: a new one at each run would log everybody out.
    stack.up("--expect-no-changes")
    assert {name: stack.cluster.objects()[name] for name in secrets} == secrets


def test_any_number_of_environments_live_beside_each_other(stack_of: MakeStack) -> None:
    prod = stack_of(small_fleet(), "prod")
    staging = stack_of(small_fleet(namespace="llm-staging", models={"one": {"model": "gemma3:1b"}}), "staging")
    prod.up()
    staging.up()
    assert staging.contract()["router"]["url"] == "http://router.llm-staging.svc.cluster.local"
    assert staging.contract()["stack"] == "staging"
    staging.destroy()
    assert prod.up("--expect-no-changes") == {}


def test_a_mistake_in_the_config_is_told_before_anything_is_touched(stack_of: MakeStack) -> None:
    stack = stack_of(small_fleet(models={"one": {"model": "llama3.1:8b", "gpu": "nvidia-h100"}}))
    said = stack.failing_up()
    assert "nvidia-h100" in said
    assert "Traceback" not in said
    assert stack.cluster.objects() == {}
