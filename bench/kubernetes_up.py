"""`up` of a large fleet on the real Pulumi engine, side by side with what the engine takes by itself.

The Kubernetes plugin is the tests' stand-in with a directory for a cluster, which answers at once: what is measured is
the engine, its state and the program. In one run, each from nothing:

- bare: a program that registers the same resources with no components, the engine at its defaults with its state in
  local files: after each resource the whole state is written anew;
- the same with the settings that are for whoever uses plain `pulumi`;
- Paddock's program the ways that `paddock up` chooses: for small fleets, and for large ones, whose state is written
  once.

    python bench/kubernetes_up.py [--models 100] [--rounds 1] [--preview]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graph import bare, ours

from cli.engine.locate import find_engine
from cli.project import Project
from tests.mock_engine import run_program
from tests.standins.kubernetes_directory import DIRECTORY_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
STANDINS = ROOT / "tests" / "standins"
WITHOUT_METADATA = "?metadata=skip"
RUN = """
import sys
sys.path.insert(0, {bench!r})
from kubernetes_up import bring_up
bring_up({kind!r}, {models}, preview={preview})
"""


@dataclass(frozen=True)
class Way:
    """One way of bringing the fleet up."""

    name: str
    program: str
    backend: str = ""
    settings: tuple[str, ...] = ()


WAYS = (
    Way("bare, the engine's defaults", "bare"),
    Way("bare, no metadata files", "bare", WITHOUT_METADATA),
    Way("bare, no metadata files, compressed", "bare", WITHOUT_METADATA, ("PULUMI_DIY_BACKEND_ZSTD",)),
    Way("Paddock, state written each time", "ours", WITHOUT_METADATA),
    Way("Paddock, state written once (as for large fleets)", "ours", WITHOUT_METADATA, ("PULUMI_SKIP_CHECKPOINTS",)),
)


def bring_up(kind: str, models: int, *, preview: bool) -> None:
    """Bring the fleet up in this process, or preview that; print how many resources it is and how long it took."""
    from pulumi import automation

    program = ours(models) if kind == "ours" else bare(run_program(ours(models)))
    workspace = automation.LocalWorkspaceOptions(work_dir=str(Path.cwd()))
    stack = automation.create_or_select_stack("bench", "paddock", program, opts=workspace)
    begun = time.perf_counter()
    changes = stack.preview().change_summary if preview else stack.up().summary.resource_changes
    took = time.perf_counter() - begun
    print(sum((changes or {}).values()), took)


def environment(home: Path, engine: Path, way: Way) -> Mapping[str, str]:
    """The environment of an engine that shares nothing with anybody."""
    state = home / "state"
    state.mkdir()
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    return mine | {
        "PATH": os.pathsep.join([str(STANDINS), str(engine.parent), os.environ.get("PATH", os.defpath)]),
        "PADDOCK_PYTHON": sys.executable,
        DIRECTORY_VARIABLE: str(home / "cluster"),
        "PULUMI_HOME": str(home / "pulumi-home"),
        "PULUMI_BACKEND_URL": state.as_uri() + way.backend,
        "PULUMI_CONFIG_PASSPHRASE": "of a benchmark",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        **dict.fromkeys(way.settings, "true"),
    }


def processor_seconds() -> float:
    """The processor's time of all processes that this one has started and seen end, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(way: Way, models: int, engine: Path, *, preview: bool) -> tuple[int, float, float]:
    """Bring the fleet up from nothing in a process of its own.

    Returns:
        How many resources there were, the seconds that it took, and the processor's seconds of engine, plugin and
        program together, which neighbours on the machine disturb less.
    """
    home = Path(tempfile.mkdtemp(prefix="paddock-bench-"))
    try:
        (home / "work").mkdir()
        before = processor_seconds()
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                RUN.format(bench=str(ROOT / "bench"), kind=way.program, models=models, preview=preview),
            ],
            cwd=home / "work",
            env=environment(home, engine, way),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{way.name} failed:\n{done.stdout}{done.stderr}")
        count, took = done.stdout.split()[-2:]
        return int(count), float(took), processor_seconds() - before
    finally:
        shutil.rmtree(home)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", type=int, nargs="+", choices=range(len(WAYS)), default=range(len(WAYS)))
    parser.add_argument("--preview", action="store_true", help="only preview; of the ways, the first and the fourth")
    options = parser.parse_args()
    engine = find_engine(Project(ROOT), install=False)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"Pulumi {engine.version}, Python {platform.python_version()}, {machine}, {options.models} models, ", end="")
    print(f"rounds: {options.rounds}.\n")
    ways = [WAYS[0], WAYS[3]] if options.preview else [WAYS[number] for number in options.ways]
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    works: dict[str, list[float]] = {way.name: [] for way in ways}
    counts: dict[str, int] = {}
    for _ in range(options.rounds):
        for way in ways:
            counts[way.name], took, work = measure(way, options.models, engine.binary, preview=options.preview)
            times[way.name].append(took)
            works[way.name].append(work)
            print(f"{took:7.1f} s, {work:7.1f} s of the processor  {way.name}", file=sys.stderr, flush=True)
    floor = statistics.median(works[ways[0].name])
    print(f"| way | resources | {'preview' if options.preview else 'up'} | of the processor | beside the first |")
    print("|---|---|---|---|---|")
    for way in ways:
        took, work = statistics.median(times[way.name]), statistics.median(works[way.name])
        print(f"| {way.name} | {counts[way.name]} | {took:.1f} s | {work:.1f} s | {work / floor:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
