"""checkov over every manifest of every configuration: nothing is found but what has its reason written down."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.local.files import cache_root
from tests.programs import lacking
from tests.unit.kubernetes.configurations import ROOT, manifests_of
from tests.unit.kubernetes.conftest import PLANS

pytestmark = pytest.mark.unit

EXCEPTIONS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "checkov-exceptions.yaml").read_text("utf-8"))
TIMEOUT_SECONDS = 240


def checkov() -> str:
    """checkov: PADDOCK_CHECKOV, else the one on PATH, else the one that tools/checkov.sh got."""
    named = os.environ.get("PADDOCK_CHECKOV") or shutil.which("checkov")
    if named:
        return named
    found = sorted(cache_root().glob("engine/checkov-*/bin/checkov"))
    return str(found[-1]) if found else lacking("there is no checkov. Get it with tools/checkov.sh")


def findings(manifests: list[Any], directory: Path) -> list[tuple[str, str]]:
    """What checkov finds: its name for it, and ``Kind.name`` of the object."""
    for number, text in enumerate(sorted({json.dumps(one) for one in manifests})):
        (directory / f"{number:04d}.yaml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [checkov(), "-d", directory, "--framework", "kubernetes", "--skip-download", "--quiet", "-o", "json"],
        # No question to the service of its makers.
        env={**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "CRITICAL"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 0
    return [(one["check_id"], ".".join(one["resource"].split(".")[::2])) for one in report["results"]["failed_checks"]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    everything = [one for plan in PLANS.values() for one in manifests_of(plan)]
    return findings(everything, tmp_path_factory.mktemp("manifests"))


def is_excepted(check: str, where: str) -> bool:
    return any(fnmatch.fnmatch(where, pattern) for pattern in EXCEPTIONS.get(check, {}).get("where", []))


def test_nothing_is_found_without_a_written_reason(found: list[tuple[str, str]]) -> None:
    assert {(check, where) for check, where in found if not is_excepted(check, where)} == set()


def test_every_exception_has_a_reason_and_is_still_needed(found: list[tuple[str, str]]) -> None:
    for check, exception in EXCEPTIONS.items():
        assert len(exception["reason"]) > 40, check
        places = {where for one, where in found if one == check}
        for pattern in exception["where"]:
            assert fnmatch.filter(places, pattern), f"{check} is not found at {pattern} any more"


def test_a_mistake_would_be_found(tmp_path: Path) -> None:
    manifest = next(one for one in manifests_of(PLANS["prod"]) if one["kind"] == "Deployment")
    pod = {**manifest["spec"]["template"]["spec"], "hostNetwork": True}
    template = {**manifest["spec"]["template"], "spec": pod}
    broken = {**manifest, "spec": {**manifest["spec"], "template": template}}
    assert ("CKV_K8S_19", f"Deployment.{manifest['metadata']['name']}") in findings([broken], tmp_path)
