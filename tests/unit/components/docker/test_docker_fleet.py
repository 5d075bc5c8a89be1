"""What the Docker target registers: by the provider's own types, in order, with its secrets kept."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import pulumi
import pytest

from components.docker.fleet import DockerFleet
from components.docker.resources import ATTEMPT_LABEL
from components.docker.service import Service
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from fleet_spec.keys import looks_like_key
from fleet_spec.loading import load_spec
from tests.mock_engine import BUILT_IMAGE, run_program
from tests.standins.kubernetes_properties import SECRET, SIGNATURE
from tests.unit.components.docker.configurations import (
    API_KEY,
    CONFIGURATIONS,
    ROOT,
    TOKEN,
    contract_text,
    described,
    fleet,
)
from tests.unit.components.docker.recording import CONTAINER, REMOTE_IMAGE, VOLUME, behind, inputs, recorded, register
from tests.unit.components.docker.sdk_types import ARGUMENTS, problems

pytestmark = pytest.mark.unit

BUILD = {"registry": "registry.example.com", "repository": "team/paddock", "tag": "1"}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("preview", [False, True])
def test_every_input_is_one_that_the_provider_takes(name: str, preview: bool) -> None:
    run = recorded(name, preview=preview)
    docker = [one for one in run.resources if one.type.startswith("docker:")]
    assert {one.type for one in docker} == ARGUMENTS.keys()
    for one in docker:
        given = inputs(run, one.type)[one.name]
        if preview and one.type == CONTAINER:
            given["image"] = "known only when the image is there"
        assert list(problems(ARGUMENTS[one.type], given)) == [], one.name


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_resource_is_registered_twice(name: str) -> None:
    run = recorded(name)
    counts = Counter((one.type, one.name) for one in run.resources)
    assert max(counts.values()) == 1


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_contract_is_known_before_anything_is_made(name: str) -> None:
    run = recorded(name)
    contract = FleetContract.from_mapping(run.outputs["fleet"])
    assert contract.to_json() == contract_text(name)
    assert contract.target == "docker"
    published = inputs(run, CONTAINER)["router"]["ports"][0]
    assert str(published["external"]) in contract.router.url
    # Servers are found by the names that their containers have in the fleet's network.
    aliases = {
        alias
        for one in inputs(run, CONTAINER).values()
        for network in one.get("networksAdvanced", [])
        for alias in network["aliases"]
    }
    hosts = {endpoint.url.split("//")[1].split(":")[0] for m in contract.models.values() for endpoint in m.endpoints}
    assert hosts <= aliases


def test_only_the_router_and_the_page_are_published_and_only_on_loopback() -> None:
    containers = inputs(recorded("web ui"), CONTAINER)
    published = {
        name: [(p["ip"], p["external"]) for p in one["ports"]] for name, one in containers.items() if "ports" in one
    }
    assert published == {"router": [("127.0.0.1", 8080)], "web-ui": [("127.0.0.1", 3300)]}
    servers = containers["assistant-0"]["networksAdvanced"]
    assert [network["name"] for network in servers] == ["paddock-test-inner"]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_server_runs_as_root_or_keeps_a_right(name: str) -> None:
    for container, one in inputs(recorded(name), CONTAINER).items():
        assert one["capabilities"]["drops"] == ["ALL"]
        assert one["securityOpts"] == ["no-new-privileges:true"]
        assert "privileged" not in one
        if container in ("setup", "publish"):
            # They give files to the fleet's user, and reach nothing else.
            assert (one["user"], one["networkMode"]) == ("0:0", "none")
            assert one["capabilities"]["adds"] == ["CAP_CHOWN", "CAP_DAC_OVERRIDE"]
        else:
            assert (one["user"], one["readOnly"]) == ("1000:1000", True)
            assert "adds" not in one["capabilities"]


def test_replicas_come_one_behind_the_other_and_the_router_behind_all() -> None:
    order = behind(recorded("replicas"))
    short = {
        name.removeprefix("paddock-test-"): {o.removeprefix("paddock-test-") for o in others}
        for name, others in order.items()
    }
    assert short == {
        "setup": set(),
        "assistant-load": {"setup"},
        "assistant-0": {"assistant-load"},
        "assistant-1": {"assistant-0"},
        "assistant-2": {"assistant-1"},
        "publish": {"assistant-0", "assistant-1", "assistant-2"},
        "router": {"publish"},
    }


def test_each_replica_has_gpus_of_its_own() -> None:
    containers = inputs(recorded("nvidia"), CONTAINER)
    seen = {name: one["deviceRequests"][0]["deviceIds"] for name, one in containers.items() if "deviceRequests" in one}
    assert seen == {"llama-0": ["0"], "llama-1": ["1"], "code-0": ["2", "3"]}


def test_a_change_of_the_contract_replaces_nothing_but_what_carries_it() -> None:
    before = inputs(recorded("cpu"), CONTAINER)
    after = inputs(register(fleet(budget={"monthlyUsd": 5})), CONTAINER)
    changed = {name for name, one in after.items() if _without_keys(one) != _without_keys(before[name])}
    assert changed == {"publish"}


def _without_keys(one: dict[str, Any]) -> dict[str, Any]:
    """Keys are made anew in each run of the mocks."""
    uploads = [upload for upload in one.get("uploads", []) if not upload["file"].startswith("/run/secrets/")]
    return {**one, "uploads": uploads}


def test_what_merely_waits_for_a_container_takes_no_input_from_it() -> None:
    """Else the engine would replace it together with what it waits for."""
    run = recorded("web ui")
    for request in run.requests:
        if request.type == CONTAINER:
            sources = [urn for one in request.propertyDependencies.values() for urn in one.urns]
            assert not any(f"{CONTAINER}::" in urn for urn in sources), request.name


def test_secrets_are_secret_to_the_last_resource() -> None:
    raw = fleet(
        tiers=CONFIGURATIONS["tiers"]["tiers"],
        webUi={"enabled": True},
        docker={"huggingFaceToken": TOKEN},
    )
    run = register(raw)
    key = run.outputs["fleetSecrets"]["router"]
    assert looks_like_key(key)
    assert run.secret_outputs == {"fleetSecrets"}
    for one in run.resources:
        if one.type == "paddock:keys:RandomKey":
            continue
        shown = json.dumps(_hidden(one.inputs))
        for secret in (key, API_KEY, TOKEN):
            assert secret not in shown, one.name
    placed = {upload["file"]: upload["content"] for upload in inputs(run, CONTAINER)["publish"]["uploads"]}
    assert placed["/run/secrets/router-key"] == key
    assert placed["/run/secrets/tier-commercial"] == API_KEY
    assert inputs(run, CONTAINER)["setup"]["uploads"][0]["content"] == TOKEN


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return "[secret]" if value.get(SIGNATURE) == SECRET else {name: _hidden(one) for name, one in value.items()}
    return [_hidden(one) for one in value] if isinstance(value, list) else value


def test_an_image_is_known_by_its_id() -> None:
    """So that a tag that moved is seen at the next refresh."""
    run = recorded("cpu")
    images = inputs(run, REMOTE_IMAGE)
    assert {one["name"] for one in images.values()} == {one.image for one in described("cpu").containers}
    assert all(one["keepLocally"] for one in images.values())
    assert {one["image"] for one in inputs(run, CONTAINER).values()} == {f"{name}-image-id" for name in images}


def test_the_stack_can_build_the_routers_image() -> None:
    run = register(fleet(router={"build": BUILD}))
    assert BUILT_IMAGE in {one["name"] for one in inputs(run, REMOTE_IMAGE).values()}
    kept = register(fleet(router={"build": {**BUILD, "push": False}}))
    own = next(one for one in inputs(kept, REMOTE_IMAGE).values() if "triggers" in one)
    assert own["name"] == "registry.example.com/team/paddock:1"


def test_production_keeps_what_cannot_be_fetched_again() -> None:
    run = register(fleet(protect=True, webUi={"enabled": True}))
    kept = {request.name for request in run.requests if request.type == VOLUME and request.protect}
    assert kept == {"volume-router-data", "volume-web-ui-data"}


def test_a_one_shot_that_failed_is_made_anew() -> None:
    run = register(fleet(), failed={"assistant-load": "0123456789ab"})
    containers = inputs(run, CONTAINER)
    assert {"label": ATTEMPT_LABEL, "value": "0123456789ab"} in containers["assistant-load"]["labels"]
    assert ATTEMPT_LABEL not in json.dumps(containers["assistant-0"])


def test_a_one_shot_that_fails_stops_what_waits_for_it_and_says_why() -> None:
    plan = described("cpu")
    loader, server = plan.containers[1], plan.containers[2]

    def program() -> None:
        Service(
            "model",
            fleet=plan,
            containers=[loader, server],
            images={one.image: "id" for one in plan.containers},
            contents={},
            before={"setup": []},
            depends_on=[],
            failed={},
        )

    with pytest.raises(
        pulumi.RunError, match=r"paddock-test-assistant-load ended with 1:\n    pulling\n    no such model"
    ):
        run_program(program, container_exit=(1, "pulling\nno such model\n"))


def test_without_the_package_there_is_a_word_of_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pulumi_docker", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    def program() -> None:
        DockerFleet("fleet", spec=load_spec(fleet()), stack="test", project=ROOT, opts=pulumi.ResourceOptions())

    with pytest.raises(BadInputError, match=r"pip install 'paddock\[docker\]'"):
        run_program(program)
