"""A port is chosen where nobody listens and nobody else was promised it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.local.ports import (
    NoPortError,
    choose_port,
    describe_holder,
    holders_of,
    host_problem,
    port_is_free,
    release_port,
    reserve_port,
)

pytestmark = pytest.mark.unit
HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def test_a_port_with_a_listener_is_not_free_and_its_holder_is_named(listener: int):
    import os

    assert not port_is_free(HOST, listener)
    assert not port_is_free("0.0.0.0", listener)
    assert port_is_free(HOST, free_port())
    assert holders_of(listener) == [os.getpid()]
    assert f"process {os.getpid()} (" in describe_holder(listener)
    assert Path(psutil.Process().cmdline()[0]).name in describe_holder(listener), "the command tells what it is"


def test_a_listener_on_all_addresses_holds_the_port_on_each():
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not port_is_free(HOST, server.getsockname()[1])


def test_a_host_that_is_not_this_machine_is_a_problem():
    assert host_problem(HOST) is None
    assert host_problem("0.0.0.0") is None
    assert host_problem("no such host") is not None


def test_a_held_port_is_passed_over(tmp_path: Path, listener: int):
    last = listener + 50
    chosen = choose_port(HOST, listener, last, tmp_path / "a")

    assert listener < chosen <= last


def test_what_one_process_was_promised_no_other_gets(tmp_path: Path):
    first = free_port()
    chosen = [choose_port(HOST, first, first + 50, tmp_path / name) for name in ("a", "b", "c")]

    assert len(set(chosen)) == 3


def test_a_process_keeps_its_port(tmp_path: Path):
    first = free_port()
    for name in ("a", "b"):
        choose_port(HOST, first, first + 50, tmp_path / name)
    again = choose_port(HOST, first, first + 50, tmp_path / "b")

    assert again == choose_port(HOST, first, first + 50, tmp_path / "b", preferred=again)


def test_a_preferred_port_may_lie_outside_the_range(tmp_path: Path):
    preferred = free_port()

    assert choose_port(HOST, 1, 2, tmp_path / "a", preferred=preferred) == preferred


def test_a_released_port_is_free_for_others(tmp_path: Path):
    port = free_port()
    reserve_port(port, tmp_path / "a")
    with pytest.raises(NoPortError, match=f"no port between {port} and {port} is free"):
        choose_port(HOST, port, port, tmp_path / "b")

    release_port(tmp_path / "a")

    assert choose_port(HOST, port, port, tmp_path / "b") == port


def test_a_promise_outlives_its_ten_minutes_only_with_a_record(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    port = free_port()
    reserve_port(port, tmp_path / "a")
    now = __import__("time").time()
    monkeypatch.setattr("components.local.ports.time.time", lambda: now + 601)

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "record.json").write_text("whatever it says")
    with pytest.raises(NoPortError):
        choose_port(HOST, port, port, tmp_path / "b")

    (tmp_path / "a" / "record.json").unlink()
    assert choose_port(HOST, port, port, tmp_path / "b") == port


def test_a_damaged_list_is_begun_anew(tmp_path: Path, cache: Path):
    cache.mkdir()
    for text in ("{", "[]", '{"18100": 5}', '{"x": {"directory": "a", "at": 1}}'):
        (cache / "ports.json").write_text(text)
        port = free_port()
        assert choose_port(HOST, port, port, tmp_path / "a") == port
