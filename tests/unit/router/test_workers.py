"""Several processes on one port."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from agent_runtime.router.exposition import Family
from agent_runtime.router.workers import Seat
from tests.unit.router.rig import contract

pytestmark = pytest.mark.unit
PATIENCE_SECONDS = 30.0
_ENOUGH = 14
"""Questions of which one worker of two gets all once in eight thousand times."""


class Workers:
    """A router of several processes, and what it logs."""

    def __init__(self, directory: Path, *arguments: object) -> None:
        fleet = directory / "fleet.json"
        fleet.write_text(json.dumps(contract({"m": {"endpoints": []}})))
        self._log = directory / "router.log"
        with self._log.open("wb") as file:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "agent_runtime.router", "--fleet", str(fleet), *map(str, arguments)],
                stderr=file,
                stdout=subprocess.DEVNULL,
            )

    def events(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def url(self, workers: int) -> str:
        self.until(lambda: len(self.events("listening")) >= workers)
        ports = {line["port"] for line in self.events("listening")}
        assert len(ports) == 1
        return f"http://127.0.0.1:{ports.pop()}"

    def ids(self) -> list[int]:
        """The workers' process ids."""
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text()
        return [int(child) for child in children.split()]


@contextlib.contextmanager
def workers(directory: Path, *arguments: object) -> Iterator[Workers]:
    running = Workers(directory, *arguments)
    children: list[int] = []
    try:
        yield running
    finally:
        with contextlib.suppress(OSError):
            children = running.ids()
        running.parent.terminate()
        try:
            running.parent.wait(PATIENCE_SECONDS)
        finally:
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            running.parent.kill()
            running.parent.wait()


def requests_counted(url: str) -> int:
    text = httpx.get(f"{url}/metrics").text
    return sum(int(float(n)) for n in re.findall(r'^paddock_requests_total\{.*status="200".*\} (\S+)$', text, re.M))


def gone(process_id: int) -> bool:
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc, which only Linux has")
def test_workers_share_a_port_and_count_together_and_one_that_dies_is_replaced(tmp_path: Path) -> None:
    with workers(tmp_path, "--port", 0, "--workers", 2) as running:
        url = running.url(2)
        for _ in range(20):
            assert httpx.get(f"{url}/api/version").status_code == 200
        # Whichever worker is asked for metrics, it tells what all have counted. With so many questions all are asked.
        running.until(lambda: all(requests_counted(url) == 20 for _ in range(_ENOUGH)))

        first = running.ids()
        os.kill(first[0], signal.SIGKILL)
        running.until(lambda: len(running.events("listening")) == 3)
        assert running.events("worker_died")[0]["exit_code"] == -signal.SIGKILL
        # A counter that fell back would be taken for one that began anew and ran on.
        running.until(lambda: all(requests_counted(url) == 20 for _ in range(_ENOUGH)))

        running.parent.send_signal(signal.SIGTERM)
        assert running.parent.wait(PATIENCE_SECONDS) == 0
        assert len(running.events("stopped")) == 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc, which only Linux has")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with workers(tmp_path, "--port", 0, "--workers", 2) as running:
        running.url(2)
        children = running.ids()
        running.parent.kill()
        running.until(lambda: all(gone(child) for child in children))
        assert len(running.events("parent_gone")) == 2


def test_a_mistake_is_told_once_and_not_by_every_worker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "agent_runtime.router", "--workers", "3", "--port", str(port), "--fleet"]
        fleet = tmp_path / "fleet.json"
        fleet.write_text(json.dumps(contract({"m": {"endpoints": []}})))
        done = subprocess.run([*command, str(fleet)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.count(f"port {port}") == 1


@pytest.mark.parametrize("count", [0, -1, 65])
def test_a_number_of_workers_that_cannot_be(tmp_path: Path, count: int) -> None:
    command = [sys.executable, "-m", "agent_runtime.router", "--workers", str(count), "--fleet", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert f"--workers {count}" in done.stderr


def test_a_worker_that_takes_a_seat_goes_on_with_what_was_counted_there(tmp_path: Path) -> None:
    counted = Family("paddock_requests_total", "counter", "Requests.", [("", (("model", "m"),), 5)])
    open_now = Family("paddock_client_connections", "gauge", "Open.", [("", (), 3)])
    Seat.parse("0/2/1", tmp_path).tell([counted, open_now])
    again = Seat.parse("0/2/1", tmp_path)
    more = Family("paddock_requests_total", "counter", "Requests.", [("", (("model", "m"),), 1)])
    found = {one.name: one.samples for one in again.together([more])}
    assert found == {"paddock_requests_total": [("", (("model", "m"),), 6)]}
    assert Seat.parse("1/2/1", tmp_path).together([])[0].samples == counted.samples
