"""What the components register is what `render` writes, in an order in which it can be made."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import pulumi
import pytest

from components.fleet import Fleet
from components.kubernetes.fleet import KubernetesFleet
from components.kubernetes.groups import fleet_groups
from components.kubernetes.manifests.meta import Manifest, identity
from components.kubernetes.register import type_token
from components.kubernetes.rendering import render
from fleet_spec.contract import FleetContract
from fleet_spec.errors import SpecError
from fleet_spec.keys import looks_like_key
from fleet_spec.loading import load_spec
from fleet_spec.stack_file import read_stack_file
from tests.mock_engine import BUILT_IMAGE, Run, run_program
from tests.unit.kubernetes.configurations import CONFIGURATIONS, ROOT, fleet, manifests_of, planned
from tests.unit.kubernetes.schemas import problems

pytestmark = pytest.mark.unit

API_KEY = "not-" + "a-real-key"
CONFIGS = {"prod": read_stack_file(ROOT, "prod").raw, **CONFIGURATIONS}


def register(raw: dict[str, Any], *, preview: bool = False, stacks: dict[str, Any] | None = None) -> Run:
    def program() -> None:
        built = KubernetesFleet("fleet", spec=load_spec(raw), stack="test", project=ROOT)
        pulumi.export("fleet", built.contract.apply(FleetContract.to_mapping))
        pulumi.export("fleetSecrets", built.secrets)

    return run_program(program, preview=preview, stack="test", stacks=stacks)


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
    for key, one in registered.items():
        if key[0] in ("Deployment", "StatefulSet") and "replicas" not in rendered[key]["spec"]:
            # With how many it starts is told to the engine alone, which forgets it: `kubectl apply` would not.
            assert one["spec"].pop("replicas") >= 1
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


def secret_entries(run: Run) -> dict[str, dict[str, str]]:
    """What is in each Secret that the stack makes, decoded."""
    found: dict[str, dict[str, str]] = {}
    for one in run.of_type("kubernetes:core/v1:Secret").values():
        data = one.inputs["data"]
        # The mocks show the engine's mark of a secret: a mapping with the mark, and the value beside it.
        assert set(data) > {"value"}, "a secret reaches the engine without its mark"
        assert not problems({**one.inputs, "data": data["value"]}, "1.37")
        found[one.inputs["metadata"]["name"]] = {
            key: base64.b64decode(value).decode() for key, value in data["value"].items()
        }
    return found


def test_secrets_are_made_up_marked_as_such_and_nowhere_in_plain_sight() -> None:
    run = register(CONFIGS["web ui and ingress"])
    entries = secret_entries(run)
    assert set(entries) == {"router-keys", "web-ui-secret", "valkey-password"}
    values = [value for entry in entries.values() for value in entry.values()]
    assert len(set(values)) == 3
    assert all(looks_like_key(value) for value in values)
    everything = json.dumps([one.inputs for one in run.resources if one.type != "kubernetes:core/v1:Secret"])
    for value in values:
        assert value not in everything
        assert base64.b64encode(value.encode()).decode() not in everything
        assert value not in json.dumps(run.outputs["fleet"])
    assert run.secret_outputs == {"fleetSecrets"}
    assert run.outputs["fleetSecrets"] == {"router": entries["router-keys"]["default"]}


def test_another_generation_is_another_key_of_the_router_alone() -> None:
    def generations(**router: Any) -> dict[str, float]:
        run = register(fleet(router={"image": "a/b:1", **router}))
        return {name: one.inputs["generation"] for name, one in run.of_type("paddock:keys:RandomKey").items()}

    assert set(generations().values()) == {1}
    changed = {name: number for name, number in generations(keyGeneration=2).items() if number != 1}
    assert changed == {"namespace-router-keys-value": 2}


@pytest.mark.parametrize("preview", [False, True])
def test_a_secret_of_your_own_is_named_and_not_made(preview: bool) -> None:
    raw = fleet(router={"image": "a/b:1", "keysSecret": {"name": "mine", "key": "k"}}, valkey={"mode": "none"})
    run = register(raw, preview=preview)
    assert not run.of_type("kubernetes:core/v1:Secret")
    assert run.outputs["fleetSecrets"] == {}
    assert key_sources(run) == [{"name": "mine", "items": [{"key": "k", "path": "default"}]}]


def key_sources(run: Run) -> list[dict[str, Any]]:
    """What the router's folder of secrets is put together from."""
    router = run.of_type("kubernetes:apps/v1:Deployment")["router"].inputs["spec"]["template"]["spec"]
    volume = next(one for one in router["volumes"] if one["name"] == "keys")
    return [one["secret"] for one in volume["projected"]["sources"]]


def test_the_tiers_keys_are_in_a_secret_that_the_router_alone_reads() -> None:
    raw = fleet(
        webUi={"enabled": True},
        tiers={
            "commercial": {"url": "https://api.example.com/v1", "apiKey": API_KEY, "models": {"llama": "m"}},
            "cloud": {"stack": "organization/paddock/gpu", "models": {"llama": "big"}},
        },
    )
    other = FleetContract.from_mapping(register(CONFIGS["web ui and ingress"]).outputs["fleet"])
    other = other.model_copy(update={"aliases": {"big": {"llama": 1.0}}})
    stacks = {"organization/paddock/gpu": {"fleet": other.to_mapping(), "fleetSecrets": {"router": "their-key"}}}
    run = register(raw, stacks=stacks)
    assert secret_entries(run)["tier-keys"] == {"tier-commercial": API_KEY, "tier-cloud": "their-key"}
    assert {one["name"] for one in key_sources(run)} == {"router-keys", "tier-keys"}
    found = FleetContract.from_mapping(json.loads(json.dumps(run.outputs["fleet"])))
    assert found.tiers["cloud"].models["llama"].endpoints[0].url == "https://llm.example.com"
    assert found.tiers["commercial"].secret == "tier-commercial"
    page = run.of_type("kubernetes:apps/v1:Deployment")["web-ui"].inputs
    assert "tier-keys" not in json.dumps(page)
    unknown = register(raw, preview=True)
    assert "router" in unknown.of_type("kubernetes:apps/v1:Deployment")
    with pytest.raises(SpecError, match=r"tiers\.cloud\.urls"):
        render(planned(raw))


@pytest.mark.parametrize("preview", [False, True])
def test_an_image_that_the_stack_builds_is_what_the_router_runs_from(preview: bool) -> None:
    built = {"registry": "registry.example.com", "repository": "llm/paddock", "tag": "1.0.0"}
    run = register(fleet(router={"build": built}), preview=preview)
    pod = run.of_type("kubernetes:apps/v1:Deployment")["router"].inputs["spec"]["template"]["spec"]
    image = pod["containers"][0]["image"]
    if preview:
        assert isinstance(image, pulumi.output.Unknown), "the digest is known once the image is built"
    else:
        assert image == BUILT_IMAGE
    assert len(run.of_type("docker-build:index:Image")) == 1
    rendered = next(one for one in manifests_of(planned(fleet(router={"build": built}))) if one["kind"] == "Deployment")
    assert rendered["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.com/llm/paddock:1.0.0"


def test_the_contract_is_the_stacks_output() -> None:
    contract = FleetContract.from_mapping(register(CONFIGS["prod"]).outputs["fleet"])
    assert contract.target == "kubernetes"
    assert contract.router.openai == "http://router.llm-serving.svc.cluster.local/v1"
    assert set(contract.models) == {"llama", "mistral", "codellama"}


def test_the_fleet_picks_the_target() -> None:
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
    endpoints = next(name for name in requests if name.startswith("Service llama-") and name.endswith("-endpoints"))
    for service in ("Service llama", endpoints):
        assert {workload, scaler} <= all_before(requests, service), "a Service turns to pods that are there"
        assert service in all_before(requests, "Deployment router")
    assert "ConfigMap router-fleet-contract" in all_before(requests, "Deployment router")
    assert "EC2NodeClass gpu-pools-llm-serving-main" in all_before(requests, "NodePool gpu-pools-llm-serving-main")
    assert "Deployment router" not in all_before(requests, workload)


def test_the_number_of_replicas_is_said_once_and_left_to_the_scaler_from_then_on() -> None:
    run = register(CONFIGS["hpa"])
    scaled = {name: one for name, one in requests_of(run).items() if name.startswith("StatefulSet llama-")}
    for name, one in scaled.items():
        assert list(one.ignoreChanges) == ["spec.replicas"]
        workload = run.of_type("kubernetes:apps/v1:StatefulSet")[name.partition(" ")[2]]
        assert workload.inputs["spec"]["replicas"] == 2
    assert scaled
    fixed = requests_of(register(CONFIGS["smallest"]))
    assert not any(list(one.ignoreChanges) for name, one in fixed.items() if name.startswith("StatefulSet llama-"))


def test_models_do_not_wait_for_each_other() -> None:
    requests = requests_of(register(CONFIGS["prod"]))
    for name in requests:
        if name.startswith("StatefulSet llama-"):
            assert not any("mistral" in other for other in all_before(requests, name))


def test_loading_may_take_its_time_and_secrets_stay_secret() -> None:
    requests = requests_of(register({**CONFIGS["shared"], "kubernetes": {"loadTimeoutSeconds": 7200}}))
    for name, one in requests.items():
        if name.startswith(("Deployment m-", "Job m-")):
            seconds = int(one.customTimeouts.create.removesuffix("s"))
            assert seconds > 7200
            assert one.customTimeouts.update == one.customTimeouts.create
        if name.startswith("Secret "):
            assert "data" in one.additionalSecretOutputs


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
