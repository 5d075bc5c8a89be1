"""The router as a process: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.unit.router.rig import contract

pytestmark = pytest.mark.unit


def router(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agent_runtime.router", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def failed(*arguments: object) -> str:
    """What a router that cannot start says."""
    process = router(*arguments)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    return said


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(contract({"m": {"endpoints": []}})))
    return path


def test_a_missing_contract_is_told_with_what_to_do(tmp_path: Path) -> None:
    said = failed("--fleet", tmp_path / "none.json")
    assert "none.json" in said
    assert "paddock up" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_without_a_key_only_loopback_is_listened_on(fleet: Path, host: str) -> None:
    said = failed("--fleet", fleet, "--host", host)
    assert f"--host {host} is beyond" in said
    assert "paddock keys new" in said


def test_a_directory_of_secrets_that_is_not_there_is_told(fleet: Path, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in failed("--fleet", fleet, "--secrets", tmp_path / "none")


def test_a_port_in_use_is_told_with_what_to_do(fleet: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = failed("--fleet", fleet, "--port", port)
    assert f"port {port}" in said
    assert "--port" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_listens_logs_json_and_ends_on_a_signal(fleet: Path, number: signal.Signals) -> None:
    process = router("--fleet", fleet, "--port", 0)
    assert process.stderr is not None
    try:
        lines = [json.loads(process.stderr.readline()) for _ in range(2)]
        assert [line["event"] for line in lines] == ["contract", "listening"]
        url = f"http://127.0.0.1:{lines[1]['port']}/healthz"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as reply:
            assert json.load(reply) == {"ok": True}
        if sys.platform == "linux":
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident = re.search(r"VmRSS:\s+(\d+) kB", status)
            assert resident is not None
            assert int(resident[1]) < 60 * 1024
        os.kill(process.pid, number)
        rest = process.stderr.read()
        assert process.wait(timeout=10) == 0
        assert [json.loads(line)["event"] for line in rest.splitlines()][-2:] == ["draining", "stopped"]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_package_is_light_to_import() -> None:
    heavy = ["pydantic", "uvloop", "httptools", "httpx", "pulumi", "agent_runtime.router"]
    check = f"import sys, agent_runtime; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=30)
    assert out.stdout.strip() == "[]"


def test_the_router_loads_no_second_http_library() -> None:
    heavy = ["httpx", "aiohttp", "uvicorn", "pulumi", "rich", "typer", "grpc"]
    check = f"import sys, agent_runtime.router.server; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=30)
    assert out.stdout.strip() == "[]"
