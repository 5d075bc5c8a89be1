"""What the components register is what `render` writes, in an order in which it can be made."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pulumi
import pytest

import components.targets
from components.fleet import Fleet
from components.kubernetes.fleet import KubernetesFleet
from components.kubernetes.groups import fleet_groups
from components.kubernetes.manifests.meta import Manifest, identity
from components.kubernetes.register import type_token
from fleet_spec.contract import FleetContract
from fleet_spec.loading import load_spec
from fleet_spec.stack_file import read_stack_file
from tests.mock_engine import Run, run_program
from tests.unit.kubernetes.configurations import CONFIGURATIONS, ROOT, fleet, manifests_of, planned
from tests.unit.kubernetes.schemas import problems

pytestmark = pytest.mark.unit

CONFIGS = {"prod": read_stack_file(ROOT, "prod").raw, **CONFIGURATIONS}


def register(raw: dict[str, Any], *, preview: bool = False, **options: Any) -> Run:
    def program() -> None:
        built = KubernetesFleet("fleet", spec=load_spec(raw), stack="test", **options)
        pulumi.export("fleet", built.contract.apply(FleetContract.to_mapping))

    return run_program(program, preview=preview, stack="test")


def objects(run: Run) -> list[Manifest]:
    return [one.inputs for one in run.resources if one.custom and one.type.startswith("kubernetes:")]


def plain(value: Any) -> Any:
    """A value as JSON: the engine's protocol has one kind of number."""
    return json.loads(json.dumps(value), parse_int=float)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("preview", [False, True])
def test_the_registered_objects_are_the_rendered_ones(name: str, preview: bool) -> None:
    run = register(CONFIGS[name], preview=preview)
    registered = {identity(one): plain(one) for one in objects(run) if one["kind"] != "Secret"}
    rendered = {identity(one): plain(one) for one in manifests_of(planned(CONFIGS[name], "test"))}
    assert registered == rendered


@pytest.mark.parametrize("name", CONFIGS)
def test_no_resource_is_registered_twice(name: str) -> None:
    run = register(CONFIGS[name])
    counts = Counter((one.type, one.name) for one in run.resources)
    assert max(counts.values()) == 1


def test_types_are_those_of_pulumi_kubernetes() -> None:
    run = register(CONFIGS["prod"])
    for one in run.resources:
        if one.type.startswith("kubernetes:"):
            assert one.type == type_token(one.inputs)
    import pulumi_kubernetes.apps.v1
    import pulumi_kubernetes.core.v1

    def typed() -> None:
        pulumi_kubernetes.apps.v1.Deployment("a", spec={})  # pyright: ignore[reportArgumentType]
        pulumi_kubernetes.core.v1.Service("b")

    assert {one.type for one in run_program(typed).resources} <= {one.type for one in run.resources}


def test_every_component_is_there_and_names_its_children_after_itself() -> None:
    run = register(CONFIGS["web ui and ingress"])
    made = {one.type.removeprefix("paddock:kubernetes:") for one in run.resources if not one.custom}
    assert made == {
        "KubernetesFleet",
        "Namespace",
        "GpuPools",
        "Monitoring",
        "Valkey",
        "ModelService",
        "Router",
        "WebUi",
        "Ingress",
    }
    names = {one.name for one in run.resources if one.custom}
    parts = ("namespace", "monitoring", "valkey", "llama", "router", "web-ui", "ingress", "fleet-cluster")
    assert all(name.startswith(parts) for name in names)


def test_secrets_are_made_up_marked_as_such_and_nowhere_in_plain_sight() -> None:
    run = register(CONFIGS["web ui and ingress"])
    kept = [one.inputs for one in run.resources if one.type == "kubernetes:core/v1:Secret"]
    assert {one["metadata"]["name"] for one in kept} == {"router-keys", "web-ui-secret", "valkey-password"}
    values: list[str] = []
    for one in kept:
        assert not problems({**one, "stringData": {"key": "any"}}, "1.37")
        # The mocks show the engine's mark of a secret: a mapping with the mark, and the value beside it.
        assert "value" in one["stringData"]
        assert len(one["stringData"]) == 2, "a secret reaches the engine without its mark"
        values += one["stringData"]["value"].values()
    assert len(set(values)) == 3
    assert min(map(len, values)) >= 32
    everything = json.dumps([one.inputs for one in run.resources if one.type != "kubernetes:core/v1:Secret"])
    assert not any(value in everything for value in values)
    assert not any(value in json.dumps(run.outputs) for value in values)


def test_a_secret_of_your_own_is_named_and_not_made() -> None:
    raw = fleet(router={"image": "a/b:1", "keysSecret": {"name": "mine", "key": "k"}}, valkey={"mode": "none"})
    run = register(raw)
    assert not run.of_type("kubernetes:core/v1:Secret")
    router = next(one for one in objects(run) if one["kind"] == "Deployment")
    assert {"secretName": "mine", "defaultMode": 0o440} in [
        one["secret"] for one in router["spec"]["template"]["spec"]["volumes"] if "secret" in one
    ]


def test_a_value_that_only_the_engine_knows_is_put_in_its_place_also_when_unknown() -> None:
    class Build(pulumi.CustomResource):
        reference: pulumi.Output[str]

        def __init__(self) -> None:
            super().__init__("test:index:Build", "build", {"reference": None})

    def program() -> None:
        KubernetesFleet("fleet", spec=load_spec(CONFIGS["smallest"]), stack="test", router_image=Build().reference)

    for preview in (False, True):
        run = run_program(program, preview=preview)
        assert "router" in run.of_type("kubernetes:apps/v1:Deployment")


def test_the_contract_is_the_stacks_output() -> None:
    contract = FleetContract.from_mapping(register(CONFIGS["prod"]).outputs["fleet"])
    assert contract.target == "kubernetes"
    assert contract.router.openai == "http://router.llm-serving.svc.cluster.local/v1"
    assert set(contract.models) == {"llama", "mistral", "codellama"}


def test_the_fleet_picks_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components.targets, "BUILT_TARGETS", ("local", "kubernetes"))

    def program() -> None:
        Fleet("fleet", spec=load_spec(CONFIGS["smallest"]), stack="test", project=ROOT)

    run = run_program(program)
    assert "fleet" in run.of_type("paddock:kubernetes:KubernetesFleet")


def test_what_comes_before_what() -> None:
    order = [group.name for group in fleet_groups(planned(CONFIGS["karpenter on AWS"]))]
    assert order == ["namespace", "gpu-pool-llm-serving-main", "monitoring", "valkey", "model-llama", "router"]
    kinds = {group.name: [one["kind"] for one in group.manifests] for group in fleet_groups(planned(CONFIGS["shared"]))}
    model = kinds["model-m"]
    assert model.index("PersistentVolumeClaim") < model.index("Job") < model.index("Deployment")
    assert model.index("Deployment") < model.index("HorizontalPodAutoscaler") < model.index("Service")
    assert kinds["namespace"][0] == "Namespace"
    assert kinds["router"].index("ConfigMap") < kinds["router"].index("Deployment")


def requests_of(run: Run) -> dict[str, Any]:
    """The engine's messages by "Kind name", for the objects of the cluster."""
    return {
        f"{one.type.rpartition(':')[2]} {one.name}": one for one in run.requests if one.type.startswith("kubernetes:")
    }


def all_before(requests: dict[str, Any], name: str) -> set[str]:
    """Everything that a resource waits for, straight or by way of others."""
    known = {f"{one.type}::{one.name}": key for key, one in requests.items()}
    found: set[str] = set()
    open_ones = [name]
    while open_ones:
        for urn in requests[open_ones.pop()].dependencies:
            key = next((key for ending, key in known.items() if urn.endswith(ending)), None)
            if key is not None and key not in found:
                found.add(key)
                open_ones.append(key)
    return found


def test_each_thing_waits_for_what_it_needs() -> None:
    requests = requests_of(register(CONFIGS["karpenter on AWS"]))
    workload = next(name for name in requests if name.startswith("StatefulSet llama-"))
    scaler = next(name for name in requests if name.startswith("HorizontalPodAutoscaler llama-"))
    assert {"Namespace namespace-llm-serving", "NodePool gpu-pools-llm-serving-main"} <= all_before(requests, workload)
    assert workload in all_before(requests, scaler)
    for service in ("Service llama", "Service llama-endpoints"):
        assert {workload, scaler} <= all_before(requests, service), "a Service turns to pods that are there"
        assert service in all_before(requests, "Deployment router")
    assert "ConfigMap router-fleet-contract" in all_before(requests, "Deployment router")
    assert "EC2NodeClass gpu-pools-llm-serving-main" in all_before(requests, "NodePool gpu-pools-llm-serving-main")
    assert "Deployment router" not in all_before(requests, workload)


def test_models_do_not_wait_for_each_other() -> None:
    requests = requests_of(register(CONFIGS["prod"]))
    for name in requests:
        if name.startswith("StatefulSet llama-"):
            assert not any("mistral" in other for other in all_before(requests, name))


def test_loading_may_take_its_time_and_made_up_secrets_are_kept() -> None:
    requests = requests_of(register({**CONFIGS["shared"], "kubernetes": {"loadTimeoutSeconds": 7200}}))
    for name, one in requests.items():
        if name.startswith(("Deployment m-", "Job m-")):
            seconds = int(one.customTimeouts.create.removesuffix("s"))
            assert seconds > 7200
            assert one.customTimeouts.update == one.customTimeouts.create
        if name.startswith("Secret "):
            assert "stringData" in one.ignoreChanges
            assert "stringData" in one.additionalSecretOutputs


def test_every_object_goes_through_the_fleets_own_provider_of_a_known_version() -> None:
    run = register(CONFIGS["web ui and ingress"])
    providers = {one.provider for one in run.requests if one.type.startswith("kubernetes:")}
    assert len(providers) == 1
    assert "fleet-cluster" in providers.pop()
    versions = {one.version for one in run.requests if "kubernetes" in one.type and one.custom}
    assert len(versions) == 1
    assert versions.pop().startswith("4.")
    provider = next(one for one in run.resources if one.type == "pulumi:providers:kubernetes")
    assert provider.inputs["enableConfigMapMutable"] == "true"
