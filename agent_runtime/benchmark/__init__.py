"""Benchmarks of model servers: load, measures, reports.

::

    targets = await targets_of_url("http://127.0.0.1:8080")
    results = await BenchmarkRun(Settings(max_tokens=64), built_in()).measure(targets)
    document = results.document()
"""

from agent_runtime.benchmark.baseline import compare, read_baseline
from agent_runtime.benchmark.prompts import Prompt, built_in, read_prompts
from agent_runtime.benchmark.runner import BenchmarkRun, Results
from agent_runtime.benchmark.settings import Limits, Load, Settings, limits_of, loads_of
from agent_runtime.benchmark.target import Target, targets_of_fleet, targets_of_url

__all__ = [
    "BenchmarkRun",
    "Limits",
    "Load",
    "Prompt",
    "Results",
    "Settings",
    "Target",
    "built_in",
    "compare",
    "limits_of",
    "loads_of",
    "read_baseline",
    "read_prompts",
    "targets_of_fleet",
    "targets_of_url",
]
