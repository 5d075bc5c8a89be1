"""One call brings everything up; teams are run on it from the command line. The real engine, a real small model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.checkout import COMMAND_TIMEOUT_SECONDS, Checkout
from tests.programs import REPOSITORY

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]
QUESTION = "How high is Mount Elbrus?"


def test_one_call_and_then_teams_on_what_it_brought_up(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write(models={"assistant": {"model": "gemma3:270m", "contextLength": 1024}})
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "elbrus.md").write_text("Mount Elbrus is 5642 metres high.\n")

    said = example(checkout, "dev", str(documents))
    assert f"http://127.0.0.1:{checkout.router_port}/v1" in said
    assert "local tier, assistant: Tokyo." in said
    assert "elbrus.md:1" in said
    assert "synthesizer: gemma3:270m" in said

    shown = checkout.json("demo")
    assert shown["succeeded"] is True
    assert shown["models"]["assistant"]["answer"] == "Tokyo."
    assert shown["service"]["tier"] == "local"
    assert [source["location"] for source in shown["research"]["sources"]] == ["fleet.md:1"]
    assert shown["addresses"]["openai"] == f"http://127.0.0.1:{checkout.router_port}/v1"
    assert shown["costs"]["total"]["requests"] > 0

    transcript = tmp_path / "run.md"
    asked = ("team", "research", QUESTION, "--sources", str(documents), "--transcript", str(transcript), "--json")
    ran = checkout.start(*asked)
    stdout, stderr = ran.communicate(timeout=COMMAND_TIMEOUT_SECONDS)
    result: dict[str, Any] = json.loads(stdout)
    assert ran.returncode == (0 if result["succeeded"] else 1), stderr
    assert [one["member"] for one in result["members"]] == ["gatherer", "analyzer", "synthesizer"]
    assert "gatherer: llama3.1:8b is not in the fleet; assistant (gemma3:270m) stands in" in stderr
    assert transcript.read_text().startswith("# Team research\n\nTask: How high is Mount Elbrus?")

    again = checkout.start("team", "research", "--resume", result["runId"], "--json")
    stdout, stderr = again.communicate(timeout=COMMAND_TIMEOUT_SECONDS)
    assert json.loads(stdout) == result
    assert "are not done again" in stderr


def example(checkout: Checkout, *arguments: str) -> str:
    """What the example prints, run in the checkout."""
    command = [sys.executable, str(REPOSITORY / "examples" / "production.py"), *arguments]
    ran = subprocess.run(
        command,
        cwd=checkout.directory,
        env=checkout.environment,
        capture_output=True,
        text=True,
        timeout=2 * COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
