"""How long `paddock plan` takes for fleets of 1 to 1,000 models on a cluster: the whole command, from its start.

Each run is a process of its own, with a stack's file in a folder of its own: interpreter, imports, reading, planning,
manifests, policies and printing are all in it. The aim is under a second at 100 models, and time that grows in a line.

    python bench/plan.py [--rounds 5] [--models 1 10 100 1000]
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

AIM_SECONDS = 1.0
AIM_MODELS = 100
ROOT = Path(__file__).parents[1]
SIZES = ("llama3.1:8b", "mistral:7b", "codellama:13b", "gemma3:4b", "qwen2.5:7b")


def config(models: int) -> dict[str, Any]:
    """A fleet of this many models, with GPUs, ranges of replicas and policies."""
    fleet = {
        "target": "kubernetes",
        "models": {
            f"model-{number}": {
                "model": SIZES[number % len(SIZES)],
                "gpu": "nvidia-l4",
                "replicas": {"min": 1, "max": 4},
            }
            for number in range(models)
        },
        "gpuPools": {"main": {"gpuType": "nvidia-l4", "gpusPerNode": 8, "maxNodes": 1000}},
        "router": {"image": "registry.example.com/paddock:1.0.0"},
        "load": {"requestsPerHour": 1000},
        "policies": {"monthlyUsd": 100_000_000},
    }
    return {"config": {f"paddock:{key}": value for key, value in fleet.items()}}


def seconds(models: int, rounds: int) -> list[float]:
    """The time of each run."""
    with tempfile.TemporaryDirectory() as home:
        for file in ("Pulumi.yaml", "__main__.py"):
            shutil.copy(ROOT / file, home)
        Path(home, "Pulumi.bench.yaml").write_text(yaml.safe_dump(config(models)))
        taken: list[float] = []
        for _ in range(rounds):
            started = time.perf_counter()
            command = [sys.executable, "-m", "cli.main", "plan", "--stack", "bench", "--json"]
            run = subprocess.run(
                command, cwd=home, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
            )
            taken.append(time.perf_counter() - started)
            assert len(json.loads(run.stdout)["models"]) == models
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 10, 100, 1000])
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print("models  median s   least s  ms a model beyond the first size")
    first: tuple[int, float] | None = None
    for models in arguments.models:
        taken = seconds(models, arguments.rounds)
        median = statistics.median(taken)
        each = "" if first is None else f"{(median - first[1]) / (models - first[0]) * 1000:10.2f}"
        first = first or (models, median)
        print(f"{models:6}  {median:8.3f}  {min(taken):8.3f}  {each}")
        if models == AIM_MODELS:
            print(
                f"        aim at {AIM_MODELS} models, {AIM_SECONDS} s: {'met' if median < AIM_SECONDS else 'NOT MET'}"
            )


if __name__ == "__main__":
    main()
