"""What holds the removal of old servers back: seen with the status that the router itself gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agent_runtime.following import lag, main, wait
from agent_runtime.router.catalogue import readiness
from agent_runtime.router.fleet_state import FleetState
from components.kubernetes.contract import build_contract
from components.kubernetes.manifests.following import follow_job
from components.kubernetes.model import KubernetesPlan
from fleet_spec.contract import FleetContract
from tests.unit.kubernetes.configurations import fleet, planned

pytestmark = pytest.mark.unit


def plan_of(model: str, **aliases: str) -> KubernetesPlan:
    return planned(fleet(models={"chat": {"model": model}}, aliases=aliases))


OLD, NEW = plan_of("llama3.1:8b"), plan_of("mistral:7b")


def hosts(plan: KubernetesPlan) -> dict[str, str]:
    return {model.name: plan.service_host(model.endpoints_service) for model in plan.models}


def status(plan: KubernetesPlan) -> dict[str, Any]:
    """What a router says under /readyz that has this plan's contract."""
    state = FleetState()
    contract = build_contract(plan).to_mapping()
    for model in contract["models"].values():
        model["endpoints"] = [{**one, "discover": False} for one in model["endpoints"]]
    state.apply(FleetContract.from_mapping(contract))
    return readiness(state, problem=None, draining=False)[1]


def nowhere(host: str) -> set[str]:
    return set()


def test_a_replica_follows_the_contract_that_it_has_and_no_other() -> None:
    assert lag(status(NEW), hosts(NEW), [], nowhere) is None
    behind = lag(status(OLD), hosts(NEW), [], nowhere)
    assert behind is not None
    assert hosts(OLD)["chat"] in behind


def test_a_replica_may_show_the_addresses_in_the_place_of_the_name() -> None:
    found = {"models": {"chat": {"endpoints": {"http://10.0.0.7:11434": "up"}}}}
    assert lag(found, {"chat": "chat-new"}, [], lambda host: {"10.0.0.7", "10.0.0.8"}) is None
    assert "10.0.0.7" in (lag(found, {"chat": "chat-new"}, [], lambda host: {"10.0.0.9"}) or "")


def test_a_model_that_sleeps_has_no_address_to_be_wrong() -> None:
    assert lag({"models": {"chat": {"endpoints": {}}}}, {"chat": "chat-new"}, [], nowhere) is None


def test_a_model_that_is_gone_or_not_there_yet_is_told() -> None:
    assert "still has chat" in (lag(status(OLD), {}, [], nowhere) or "")
    assert lag(status(OLD), {}, ["chat"], nowhere) is None, "the name of an alias now"
    assert "does not have" in (lag({"models": {}}, {"chat": "chat-new"}, [], nowhere) or "")


def test_it_waits_for_the_last_replica_and_looks_twice() -> None:
    asked: list[str] = []

    def fetch(url: str) -> object:
        asked.append(url)
        return status(OLD if len(asked) < 4 and "10.0.0.2" in url else NEW)

    missing = wait(
        "router", 8080, hosts(NEW), [], resolve=lambda _: {"10.0.0.1", "10.0.0.2"}, fetch=fetch, poll_seconds=0
    )
    assert missing is None
    assert asked.count("http://10.0.0.2:8080/readyz") == 3, "behind, then right twice"


@pytest.mark.parametrize("answer", [OSError("refused"), ValueError("no JSON")])
def test_a_replica_that_does_not_answer_is_told_at_the_end_of_the_time(answer: Exception) -> None:
    def fetch(url: str) -> object:
        raise answer

    missing = wait("r", 1, {}, [], resolve=lambda _: {"fd00::1"}, fetch=fetch, poll_seconds=0, timeout_seconds=0)
    assert missing is not None
    assert "fd00::1 does not answer" in missing
    assert "no address" in (wait("r", 1, {}, [], resolve=nowhere, poll_seconds=0, timeout_seconds=0) or "")


@pytest.fixture
def replica() -> Iterator[tuple[int, dict[str, Any]]]:
    """A server that answers as a router that is not ready, with a body that the test may change."""
    body = status(NEW)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, body
        server.shutdown()
        thread.join()


def test_the_jobs_own_command_line_works(
    replica: tuple[int, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    port, body = replica
    arguments: list[str] = follow_job(NEW)["spec"]["template"]["spec"]["containers"][0]["args"]
    here = [*arguments, "--router", "127.0.0.1", "--port", str(port)]  # the last of each counts
    assert main(here) == 0
    body["models"] = status(OLD)["models"]
    assert main([*here, "--timeout-seconds", "0"]) == 1
    assert "still asks" in capsys.readouterr().err


def test_a_job_is_another_where_names_or_addresses_are_others_and_the_same_where_they_are_not() -> None:
    def name(plan: KubernetesPlan) -> str:
        return follow_job(plan)["metadata"]["name"]

    assert len({name(OLD), name(NEW), name(plan_of("llama3.1:8b", default="chat"))}) == 3
    more_context = planned(fleet(models={"chat": {"model": "llama3.1:8b", "contextLength": 2048}}))
    assert name(more_context) == name(OLD)
