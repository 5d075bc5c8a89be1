"""The examples run as they stand, against a fleet that the environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripted_model import Reply, Script, ScriptedServer, scripted_server

ROOT = Path(__file__).parents[3]


def run(example: str, argument: str, script: Script, tmp_path: Path) -> tuple[str, str, ScriptedServer]:
    secret = "key-" + "of-the-test"
    with scripted_server(script) as server:
        ran = subprocess.run(
            [sys.executable, str(ROOT / "examples" / example), argument],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(ROOT),
                "PADDOCK_FLEET": str(server.write_contract(tmp_path / "fleet.json")),
                "PADDOCK_API_KEY": secret,
            },
        )
    assert ran.returncode == 0, ran.stderr
    assert all(headers["authorization"] == f"Bearer {secret}" for headers in server.headers)
    assert secret not in ran.stdout + ran.stderr
    return ran.stdout, ran.stderr, server


def test_openai_sdk(tmp_path: Path) -> None:
    said, _, server = run("openai_sdk.py", "Who wrote Hamlet?", ["William Shakespeare."], tmp_path)
    assert said == "William Shakespeare.\n"
    assert server.requests[0]["model"] == "assistant"


def test_langchain(tmp_path: Path) -> None:
    pytest.importorskip("langchain_openai")
    said, _, server = run("langchain_chain.py", "Lima", ["Peru"], tmp_path)
    assert said == "Peru\n"
    assert "Lima" in server.requests[0]["messages"][0]["content"]


def test_agent(tmp_path: Path) -> None:
    script = [Reply(calls=[("price_of", {"article": "desks", "quantity": 3})]), "They cost 720 dollars."]
    said, told, server = run("agent_with_tools.py", "What do 3 desks cost?", script, tmp_path)
    assert said == "They cost 720 dollars.\n"
    assert "called price_of" in told
    assert server.requests[1]["messages"][-1]["content"] == "720.0"
