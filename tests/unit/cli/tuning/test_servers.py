"""Servers for candidates: one each, kept while there is memory, and none left behind."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from cli.tuning.servers import Launch, Server, Servers
from cli.tuning.settings import Candidate
from components.local.commands import PORT_PLACEHOLDER
from fleet_spec.serving_spec import ServingSpec
from tests.runtime.local_servers import server_command

pytestmark = pytest.mark.unit


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def launch(candidate: Candidate) -> Launch:
    if candidate.parallel == 9:
        return Launch([sys.executable, "-c", "import sys; sys.exit('no room for nine')"])
    command = server_command(port=PORT_PLACEHOLDER)
    if candidate.parallel == 5:
        command[2] = (
            "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
            + command[2]
        )
    return Launch(command, {"GREETING": f"on {PORT_PLACEHOLDER}"})


def candidate(parallel: int) -> Candidate:
    return Candidate(parallel, ServingSpec())


def test_a_candidate_keeps_its_server_and_all_end_with_the_block(tmp_path: Path) -> None:
    with Servers(launch, tmp_path, answers=answers) as servers:
        first, second, again = (servers.of(candidate(number)) for number in (1, 2, 1))
        assert isinstance(first, Server)
        assert isinstance(second, Server)
        assert again is first
        assert first.port != second.port
        assert first.memory_bytes > 1_000_000
    assert not first.watched.is_running() or first.watched.status() == psutil.STATUS_ZOMBIE
    assert not second.watched.is_running() or second.watched.status() == psutil.STATUS_ZOMBIE


def test_where_memory_is_short_the_oldest_makes_room(tmp_path: Path) -> None:
    with Servers(launch, tmp_path, answers=answers, free_bytes=lambda: 1) as servers:
        first = servers.of(candidate(1))
        servers.of(candidate(2))
        assert isinstance(first, Server)
        assert not answers(first.port)
        assert servers.of(candidate(1)) is not first


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    with Servers(launch, tmp_path, answers=answers) as servers:
        assert servers.of(candidate(9)) == "its server ended with 1: no room for nine"


def test_its_environment_is_filled_in_and_its_children_end_with_it(tmp_path: Path) -> None:
    with Servers(launch, tmp_path, answers=answers) as servers:
        server = servers.of(candidate(5))
        assert isinstance(server, Server)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=5) as reply:
            assert reply.read().startswith(f"on {server.port}".encode())
        (child,) = server.watched.children()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
