"""A router with model servers that can be told to fail, under a steady load, watched by a real Prometheus."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fleet_spec.keys import hash_of, new_key
from fleet_spec.loading import load_spec
from fleet_spec.monitoring.scraping import Scraped, files
from fleet_spec.monitoring.watched import Watched
from tests.ports import free_port
from tests.programs import REPOSITORY
from tests.runtime.moody_server import ModelServer

TIME_SCALE = 0.01
"""Minutes become 0.6 s: what has to last five of them lasts three seconds."""
STACK = "watched"
BUDGET_USD = 1000.0
MOST_WAITING = 5
_PAUSE_SECONDS = 0.05


@dataclass
class WatchedFleet:
    """All of it, running."""

    directory: Path
    servers: dict[str, ModelServer]
    keys: dict[str, str]
    router_port: int
    prometheus_port: int
    dashboard: dict[str, Any]
    contract: dict[str, Any]
    router: subprocess.Popen[bytes] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.router_port}"

    def start_router(self) -> None:
        command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(self.directory / "fleet.json")]
        command += ["--secrets", str(self.directory / "secrets"), "--data", str(self.directory / "data")]
        log = (self.directory / "router.log").open("ab")
        with log:
            self.router = subprocess.Popen([*command, "--port", str(self.router_port)], stderr=log, cwd=REPOSITORY)
        wait_for("the router", self._answers)

    def stop_router(self) -> None:
        if self.router is not None:
            end(self.router)
            self.router = None

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        return False

    def write_contract(self, **changes: Any) -> None:
        self.write_contract_text(json.dumps({**self.contract, **changes}))

    def write_contract_text(self, text: str) -> None:
        fresh = self.directory / "fleet.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.directory / "fleet.json")

    def ask(self, model: str = "assistant", *, key: str = "default", **fields: Any) -> int:
        """Ask one question, a new one each time, and give the status; 0 where the router is not there."""
        headers = {"Authorization": f"Bearer {self.keys[key]}", **fields.pop("headers", {})}
        question = {"role": "user", "content": f"question {next(self.numbers)}"}
        body = {"model": model, "messages": [question], "max_tokens": 16, **fields}
        with contextlib.suppress(httpx.HTTPError):
            return httpx.post(
                f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=20, trust_env=False
            ).status_code
        return 0

    def leave(self) -> None:
        """Ask, and leave before the answer is there."""
        with contextlib.suppress(httpx.HTTPError), httpx.Client(timeout=0.05, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {self.keys['default']}"}
            body = {"model": "other", "messages": [{"role": "user", "content": "quick"}], "stream": True}
            with client.stream("POST", f"{self.url}/v1/chat/completions", json=body, headers=headers) as reply:
                next(reply.iter_raw())

    def load(self) -> None:
        """A steady load of everything, until all ends."""
        same = [{"role": "user", "content": "what is asked again and again"}]
        while not self.stopping.wait(_PAUSE_SECONDS):
            self.ask(stream=True, stream_options={"include_usage": True})
            self.ask("both", stream=True)
            self.ask("other")
            self.ask(messages=same, temperature=0)
            self.ask(headers={"X-Paddock-Tier": "commercial"})

    # Prometheus

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/query"
        reply = httpx.get(url, params={"query": expression}, trust_env=False, timeout=20)
        assert reply.status_code == 200, f"{expression}: {reply.text}"
        return reply.json()["data"]["result"]

    def firing(self) -> dict[str, dict[str, str]]:
        """The labels of the alerts that fire, by name."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/alerts"
        alerts = httpx.get(url, trust_env=False, timeout=20).json()["data"]["alerts"]
        return {one["labels"]["alertname"]: one["labels"] for one in alerts if one["state"] == "firing"}


def wait_for(what: str, condition: Callable[[], object], seconds: float = 60) -> None:
    """Look until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force where it must be."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _contract(servers: dict[str, ModelServer], keys: dict[str, str], port: int) -> dict[str, Any]:
    root = f"http://127.0.0.1:{port}"
    own = {"model": "tiny:1b", "engine": "llamacpp", "contextLength": 2048, "parallel": 2, "usdPerHour": 0.5}
    outside = {
        "model": "big",
        "engine": "openai",
        "tier": "commercial",
        "contextLength": 8192,
        "endpoints": [{"url": servers["commercial"].url}],
        "price": {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 2.0},
    }
    return {
        "version": 1,
        "stack": STACK,
        "target": "local",
        "router": {"url": root, "openai": f"{root}/v1", "ollama": root, "metrics": f"{root}/metrics"},
        "models": {
            "assistant": {**own, "endpoints": [{"url": servers["one"].url}, {"url": servers["two"].url}]},
            "other": {**own, "endpoints": [{"url": servers["other"].url}]},
        },
        "aliases": {"both": {"assistant": 1.0, "other": 1.0}},
        "tiers": {"commercial": {"secret": "tier-commercial", "models": {"assistant": outside}}},
        "budget": {"monthlyUsd": BUDGET_USD, "softLimit": 0.8},
        "routing": {"queue": {"maxActivePerSlot": 1, "maxWaiting": MOST_WAITING, "waitSeconds": 30}},
        "keys": {
            "poor": {"hash": hash_of(keys["poor"]), "monthlyUsd": 0.000001},
            "hurried": {"hash": hash_of(keys["hurried"]), "requestsPerMinute": 1},
        },
    }


@contextlib.contextmanager
def watched_fleet(directory: Path, prometheus: Path) -> Iterator[WatchedFleet]:
    """Everything started, and gone when the block ends."""
    servers = {name: ModelServer() for name in ("one", "two", "other", "commercial")}
    keys = {name: new_key() for name in ("default", "poor", "hurried")}
    for name in ("secrets", "data"):
        (directory / name).mkdir()
    (directory / "secrets" / "default").write_text(keys["default"])
    (directory / "secrets" / "tier-commercial").write_text("-".join(("key", "of", "a", "test")))
    port, own_port = free_port(), free_port()
    contract = _contract(servers, keys, port)
    spec = load_spec(
        {
            "target": "local",
            "models": {name: {"model": "gemma3:270m"} for name in contract["models"]},
            "routing": {"queue": {"maxWaiting": MOST_WAITING}},
        },
        source="a test",
    )
    scraped = Scraped(
        metrics_url=contract["router"]["metrics"],
        key_file=str(directory / "secrets" / "default"),
        prometheus_url=f"http://127.0.0.1:{own_port}",
        alertmanager=None,
        dashboards=str(directory),
    )
    made = files(Watched.stack(spec, STACK, time_scale=TIME_SCALE), scraped)
    for name, text in made[""].items():
        (directory / name).write_text(text, encoding="utf-8")
    dashboard = json.loads(made["grafana/dashboards"]["paddock.json"])
    fleet = WatchedFleet(directory, servers, keys, port, own_port, dashboard, contract)
    fleet.write_contract()
    watching = None
    loads = [threading.Thread(target=fleet.load, daemon=True) for _ in range(2)]
    try:
        for server in servers.values():
            server.start()
        fleet.start_router()
        watching = _start_prometheus(prometheus, directory, own_port)
        wait_for("the first scrape", lambda: fleet.query(f'up{{stack="{STACK}"}} == 1'))
        for load in loads:
            load.start()
        yield fleet
    finally:
        fleet.stopping.set()
        for server in servers.values():
            server.stop()
        for load in loads:
            if load.ident is not None:
                load.join()
        if watching is not None:
            end(watching)
        fleet.stop_router()


def _start_prometheus(program: Path, directory: Path, port: int) -> subprocess.Popen[bytes]:
    command = [
        str(program),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
    ]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (directory / "prometheus.log").open("wb") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log)

    def ready() -> bool:
        assert started.poll() is None, (directory / "prometheus.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/-/ready", trust_env=False).status_code == 200
        return False

    try:
        wait_for("Prometheus", ready)
    except BaseException:
        end(started)
        raise
    return started
