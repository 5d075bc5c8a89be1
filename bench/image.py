"""The router's image: how large it is, and how long a container takes from its start to the first answer.

One run, on one machine, several rounds each, in turn:

- the container: from `podman run` to the first 200 of /healthz on the published port;
- the bare process: the same router from this checkout's environment, from its start to the same answer.

Usage: python bench/image.py [--rounds N] [--json FILE]

Takes root, podman, runc and debootstrap; builds the image first (docs/image.md).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.containers.podman import LIMITS, Podman, own_podman
from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[1]
ROUTER = "localhost/paddock-router:1"
NETWORK = "bench"
CONTRACT = {
    "version": 1,
    "stack": "bench",
    "target": "docker",
    "router": {"url": "u", "openai": "o", "ollama": "a", "metrics": "m"},
    "models": {},
}
KEY_BYTES = 32
DEADLINE_SECONDS = 60.0


def until_healthy(port: int, begun: float) -> float:
    """Seconds from ``begun`` to the first 200 of /healthz."""
    while time.perf_counter() - begun < DEADLINE_SECONDS:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return time.perf_counter() - begun
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
    raise SystemExit(f"no answer on port {port} in {DEADLINE_SECONDS:g} s")


def container(podman: Podman, folder: Path) -> float:
    port = free_port()
    begun = time.perf_counter()
    name = podman.text(
        *("run", "--detach", *LIMITS, "--network", NETWORK, "--publish", f"127.0.0.1:{port}:8080"),
        *("--volume", f"{folder}:/etc/paddock:ro", ROUTER),
    )
    try:
        return until_healthy(port, begun)
    finally:
        podman.run("rm", "--force", name)


def process(folder: Path) -> float:
    port = free_port()
    router = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(folder / "fleet" / "contract.json")]
    more = ["--secrets", str(folder / "keys"), "--host", "127.0.0.1", "--port", str(port)]
    begun = time.perf_counter()
    running = subprocess.Popen([*router, *more], cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return until_healthy(port, begun)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


def megabytes(podman: Podman, image: str) -> float:
    return json.loads(podman.text("image", "inspect", image))[0]["Size"] / 1e6


def measure(rounds: int) -> dict[str, object]:
    with own_podman() as podman, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("fleet", "keys"):
            (folder / part).mkdir()
        (folder / "fleet" / "contract.json").write_text(json.dumps(CONTRACT))
        (folder / "keys" / "default").write_text(os.urandom(KEY_BYTES).hex())
        base = podman.tool("image_base.sh")
        podman.tool("router_image.sh", "--base", base)
        # The default network may be that of another podman on this machine.
        podman.run("network", "create", NETWORK)
        ways: dict[str, Callable[[], float]] = {
            "container": lambda: container(podman, folder),
            "bare process": lambda: process(folder),
        }
        for way in ways.values():
            way()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for what, way in ways.items():
                seconds[what].append(way())
        sizes = {"image": megabytes(podman, ROUTER), "base": megabytes(podman, base)}
    sizes["Paddock's own"] = sizes["image"] - sizes["base"]
    return {"sizeMb": sizes, "seconds": seconds, "python": platform.python_version(), "cpus": os.cpu_count()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.rounds)
    print("| what | median | least | most |\n|---|---|---|---|")
    seconds: dict[str, list[float]] = found["seconds"]  # pyright: ignore[reportAssignmentType]
    for name, values in seconds.items():
        print(f"| {name} | {statistics.median(values):.2f} s | {min(values):.2f} s | {max(values):.2f} s |")
    sizes: dict[str, float] = found["sizeMb"]  # pyright: ignore[reportAssignmentType]
    print("\n| what | MB |\n|---|---|")
    for name, size in sizes.items():
        print(f"| {name} | {size:.0f} |")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
