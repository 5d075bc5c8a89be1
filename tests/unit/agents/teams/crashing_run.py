"""A program that works with a team until its second member is asked, says so, and waits to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from agent_runtime.agents.teams.systems import team_named
from tests.unit.agents.teams.scripted import Script


def hang(_: str) -> str:
    print("asked", flush=True)
    time.sleep(600)
    return ""


if __name__ == "__main__":
    script = Script({"gatherer": ["5642 m"], "analyzer": [hang], "synthesizer": ["never"]})
    team_named("research", script.builder()).run_sync("How high is Elbrus?", runs_directory=Path(sys.argv[1]))
