"""How a terminal reaches a stack's router: the address, the key, and what is said where there is no way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.authorization import KEY_VARIABLE
from agent_runtime.chat_client import ChatClient, RouterUnreachableError
from agent_runtime.finding import ROUTER_URL_VARIABLE
from cli import router_access
from cli.commands import env, outputs, status, up
from cli.engine.operations import Outcome
from cli.project import Project
from cli.router_access import chat_client, how_to_reach, router_url, stack_key
from components.local.paths import default_key_path
from fleet_spec.contract import FleetContract, ModelEndpoints, RouterAddresses
from fleet_spec.errors import BadInputError
from fleet_spec.keys import new_key
from fleet_spec.loading import load_spec

pytestmark = pytest.mark.unit
SPEC = load_spec({"models": {"assistant": "gemma3:270m"}})
INSIDE = "http://router.llm-serving.svc.cluster.local"
OUTSIDE = "https://llm.example.com"
FORWARD = "kubectl --namespace llm-serving port-forward service/router 8080:80"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY_VARIABLE, ROUTER_URL_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def contract(url: str = "http://127.0.0.1:8080", outside: str | None = None) -> FleetContract:
    return FleetContract(
        stack="test",
        target="local" if "127.0.0.1" in url else "kubernetes",
        router=RouterAddresses.at(url, outside),
        models={"m": ModelEndpoints(model="gemma3:270m", engine="ollama", context_length=2048)},
    )


def test_the_address_is_the_nearest_that_answers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert router_url(contract()) == "http://127.0.0.1:8080"
    assert router_url(contract(INSIDE, OUTSIDE)) == OUTSIDE
    assert router_url(contract(INSIDE)) is None
    monkeypatch.setenv("PADDOCK_ROUTER_URL", "http://127.0.0.1:9999/v1/")
    for one in (contract(), contract(INSIDE), contract(INSIDE, OUTSIDE)):
        assert router_url(one) == "http://127.0.0.1:9999"


def test_without_a_way_in_the_way_through_kubectl_is_told() -> None:
    assert how_to_reach(contract(INSIDE)) == [FORWARD, "export PADDOCK_ROUTER_URL=http://127.0.0.1:8080"]
    with pytest.raises(BadInputError, match="port-forward"):
        chat_client(contract(INSIDE))


def test_the_key_is_this_machines_own_file_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    path = default_key_path(tmp_path, "test")
    path.parent.mkdir(parents=True)
    path.write_text(f"{key}\n", encoding="utf-8")
    monkeypatch.setattr(router_access, "read_secret_outputs", lambda *_: pytest.fail("the engine takes its time"))
    assert stack_key(Project(tmp_path), contract()) == key


@pytest.mark.parametrize(
    ("found", "expected"), [({"fleetSecrets": {"router": "k"}}, "k"), ({"fleetSecrets": {}}, None)]
)
def test_else_the_engine_opens_the_secret_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], expected: str | None
) -> None:
    monkeypatch.setattr(router_access, "read_secret_outputs", lambda *_: found)
    for one in (contract(), contract(INSIDE, OUTSIDE)):
        assert stack_key(Project(tmp_path), one) == expected


def test_a_key_of_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(router_access, "ChatClient", lambda url, **options: given.update(options, url=url))
    monkeypatch.setenv("PADDOCK_API_KEY", "mine")
    chat_client(contract(INSIDE, OUTSIDE))
    assert (given["url"], given["api_key"], given["through_proxies"]) == (f"{OUTSIDE}/v1", "mine", True)
    monkeypatch.delenv("PADDOCK_API_KEY")
    chat_client(contract())
    assert (given["api_key"], given["through_proxies"]) == (None, False)


# -- up, status, env, outputs ----------------------------------------------------------------------------


class Operator:
    """An engine that has brought up what it was asked to."""

    def __init__(self, made: FleetContract) -> None:
        self._made = made

    def up(self) -> Outcome:
        return Outcome({"created": 3}, 1.0)

    def outputs(self) -> dict[str, Any]:
        return {"fleet": self._made.to_mapping()}


@pytest.fixture
def brought_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def bring(made: FleetContract, *, as_json: bool = False) -> None:
        monkeypatch.setattr(up, "find_project", lambda: Project(tmp_path))
        monkeypatch.setattr(up, "check_stack", lambda project, stack: SPEC)
        monkeypatch.setattr(up, "open_stack", lambda project, stack, create: Operator(made))
        up.run("test", yes=True, as_json=as_json)

    return bring


def test_up_of_a_cluster_with_no_way_in_tells_how_to_reach_it(
    brought_up: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    brought_up(contract(INSIDE))
    told = capsys.readouterr().out
    assert f"next: {FORWARD}" in told
    assert "OPENAI_BASE_URL" not in told, "nothing answers there"
    brought_up(contract(INSIDE), as_json=True)
    assert json.loads(capsys.readouterr().out)["answer"] is None


def test_up_of_a_cluster_asks_from_outside(brought_up: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    done = b'data: {"choices": [{"delta": {"content": "Tokyo."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=done)

    monkeypatch.setattr(
        router_access, "ChatClient", lambda url, **_: ChatClient(url, transport=httpx.MockTransport(answer))
    )
    brought_up(contract(INSIDE, OUTSIDE), as_json=True)
    assert json.loads(capsys.readouterr().out)["answer"]["text"] == "Tokyo."
    assert asked == [f"{OUTSIDE}/v1/chat/completions"]


@pytest.mark.parametrize(("url", "fails"), [(INSIDE, False), ("http://127.0.0.1:8080", True)])
def test_a_name_that_is_not_known_outside_yet_is_no_failure_of_the_fleet(
    brought_up: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, url: str, fails: bool
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no such name")

    monkeypatch.setattr(
        router_access, "ChatClient", lambda url, **_: ChatClient(url, transport=httpx.MockTransport(refuse))
    )
    monkeypatch.setattr(up.time, "sleep", lambda _: None)
    if fails:
        with pytest.raises(RouterUnreachableError):
            brought_up(contract(url))
    else:
        brought_up(contract(url, OUTSIDE))
        assert "does not answer here yet" in capsys.readouterr().err


def test_status_of_a_cluster_looks_at_what_is_reached_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(client: httpx.Client, name: str, url: str, path: str) -> status.Probe:
        asked.append(f"{url}{path}")
        return status.Probe(name, url, healthy=True, detail="")

    monkeypatch.setattr(status, "_probe", answer)
    status.probe_fleet(contract(INSIDE, OUTSIDE))
    assert asked == [f"{OUTSIDE}/readyz"]
    monkeypatch.setattr(status, "read_contract", lambda stack: contract(INSIDE))
    with pytest.raises(BadInputError, match="port-forward"):
        status.run("test", as_json=False)


def test_secrets_are_printed_where_they_are_asked_for_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    key = new_key()
    for module in (env, outputs):
        monkeypatch.setattr(module, "find_project", lambda: Project(tmp_path))
    monkeypatch.setattr(env, "prepare_workspace", lambda project, stack: tmp_path)
    monkeypatch.setattr(env, "engine_environment", lambda project, backend: {"A": "b"})
    monkeypatch.setattr(env, "read_contract", lambda stack: contract())
    monkeypatch.setattr(env, "stack_key", lambda project, made: key)
    shown = {"fleet": contract().to_mapping(), "fleetSecrets": {"router": key}}
    monkeypatch.setattr(outputs, "read_outputs", lambda project, stack: {**shown, "fleetSecrets": "[secret]"})
    monkeypatch.setattr(outputs, "read_secret_outputs", lambda project, stack: shown)

    env.run("test", show_secrets=False)
    for everything in (False, True):
        outputs.run("test", as_json=True, everything=everything, show_secrets=False)
    assert key not in "".join(capsys.readouterr())

    env.run("test", show_secrets=True)
    assert f"export PADDOCK_API_KEY={key}\n" in capsys.readouterr().out
    outputs.run("test", as_json=True, everything=False, show_secrets=True)
    assert json.loads(capsys.readouterr().out)["fleetSecrets"] == {"router": key}

    monkeypatch.setattr(env, "stack_key", lambda project, made: None)
    with pytest.raises(BadInputError, match="made no key"):
        env.run("test", show_secrets=True)
