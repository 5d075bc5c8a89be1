"""How long from nothing to the first answer, and how much of that is Paddock's own.

Everything is measured in one run, several rounds each, with warm caches:

- `paddock up` from nothing to an answered question, and the same again with nothing to change;
- the floor under it, in the same round: the bare engine bringing up an empty stack the same way, and a bare llama.cpp
  server from its start to its first health answer. What is left over is Paddock's own;
- `paddock outputs` and `paddock --help`, beside the bare interpreter;
- memory of the supervisors and the router while the fleet stands idle.

Usage: python bench/first_answer.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from cli.engine.locate import find_engine
from cli.project import Project
from components.local.files import cache_root
from components.local.processes import ProcessRecord, list_records
from fleet_spec.catalogue import load_catalogue
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
BARE_UP = """
import sys
from pulumi import automation
workspace = automation.LocalWorkspace(
    work_dir=sys.argv[1], pulumi_command=automation.PulumiCommand(root=sys.argv[2])
)
stack = automation.Stack.create_or_select("dev", workspace)
stack.up(program=lambda: None)
"""


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run(arguments: list[str], directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(arguments, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def make_checkout(directory: Path) -> None:
    directory.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, directory)
    document = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    document["config"]["paddock:router"] = {"port": free_port()}
    (directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")


def bare_engine_seconds(directory: Path, engine_root: Path, environment: dict[str, str]) -> float:
    """The engine bringing up a stack without resources, over the same interface: what nobody can be faster than."""
    directory.mkdir()
    (directory / "Pulumi.yaml").write_text("name: bare\nruntime: python\n", encoding="utf-8")
    (directory / "state").mkdir()
    own = {**environment, "PULUMI_BACKEND_URL": (directory / "state").as_uri(), "PULUMI_CONFIG_PASSPHRASE": "bench"}
    return seconds(lambda: run([sys.executable, "-c", BARE_UP, str(directory), str(engine_root)], directory, own))


def bare_llamacpp_seconds(weights: Path) -> float:
    """A llama.cpp server alone, from its start until it answers its health check."""
    port = free_port()
    command = [sys.executable, "-m", "components.local.llamacpp_server", "--weights", str(weights)]
    command += ["--model", "bare", "--port", str(port), "--context", "2048", "--parallel", "2"]
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success:
                        return time.perf_counter() - began
                except httpx.TransportError:
                    if server.poll() is not None or time.perf_counter() - began > 120:
                        raise SystemExit("the bare llama.cpp server did not come up") from None
                    time.sleep(0.02)
        finally:
            server.terminate()


def memory_mib(directory: Path) -> dict[str, float]:
    """Proportional set sizes, so that pages which processes share are counted once."""
    records = [r for r in list_records(directory / ".paddock" / "dev" / "processes") if isinstance(r, ProcessRecord)]
    supervisors = [record.supervisor.pid for record in records]
    routers = [record.child.pid for record in records if record.name == "router" and record.child is not None]
    return {
        "supervisors": sum(_mib(pid) for pid in supervisors),
        "router": sum(_mib(pid) for pid in routers),
    }


def _mib(pid: int) -> float:
    memory = psutil.Process(pid).memory_full_info()
    return float(getattr(memory, "pss", memory.rss)) / 2**20


def one_round(home: Path, engine_root: Path, weights: Path, environment: dict[str, str]) -> dict[str, float]:
    paddock = [sys.executable, "-m", "cli.main"]
    directory = home / "checkout"
    make_checkout(directory)
    measured: dict[str, float] = {}
    try:
        answered: dict[str, Any] = {}

        def up() -> None:
            answered.update(json.loads(run([*paddock, "up", "--yes", "--json"], directory, environment)))

        measured["first answer"] = seconds(up)
        if "Tokyo" not in answered["answer"]["text"]:
            raise SystemExit(f"the fleet answered wrongly: {answered['answer']}")
        measured["the answer itself"] = float(answered["answer"]["seconds"])
        measured["unchanged up"] = seconds(up)
        measured["outputs"] = seconds(lambda: run([*paddock, "outputs"], directory, environment))
        measured["help"] = seconds(lambda: run([*paddock, "--help"], directory, environment))
        measured["bare interpreter"] = seconds(lambda: run([sys.executable, "-c", "pass"], directory, environment))
        measured.update({f"memory of {who}": mib for who, mib in memory_mib(directory).items()})
    finally:
        run([*paddock, "destroy", "--yes"], directory, environment)
    measured["bare engine"] = bare_engine_seconds(home / "bare", engine_root, environment)
    measured["bare llama.cpp"] = bare_llamacpp_seconds(weights)
    floor = measured["bare engine"] + measured["bare llama.cpp"] + measured["the answer itself"]
    measured["Paddock's own"] = measured["first answer"] - floor
    return measured


AIMS = {
    "first answer": (20.0, "s"),
    "Paddock's own": (3.0, "s"),
    "unchanged up": (10.0, "s"),
    "outputs": (0.4, "s"),
    "help": (0.4, "s"),
}


def report(rounds: list[dict[str, float]]) -> str:
    lines = [
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {len(rounds)} rounds.",
        "",
        "| what | median | least | most | aim |",
        "|---|---|---|---|---|",
    ]
    for name in rounds[0]:
        values = [one[name] for one in rounds]
        unit = "MiB" if name.startswith("memory") else "s"
        aim = f"under {AIMS[name][0]:g} {AIMS[name][1]}" if name in AIMS else ""
        cells = [f"{value:.2f} {unit}" for value in (statistics.median(values), min(values), max(values))]
        lines.append(f"| {name} | {' | '.join(cells)} | {aim} |")
    together = statistics.median(one["memory of supervisors"] + one["memory of router"] for one in rounds)
    lines.append(f"| memory of supervisors and router together | {together:.2f} MiB | | | under 150 MB |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write every round's figures")
    options = parser.parse_args()
    engine = find_engine(Project(ROOT))
    packaged = load_catalogue().get("gemma3:270m").sources.packaged
    assert packaged is not None
    weights = cache_root() / "weights" / packaged.sha256 / packaged.file
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    environment |= {"PYTHONPATH": str(ROOT), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    environment["PATH"] = os.pathsep.join([str(engine.binary.parent), environment.get("PATH", os.defpath)])
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as home:
            environment["PULUMI_HOME"] = str(Path(home) / "pulumi-home")
            measured = one_round(Path(home), engine.root, weights, environment)
        # The first round warms the caches and does not count.
        if number:
            rounds.append(measured)
        print(
            f"round {number} of {options.rounds}: first answer after {measured['first answer']:.1f} s", file=sys.stderr
        )
    print(report(rounds))
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
