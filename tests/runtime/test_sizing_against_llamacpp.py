"""The memory estimate beside llama.cpp's own accounting, for the packaged model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleet_spec.catalogue import load_catalogue
from fleet_spec.sizing.estimate import MIB, compute_buffer_bytes
from fleet_spec.sizing.kv_cache import kv_cache_bytes
from fleet_spec.sizing.weights import gguf_bytes

pytestmark = pytest.mark.runtime
MODEL = load_catalogue().get("gemma3:270m")

LOAD = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params.hostnames, params.port, params.verbosity, params.ui = ["127.0.0.1"], 0, 5, False
params.fit_params, params.warmup = False, False
server = xllamacpp.Server(params)
"""


def reported_mib(weights: Path, context_length: int, parallel: int) -> dict[str, float]:
    """What llama.cpp logs about its buffers, by kind."""
    pytest.importorskip("xllamacpp")
    command = [sys.executable, "-c", LOAD]
    command += [str(weights), str(context_length * parallel), str(parallel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, float] = {}
    for kind, size in re.findall(r"(KV|compute|output) buffer size =\s*([\d.]+) MiB", done.stdout + done.stderr):
        found[kind] = found.get(kind, 0.0) + float(size)
    return found


@pytest.mark.parametrize(("context_length", "parallel"), [(2048, 1), (8192, 1), (4096, 2), (8192, 4)])
def test_cache_and_compute_buffers_are_what_llamacpp_says(weights: Path, context_length: int, parallel: int) -> None:
    reported = reported_mib(weights, context_length, parallel)
    figures = MODEL.architecture
    cache_mib = kv_cache_bytes(figures, context_length=context_length, parallel=parallel) / MIB
    assert cache_mib == pytest.approx(reported["KV"], rel=0.001)
    compute_mib = compute_buffer_bytes(figures, context_length=context_length, parallel=parallel) / MIB
    assert compute_mib == pytest.approx(reported["compute"] + reported["output"], rel=0.1)


def test_the_weights_are_what_the_file_has(weights: Path) -> None:
    assert gguf_bytes(MODEL, "Q4_K_M") == pytest.approx(weights.stat().st_size, rel=0.01)
