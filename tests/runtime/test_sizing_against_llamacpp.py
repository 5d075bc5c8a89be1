"""The memory estimate beside llama.cpp's own accounting, for the packaged model."""

from __future__ import annotations

import re
import subprocess
import sys
import time
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
sys.stdin.read()
"""
LOADED = "all slots are idle"
LOAD_LIMIT_SECONDS = 120


def load_log(weights: Path, context_length: int, parallel: int, log: Path) -> str:
    """What llama.cpp logs until it has loaded the weights.

    It is killed then: asked to end just after it has loaded, it may miss that and wait for ever.
    """
    command = [sys.executable, "-c", LOAD, str(weights), str(context_length * parallel), str(parallel)]
    with (
        log.open("wb") as file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT) as server,
    ):
        deadline = time.monotonic() + LOAD_LIMIT_SECONDS
        try:
            while LOADED not in log.read_text(errors="replace"):
                text = log.read_text(errors="replace")[-2000:]
                assert server.poll() is None, f"llama.cpp ended before it had loaded: {text}"
                assert time.monotonic() < deadline, f"llama.cpp has not loaded in {LOAD_LIMIT_SECONDS} s: {text}"
                time.sleep(0.05)
        finally:
            server.kill()
    return log.read_text(errors="replace")


def reported_mib(weights: Path, context_length: int, parallel: int, log: Path) -> dict[str, float]:
    """What llama.cpp logs about its buffers, by kind."""
    pytest.importorskip("xllamacpp")
    found: dict[str, float] = {}
    text = load_log(weights, context_length, parallel, log)
    for kind, size in re.findall(r"(KV|compute|output) buffer size =\s*([\d.]+) MiB", text):
        found[kind] = found.get(kind, 0.0) + float(size)
    return found


@pytest.mark.parametrize(("context_length", "parallel"), [(2048, 1), (8192, 1), (4096, 2), (8192, 4)])
def test_cache_and_compute_buffers_are_what_llamacpp_says(
    weights: Path, tmp_path: Path, context_length: int, parallel: int
) -> None:
    reported = reported_mib(weights, context_length, parallel, tmp_path / "log")
    figures = MODEL.architecture
    cache_mib = kv_cache_bytes(figures, context_length=context_length, parallel=parallel) / MIB
    assert cache_mib == pytest.approx(reported["KV"], rel=0.001)
    compute_mib = compute_buffer_bytes(figures, context_length=context_length, parallel=parallel) / MIB
    assert compute_mib == pytest.approx(reported["compute"] + reported["output"], rel=0.1)


def test_the_weights_are_what_the_file_has(weights: Path) -> None:
    assert gguf_bytes(MODEL, "Q4_K_M") == pytest.approx(weights.stat().st_size, rel=0.01)
