"""The provider plugin over its own protocol: the program is started and spoken to as the engine does."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from components.local.ports import port_is_free
from components.local.processes import find_supervisors, find_supervisors_below, is_alive, list_records, stop
from components.local.provider.protocol import UNKNOWN, properties_from_struct, struct_from_properties
from components.local.records import ProcessRecord, read_record
from tests.ports import free_port
from tests.runtime.local_servers import server_command, wait_for

pytestmark = pytest.mark.runtime

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from components.local.provider.main import main; sys.exit(main())"
NONE, SOME = provider_pb2.DiffResponse.DIFF_NONE, provider_pb2.DiffResponse.DIFF_SOME
Properties = dict[str, Any]


class Engine(engine_pb2_grpc.EngineServicer):
    """The engine's ear: keeps what the plugin says."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.said.append(request)
        return empty_pb2.Empty()

    def texts(self, *, ephemeral: bool) -> list[str]:
        return [one.message for one in self.said if one.ephemeral is ephemeral]


class Plugin:
    """The plugin as the engine sees it."""

    def __init__(self, engine_address: str, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, engine_address, "--tracing", "ignored"],
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env={**os.environ, "PADDOCK_CACHE": str(cache), "PULUMI_CONFIG_PASSPHRASE": "-".join(["pass", "phrase"])},
        )
        assert self.process.stdout is not None
        port = int(self.process.stdout.readline())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def end(self) -> int:
        """Interrupt it, as the engine does at the end. Returns its exit code."""
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait(timeout=30)


class Resource:
    """One resource of a stack: the calls that the engine makes for it, and the state that the engine keeps."""

    def __init__(self, plugin: Plugin, kind: str, name: str) -> None:
        self._stub: Any = plugin.stub
        self.urn = f"urn:pulumi:dev::fleet::paddock:local:ModelService$paddock:local:{kind}::{name}"
        self.id = ""
        self.inputs: Properties = {}
        self.state: Properties = {}

    def check(self, given: Properties) -> tuple[Properties, dict[str, str]]:
        request = provider_pb2.CheckRequest(
            urn=self.urn, news=struct_from_properties(given), olds=struct_from_properties(self.inputs)
        )
        reply = self._stub.Check(request)
        return properties_from_struct(reply.inputs), {one.property: one.reason for one in reply.failures}

    def create(self, given: Properties) -> Properties:
        inputs, failures = self.check(given)
        assert failures == {}
        reply = self._stub.Create(provider_pb2.CreateRequest(urn=self.urn, properties=struct_from_properties(inputs)))
        self.id, self.inputs, self.state = reply.id, inputs, properties_from_struct(reply.properties)
        return self.state

    def preview(self, given: Properties) -> Properties:
        inputs, _ = self.check(given)
        request = provider_pb2.CreateRequest(urn=self.urn, properties=struct_from_properties(inputs), preview=True)
        return properties_from_struct(self._stub.Create(request).properties)

    def diff(self, given: Properties) -> Any:
        inputs, _ = self.check(given)
        return self._stub.Diff(
            provider_pb2.DiffRequest(
                urn=self.urn,
                id=self.id,
                olds=struct_from_properties(self.state),
                old_inputs=struct_from_properties(self.inputs),
                news=struct_from_properties(inputs),
            )
        )

    def update(self, given: Properties) -> Properties:
        inputs, failures = self.check(given)
        assert failures == {}
        request = provider_pb2.UpdateRequest(
            urn=self.urn,
            id=self.id,
            olds=struct_from_properties(self.state),
            old_inputs=struct_from_properties(self.inputs),
            news=struct_from_properties(inputs),
        )
        reply = self._stub.Update(request)
        self.inputs, self.state = inputs, properties_from_struct(reply.properties)
        return self.state

    def refresh(self) -> str:
        request = provider_pb2.ReadRequest(
            urn=self.urn,
            id=self.id,
            properties=struct_from_properties(self.state),
            inputs=struct_from_properties(self.inputs),
        )
        reply = self._stub.Read(request)
        self.state = properties_from_struct(reply.properties)
        return reply.id

    def delete(self) -> None:
        self._stub.Delete(
            provider_pb2.DeleteRequest(urn=self.urn, id=self.id, properties=struct_from_properties(self.state))
        )


@pytest.fixture
def engine() -> Iterator[tuple[Engine, str]]:
    servicer = Engine()
    server = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


@pytest.fixture
def plugin(engine: tuple[Engine, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))
    plugin = Plugin(engine[1], tmp_path / "cache")
    yield plugin
    plugin.end()
    for record in list_records(tmp_path / "processes"):
        if isinstance(record, ProcessRecord):
            stop(record, timeout_seconds=0)


@pytest.fixture
def given(tmp_path: Path) -> Properties:
    first = free_port()
    return {
        "name": "tiny-0",
        "directory": str(tmp_path / "processes" / "tiny-0"),
        "command": server_command(),
        "environment": {"GREETING": "hello"},
        "portRangeStart": first,
        "portRangeEnd": min(first + 50, 65535),
        "startTimeoutSeconds": 20,
        "stopTimeoutSeconds": 2,
    }


def ask(state: Properties, path: str = "/") -> str:
    with suppress(OSError), urllib.request.urlopen(state["url"] + path, timeout=5) as reply:
        return reply.read().decode()
    return ""


def record_of(given: Properties) -> ProcessRecord:
    record = read_record(Path(given["directory"]))
    assert record is not None
    return record


def test_the_plugin_introduces_itself_and_ends_when_interrupted(plugin: Plugin):
    stub: Any = plugin.stub

    assert stub.GetPluginInfo(empty_pb2.Empty()).version
    assert stub.Handshake(provider_pb2.ProviderHandshakeRequest()) == provider_pb2.ProviderHandshakeResponse()
    configured = stub.Configure(provider_pb2.ConfigureRequest())
    assert configured.supportsPreview
    assert not configured.acceptSecrets, "so the engine itself marks what is secret"
    assert plugin.end() == 0


def test_a_process_lives_its_whole_life(plugin: Plugin, engine: tuple[Engine, str], given: Properties):
    process = Resource(plugin, "Process", "tiny-0")
    assert process.preview(given)["url"] == UNKNOWN

    state = process.create(given)
    port = state["port"]
    assert ask(state).startswith("hello ")
    assert state["url"] == f"http://127.0.0.1:{port}"
    assert state["running"] is True
    assert state["pid"] == record_of(given).supervisor.pid
    assert f"tiny-0 answers on {state['url']}" in engine[0].texts(ephemeral=True)
    assert all(one.urn == process.urn for one in engine[0].said)
    assert process.diff(given).changes == NONE

    changed = {**given, "environment": {"GREETING": "good day"}}
    difference = process.diff(changed)
    assert (difference.changes, list(difference.diffs), list(difference.replaces)) == (SOME, ["environment"], [])
    state = process.update(changed)
    assert ask(state).startswith("good day ")
    assert state["port"] == port, "chosen once, kept"

    assert process.refresh() == "tiny-0"
    assert process.state["running"] is True
    process.delete()
    process.delete()
    assert port_is_free("127.0.0.1", port)
    assert not Path(given["directory"]).exists()


def test_what_died_is_seen_and_brought_back(plugin: Plugin, engine: tuple[Engine, str], given: Properties):
    process = Resource(plugin, "Process", "tiny-0")
    port = process.create(given)["port"]
    record = record_of(given)
    os.kill(record.supervisor.pid, signal.SIGKILL)
    assert record.child is not None
    wait_for("its end", lambda: not is_alive(record))

    difference = process.diff(given)
    assert (difference.changes, list(difference.diffs)) == (SOME, ["running"]), "without a refresh"
    assert process.refresh() == "tiny-0", "a dead process stays in the state, with its port"
    assert (process.state["running"], process.state["port"]) == (False, port)
    assert "tiny-0 does not run. The next `paddock up` starts it." in engine[0].texts(ephemeral=False)

    assert process.update(given)["port"] == port
    assert process.diff(given).changes == NONE


def test_a_record_that_is_gone_keeps_the_port(plugin: Plugin, given: Properties):
    process = Resource(plugin, "Process", "tiny-0")
    port = process.create(given)["port"]
    stop(record_of(given), timeout_seconds=2)
    (Path(given["directory"]) / "record.json").unlink()

    process.refresh()

    assert process.state["running"] is False
    assert process.update(given)["port"] == port


def test_a_corrupt_record_is_set_aside_and_what_it_stood_for_replaced(
    plugin: Plugin, engine: tuple[Engine, str], given: Properties
):
    process = Resource(plugin, "Process", "tiny-0")
    port = process.create(given)["port"]
    before = record_of(given)
    path = Path(given["directory"]) / "record.json"
    path.write_text("{half a rec")

    assert list(process.diff(given).diffs) == ["running"]
    assert process.update(given)["port"] == port

    assert not before.supervisor.is_alive
    assert path.with_name("record.json.corrupt-1").read_text() == "{half a rec"
    assert any("record.json.corrupt-1" in text for text in engine[0].texts(ephemeral=False))
    assert find_supervisors(path.parent) == [record_of(given).supervisor]


def test_a_process_whose_folder_was_removed_by_hand_is_stopped_all_the_same(plugin: Plugin, given: Properties):
    process = Resource(plugin, "Process", "tiny-0")
    process.create(given)
    first = record_of(given)
    rmtree(given["directory"])

    process.update(given)
    second = record_of(given)
    assert not first.supervisor.is_alive
    rmtree(given["directory"])

    process.delete()
    assert not second.supervisor.is_alive
    assert find_supervisors_below(Path(given["directory"]).parent) == []


def test_what_an_interrupted_up_left_is_adopted_or_replaced(plugin: Plugin, given: Properties):
    """The engine was killed before it could write the state: the next `up` creates once more."""
    first = Resource(plugin, "Process", "tiny-0").create(given)
    assert first["pid"]

    again = Resource(plugin, "Process", "tiny-0").create(given)
    assert again == first, "adopted: it is what was asked for"

    changed = Resource(plugin, "Process", "tiny-0").create({**given, "restartKey": "2"})
    assert changed["pid"] != first["pid"]
    assert changed["port"] == first["port"]
    assert len(find_supervisors(Path(given["directory"]))) == 1


def test_two_processes_get_two_ports(plugin: Plugin, given: Properties, tmp_path: Path):
    def create(name: str) -> int:
        own = {**given, "name": name, "directory": str(tmp_path / "processes" / name)}
        return Resource(plugin, "Process", name).create(own)["port"]

    with ThreadPoolExecutor(4) as pool:
        ports = list(pool.map(create, [f"tiny-{number}" for number in range(4)]))

    assert len(set(ports)) == 4


def test_a_failed_create_is_told_plainly_and_leaves_nothing(plugin: Plugin, given: Properties):
    process = Resource(plugin, "Process", "tiny-0")

    with pytest.raises(grpc.RpcError) as caught:
        process.create({**given, "command": server_command("broken")})

    error: Any = caught.value
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, "the engine then keeps nothing in the state"
    assert "no such weights: tiny.gguf" in error.details()
    assert "Traceback" not in error.details()
    assert find_supervisors(Path(given["directory"])) == []


def test_a_failed_update_keeps_the_resource_and_says_how_it_is_repaired(plugin: Plugin, given: Properties):
    process = Resource(plugin, "Process", "tiny-0")
    port = process.create(given)["port"]

    with pytest.raises(grpc.RpcError) as caught:
        process.update({**given, "command": server_command("broken")})

    error: Any = caught.value
    assert "tiny-0 is stopped. The next `paddock up` tries again." in error.details()
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    partial = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(partial)
    kept = properties_from_struct(partial.properties)
    assert (partial.id, kept["running"], kept["port"]) == ("tiny-0", False, port)
    assert port_is_free("127.0.0.1", port)

    process.state = kept
    assert process.update(given)["port"] == port


def test_cancelling_stops_what_is_starting(plugin: Plugin, engine: tuple[Engine, str], given: Properties):
    errors: list[Any] = []

    def create() -> None:
        try:
            Resource(plugin, "Process", "tiny-0").create({**given, "command": server_command("silent")})
        except grpc.RpcError as error:
            errors.append(error)

    thread = threading.Thread(target=create)
    thread.start()
    wait_for("progress", lambda: any("waiting for tiny-0: " in text for text in engine[0].texts(ephemeral=True)))
    stub: Any = plugin.stub
    stub.Cancel(empty_pb2.Empty())
    thread.join(timeout=30)

    assert "cancelled while waiting for 'tiny-0'; it was stopped. The next `paddock up`" in errors[0].details()
    assert find_supervisors(Path(given["directory"])) == []


def test_a_plugin_that_is_interrupted_in_the_middle_leaves_nothing(
    plugin: Plugin, engine: tuple[Engine, str], given: Properties
):
    def create() -> None:
        with suppress(grpc.RpcError, ValueError):
            Resource(plugin, "Process", "tiny-0").create({**given, "command": server_command("silent")})

    thread = threading.Thread(target=create)
    thread.start()
    wait_for("progress", lambda: any("waiting for tiny-0: " in text for text in engine[0].texts(ephemeral=True)))
    plugin.process.send_signal(signal.SIGINT)
    plugin.process.wait(timeout=30)
    thread.join(timeout=30)

    assert find_supervisors(Path(given["directory"])) == []


def test_a_running_process_outlives_the_plugin(plugin: Plugin, given: Properties):
    state = Resource(plugin, "Process", "tiny-0").create(given)

    assert plugin.end() == 0

    assert is_alive(record_of(given))
    assert ask(state).startswith("hello ")


def test_a_port_that_a_stranger_took_is_exchanged_if_it_was_chosen_and_reported_if_it_was_given(
    plugin: Plugin, engine: tuple[Engine, str], given: Properties
):
    process = Resource(plugin, "Process", "tiny-0")
    port = process.create(given)["port"]
    stop(record_of(given), timeout_seconds=2)
    with socket.create_server(("127.0.0.1", port)):
        moved = process.update(given)

        assert moved["port"] != port
        assert any(f"port {port} is held by" in text for text in engine[0].texts(ephemeral=False))
        _, failures = process.check({**given, "port": port, "portKey": "router.port"})
        assert f"port {port} on 127.0.0.1 is held by" in failures["router.port"]
        assert str(os.getpid()) in failures["router.port"]


def test_another_folder_is_another_process_and_the_old_one_goes_first(
    plugin: Plugin, given: Properties, tmp_path: Path
):
    process = Resource(plugin, "Process", "tiny-0")
    process.create(given)

    difference = process.diff({**given, "name": "tiny-1", "directory": str(tmp_path / "processes" / "tiny-1")})

    assert list(difference.replaces) == ["directory", "name"]
    assert difference.deleteBeforeReplace


def test_files_travel_over_the_protocol_too(plugin: Plugin, tmp_path: Path):
    path = tmp_path / "fleet.json"
    file = Resource(plugin, "File", "contract")
    file.create({"path": str(path), "content": "ünïcode\n"})

    assert path.read_text() == "ünïcode\n"
    path.unlink()
    assert list(file.diff(file.inputs).diffs) == ["content"]
    file.delete()
    assert file.refresh() == "", "gone"


def test_an_unknown_type_is_named_with_those_there_are(plugin: Plugin):
    with pytest.raises(grpc.RpcError) as caught:
        Resource(plugin, "Nonsense", "a").check({})

    error: Any = caught.value
    assert error.details().startswith("paddock:local:Nonsense is no resource of this provider. It has: ")


def test_the_plugin_ends_when_its_engine_was_killed(tmp_path: Path):
    start_and_wait = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {PROGRAM!r}]).wait())"
    with subprocess.Popen([sys.executable, "-c", start_and_wait], stdout=subprocess.PIPE, cwd=PROJECT) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline().strip().isdigit(), "the plugin's port"
        children = psutil.Process(engine.pid).children()
        engine.kill()
        engine.wait()

        wait_for("the plugin's end", lambda: not any(child.is_running() for child in children))
        assert len(children) == 1
