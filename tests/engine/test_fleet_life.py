"""A local fleet's whole life on the real engine, driven by the real command: up, change, crash, refresh, down."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
from collections.abc import Callable

import psutil
import pytest

from components.local.processes import is_alive
from tests.engine.checkout import Checkout, wait_until
from tests.gguf_maker import write_gguf

pytestmark = pytest.mark.engine
CLEAN_END_SECONDS = 60


def test_up_change_crash_refresh_up_destroy(checkout: Checkout) -> None:
    first = checkout.up()
    assert first["changes"] == {"created": 6}
    assert "Tokyo" in first["answer"]["text"]
    assert first["fleet"] == checkout.json("outputs")
    pids = checkout.pids()
    assert set(pids) == {"assistant-0", "router"}

    # Unchanged: nothing is touched, and it says so.
    again = checkout.paddock("up", "--yes")
    assert "nothing changed" in again.stderr
    assert checkout.pids() == pids

    # One model changes: its process alone is restarted, on the same port.
    checkout.write(models={"assistant": {"model": "gemma3:270m", "contextLength": 1024}})
    port = checkout.records()["assistant-0"].port
    assert checkout.up()["changes"] == {"updated": 2}  # the process, and the contract that tells its context
    assert checkout.records()["assistant-0"].port == port
    assert checkout.pids()["assistant-0"] != pids["assistant-0"]
    assert checkout.pids()["router"] == pids["router"]
    assert checkout.json("outputs")["models"]["assistant"]["contextLength"] == 1024

    # The whole supervisor dies: refresh sees it, up brings it back.
    record = checkout.records()["assistant-0"]
    os.kill(record.supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(record))
    assert checkout.json("status", exit_code=1)["healthy"] is False
    assert checkout.json("refresh")["changes"] == {"differs": 1}
    assert checkout.up()["changes"] == {"updated": 1}
    assert checkout.records()["assistant-0"].port == port
    assert checkout.json("status")["healthy"] is True

    # A reboot kills everything at once; a plain up repairs it without a refresh.
    for record in checkout.records().values():
        os.kill(record.supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(record) for record in checkout.records().values()))
    assert checkout.up()["changes"] == {"updated": 2}

    # Down: no process, no port.
    processes = [one for record in checkout.records().values() for one in (record.supervisor, record.child)]
    ports = [record.port for record in checkout.records().values()]
    checkout.paddock("destroy", "--yes")
    assert not any(process.is_alive for process in processes if process is not None)
    for used in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", used)) != 0
    assert "nothing" in checkout.paddock("destroy", "--yes").stdout


def test_a_model_is_added_and_another_removed_while_the_rest_goes_on(checkout: Checkout) -> None:
    checkout.up()
    pids = checkout.pids()
    checkout.write(
        models={
            "assistant": {"model": "gemma3:270m", "contextLength": 512},
            "second": {"model": "gemma3:270m", "contextLength": 512, "replicas": 2},
        }
    )
    assert checkout.up()["changes"] == {"created": 3, "updated": 1}
    assert {**checkout.pids(), **pids} == checkout.pids()
    answer = checkout.json("ask", "What is the capital of Japan?", "--model", "second")
    assert "Tokyo" in answer["text"]
    checkout.write()
    assert checkout.up()["changes"] == {"deleted": 3, "updated": 1}
    assert checkout.pids() == pids


def test_a_crash_is_restarted_without_anybodys_help(checkout: Checkout) -> None:
    checkout.up()
    before = checkout.records()["router"]
    assert before.child is not None
    os.kill(before.child.pid, signal.SIGKILL)
    wait_until(lambda: (now := checkout.records()["router"]).restarts == 1 and is_alive(now))
    wait_until(lambda: checkout.exit_code_of("ask", "What is the capital of Japan?") == 0)


def test_tracked_files_stay_as_they_were_and_the_passphrase_is_private(checkout: Checkout) -> None:
    before = {path.name: path.read_bytes() for path in checkout.directory.iterdir() if path.is_file()}
    checkout.up()
    checkout.paddock("destroy", "--yes")
    assert {path.name: path.read_bytes() for path in checkout.directory.iterdir() if path.is_file()} == before
    passphrase = checkout.directory / ".paddock" / "passphrase"
    assert passphrase.stat().st_mode & 0o777 == 0o600
    assert (checkout.directory / ".paddock").stat().st_mode & 0o777 == 0o700


def test_ctrl_c_leaves_what_the_next_up_repairs(checkout: Checkout) -> None:
    process = checkout.start("up", "--yes")
    wait_until(lambda: "assistant-0" in checkout.records())
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=CLEAN_END_SECONDS)
    assert process.returncode == 130, stderr
    assert "repairs" in stderr
    assert not any(is_alive(record) for record in checkout.records().values())
    assert "Tokyo" in checkout.up()["answer"]["text"]


def test_a_killed_up_leaves_what_the_next_up_repairs(checkout: Checkout) -> None:
    process = checkout.start("up", "--yes")
    wait_until(lambda: "assistant-0" in checkout.records())
    # The command and the engine both vanish, as when the machine loses power.
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.kill()
    process.communicate(timeout=CLEAN_END_SECONDS)
    outcome = checkout.paddock("up", "--yes")
    assert "Tokyo" in outcome.stdout
    assert len({record.supervisor.pid for record in checkout.records().values()}) == 2


def test_a_server_that_cannot_start_shows_its_log_and_leaves_nothing(checkout: Checkout) -> None:
    # Its header is whole, and llama.cpp knows no such architecture.
    own = write_gguf(checkout.directory / "broken.gguf")
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    checkout.write(models={"assistant": {"model": "mine:1b", "weights": {"path": "broken.gguf", "sha256": digest}}})
    failed = checkout.paddock("up", "--yes", exit_code=1)
    assert "assistant-0" in failed.stderr
    assert "broken.gguf" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not any(is_alive(record) for record in checkout.records().values())
    checkout.write()
    assert "Tokyo" in checkout.up()["answer"]["text"]


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda c: c.write(modles={}), ["modles", "models", "nothing was touched"]),
        (lambda c: c.write(aliases={"default": "asistant"}), ["aliases.default", "'asistant'", "'assistant'"]),
        (lambda c: c.write(models={"a:b.c": "gemma3:270m", "a-b:c": "gemma3:270m"}, aliases={}), ["a-b-c", "rename"]),
        (lambda c: c.write(models={"assistant": "gemma3:270n"}), ["gemma3:270n", "gemma3:270m"]),
        (
            lambda c: c.write(models={"assistant": {"model": "m:1", "weights": {"path": "no", "sha256": "0" * 64}}}),
            ["models.assistant.weights.path", "there is no file"],
        ),
    ],
)
def test_a_broken_config_is_refused_before_anything_is_touched(
    checkout: Checkout, break_it: Callable[[Checkout], None], told: list[str]
) -> None:
    break_it(checkout)
    refused = checkout.paddock("up", "--yes", exit_code=2)
    for text in told:
        assert text in refused.stderr
    assert not (checkout.directory / ".paddock").exists()
    document = checkout.json("up", "--yes", exit_code=2)
    assert document["error"]["problems"]
    checkout.write()


def test_weights_that_fail_their_hash_are_not_served(checkout: Checkout) -> None:
    write_gguf(checkout.directory / "own.gguf")
    own = {"path": "own.gguf", "sha256": "0" * 64}
    checkout.write(models={"assistant": {"model": "mine:1b", "weights": own}})
    refused = checkout.paddock("up", "--yes", exit_code=2)
    assert "models.assistant.weights.sha256" in refused.stderr
    assert "0" * 64 in refused.stderr
    assert "own.gguf" in refused.stderr
    assert checkout.records() == {}
    checkout.write()


def test_a_port_in_use_is_named_with_its_holder(checkout: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", checkout.router_port))
        taken.listen()
        refused = checkout.paddock("up", "--yes", exit_code=2)
    assert "router.port" in refused.stderr
    assert str(checkout.router_port) in refused.stderr
    assert str(os.getpid()) in refused.stderr


def test_a_corrupt_state_is_named_with_the_way_back(checkout: Checkout) -> None:
    checkout.up()
    state = checkout.directory / ".paddock" / "state" / ".pulumi" / "stacks" / "paddock" / "dev.json"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    for command in (("up", "--yes"), ("outputs",), ("destroy", "--yes")):
        refused = checkout.paddock(*command, exit_code=2)
        assert str(state) in refused.stderr
        assert "fix" in refused.stderr
    state.write_bytes(whole)


def test_a_corrupt_record_is_set_aside_and_the_fleet_comes_back(checkout: Checkout) -> None:
    checkout.up()
    record = checkout.records()["router"]
    path = record.directory / "record.json"
    path.write_text("{ not a record")
    assert checkout.json("status", exit_code=1)["healthy"] is False
    assert "Tokyo" in checkout.up()["answer"]["text"]
    assert list(record.directory.glob("record.json.corrupt-*"))
    assert not record.supervisor.is_alive
    lost = checkout.records()["router"]
    path.unlink()
    assert "Tokyo" in checkout.up()["answer"]["text"]
    assert not lost.supervisor.is_alive


def test_a_stack_that_does_not_exist_is_named_with_those_that_do(checkout: Checkout) -> None:
    for command in (("up", "--yes"), ("preview",), ("outputs",), ("ask", "hello")):
        refused = checkout.paddock(*command, "--stack", "staging", exit_code=2)
        assert "'staging'" in refused.stderr
        assert "dev" in refused.stderr


def test_outputs_of_a_stack_that_is_not_up(checkout: Checkout) -> None:
    refused = checkout.paddock("outputs", exit_code=2)
    assert "paddock up" in refused.stderr


def test_without_a_terminal_up_wants_to_be_told_yes(checkout: Checkout) -> None:
    assert "--yes" in checkout.paddock("up", exit_code=2).stderr
    assert checkout.records() == {}


def test_a_backend_elsewhere_is_used_where_the_environment_names_one(checkout: Checkout) -> None:
    elsewhere = checkout.directory.parent / "elsewhere"
    elsewhere.mkdir()
    checkout.environment["PULUMI_BACKEND_URL"] = elsewhere.as_uri()
    fleet = checkout.up()["fleet"]
    assert list(elsewhere.rglob("dev.json"))
    assert not (checkout.directory / ".paddock" / "state").exists()
    assert checkout.json("outputs") == fleet
    assert checkout.up()["changes"] == {}


def test_preview_touches_nothing(checkout: Checkout) -> None:
    assert checkout.json("preview")["changes"] == {"created": 6}
    assert checkout.records() == {}
    assert not (checkout.directory / ".paddock" / "dev" / "fleet.json").exists()


def test_a_fleet_whose_state_was_removed_by_hand_is_found_again(checkout: Checkout) -> None:
    checkout.up()
    lost = [record.supervisor for record in checkout.records().values()]
    shutil.rmtree(checkout.directory / ".paddock")

    checkout.up()
    assert not any(process.is_alive for process in lost), "the next `up` takes the ports back"

    lost = [record.supervisor for record in checkout.records().values()]
    shutil.rmtree(checkout.directory / ".paddock")
    assert checkout.json("destroy", "--yes")["changes"] == {"stopped": len(lost)}
    assert not any(process.is_alive for process in lost)
    assert checkout.json("destroy", "--yes")["changes"] == {}
