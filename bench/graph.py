"""What Paddock's components cost: the graph of a cluster fleet, beside a bare program that registers the same.

Both run under the mocked engine, in turns, so that what remains is the program's own work: planning, manifests and
components on one side, the registration of finished dictionaries on the other. The bare program has the same custom
resources with the same inputs, the same dependencies and the same provider, and no components. The time is that of the
processor, which neighbours on the machine disturb less than the time of day.

    python bench/graph.py [--rounds 5] [--models 1 10 100]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi

from components.kubernetes.fleet import KubernetesFleet
from components.kubernetes.register import plugin_version
from fleet_spec.loading import load_spec
from tests.mock_engine import Run, run_program

AIM = 1.15
ROOT = Path(__file__).parents[1]


def config(models: int) -> dict[str, Any]:
    """A fleet of this many models, each with everything that one can have."""
    return {
        "target": "kubernetes",
        "models": {
            f"model-{number}": {"model": "llama3.1:8b", "gpu": "nvidia-l4", "replicas": {"min": 2, "max": 8}}
            for number in range(models)
        },
        "gpuPools": {"main": {"gpuType": "nvidia-l4", "gpusPerNode": 8, "maxNodes": 100}},
        # Keys of one's own: those that the stack makes up are resources of another plugin, a few in a fleet.
        "router": {"image": "registry.example.com/paddock:1.0.0", "keysSecret": {"name": "keys", "key": "default"}},
        "valkey": {"mode": "none"},
    }


def ours(models: int) -> Callable[[], None]:
    """Paddock's program: from the config to the last resource."""

    def program() -> None:
        KubernetesFleet("fleet", spec=load_spec(config(models)), stack="bench", project=ROOT)

    return program


def bare(recorded: Run) -> Callable[[], None]:
    """A program that registers what another one registered, finished dictionaries and all, without components."""
    inputs = {(one.type, one.name): one.inputs for one in recorded.resources}
    urns: list[tuple[str, str, str, list[str], str]] = [
        (_urn(one.type, one.name), one.type, one.name, list(one.dependencies), one.provider)
        for one in recorded.requests
        if one.custom
    ]

    def program() -> None:
        made: dict[str, pulumi.Resource] = {}
        for urn, type_token, name, dependencies, _ in urns:
            if type_token.startswith("pulumi:providers:"):
                provider = pulumi.ProviderResource(type_token.rpartition(":")[2], name, inputs[type_token, name])
                made[urn] = provider
                continue
            opts = pulumi.ResourceOptions(
                depends_on=[made[_short(one)] for one in dependencies if _short(one) in made],
                version=plugin_version(),
            )
            if type_token.startswith("kubernetes:"):
                opts.provider = next(one for one in made.values() if isinstance(one, pulumi.ProviderResource))
            made[urn] = pulumi.CustomResource(type_token, name, inputs[type_token, name], opts)

    return program


def _urn(type_token: str, name: str) -> str:
    return f"{type_token}::{name}"


def _short(urn: str) -> str:
    """Type and name of a URN, without the parents' types."""
    *_, types, name = urn.split("::")
    return _urn(types.rpartition("$")[2], name)


def seconds(program: Callable[[], None]) -> float:
    """The processor's time for a program, in all threads."""
    begin = time.process_time()
    run_program(program)
    return time.process_time() - begin


def measure(models: int, rounds: int) -> tuple[int, list[float], list[float]]:
    """How many resources there are, and the times of ours and of the bare program, in turns."""
    recorded = run_program(ours(models))
    resources = sum(one.custom for one in recorded.resources)
    repeated = run_program(bare(recorded))
    assert {(one.type, one.name) for one in repeated.resources if one.custom} == {
        (one.type, one.name) for one in recorded.resources if one.custom
    }, "the bare program registers the same resources"
    own: list[float] = []
    floor: list[float] = []
    for _ in range(rounds):
        own.append(seconds(ours(models)))
        floor.append(seconds(bare(recorded)))
    return resources, own, floor


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 10, 100])
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {options.rounds} rounds, medians.\n")
    print("| models | resources | ours | bare | ours / bare | ours for a resource |")
    print("|---|---|---|---|---|---|")
    for models in options.models:
        resources, own, floor = measure(models, options.rounds)
        mine, theirs = statistics.median(own), statistics.median(floor)
        each = mine / resources * 1000
        print(f"| {models} | {resources} | {mine:.3f} s | {theirs:.3f} s | {mine / theirs:.2f} | {each:.2f} ms |")
    print(f"\nAim: at most {AIM} times bare, growth linear.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
