"""The examples for CI: the script checks real stacks, and the workflow is whole and does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "examples" / "ci" / "check.sh"
WORKFLOW = ROOT / "examples" / "ci" / "github-actions.yml"
TIMEOUT_SECONDS = 120


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project under git with the shipped prod stack."""
    for name in ("Pulumi.yaml", "__main__.py", "Pulumi.prod.yaml", "Pulumi.dev.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "fleet"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True, timeout=TIMEOUT_SECONDS)
    return tmp_path


def check(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [SCRIPT, *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


def change(project: Path, **sections: Any) -> None:
    file = project / "Pulumi.prod.yaml"
    stack = yaml.safe_load(file.read_text())
    stack["config"] |= {f"paddock:{key}": value for key, value in sections.items()}
    # The script looks for the target as people write it.
    file.write_text(yaml.safe_dump(stack, sort_keys=False))


def test_the_shipped_stacks_pass_and_nothing_changes(project: Path) -> None:
    done = check(project, "HEAD")
    assert done.returncode == 0, done.stderr
    plan = (project / "plan.md").read_text()
    assert "### Plan of stack `dev`: may go up" in plan
    assert "### Plan of stack `prod`: may go up" in plan
    assert plan.count("no model changes") == 2


def test_a_change_is_told_with_what_it_costs(project: Path) -> None:
    models = yaml.safe_load((project / "Pulumi.prod.yaml").read_text())["config"]["paddock:models"]
    models["llama"]["replicas"] = {"min": 4, "max": 12}
    change(project, models=models)
    done = check(project, "HEAD", "told.md")
    assert done.returncode == 0, done.stderr
    told = (project / "told.md").read_text()
    assert "llama: leastReplicas 3 -&gt; 4" in told or "llama: leastReplicas 3 -> 4" in told
    assert re.search(r"a month costs \+\d+ USD at least", told)


def test_what_must_not_go_up_fails(project: Path) -> None:
    change(project, policies={"monthlyUsd": 1})
    done = check(project)
    assert done.returncode == 1
    assert "monthly-cost" in (project / "plan.md").read_text()


def test_a_mistake_in_a_config_fails_with_2_and_stands_in_the_comment(project: Path) -> None:
    change(project, budgit={})
    done = check(project, "HEAD")
    assert done.returncode == 2
    assert "budgit" in (project / "plan.md").read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_the_script_is_clean() -> None:
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stdout


def test_the_workflow_keeps_to_the_schema_of_workflows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="needs actionlint")
def test_the_workflows_expressions_and_actions_are_right() -> None:
    command = ["actionlint", "-no-color", WORKFLOW]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def workflow() -> dict[Any, Any]:
    return yaml.safe_load(WORKFLOW.read_text())


def test_the_workflow_is_one(workflow: dict[Any, Any]) -> None:
    # YAML 1.1 reads the key `on` as true.
    triggers = workflow["on"] if "on" in workflow else workflow[True]
    assert set(triggers) == {"pull_request", "push"}
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert job["timeout-minutes"] > 0
        for needed in [job["needs"]] if "needs" in job else []:
            assert needed in workflow["jobs"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


def test_nothing_that_a_stranger_writes_is_run(workflow: dict[Any, Any]) -> None:
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "give it by env, where the shell does not read it as code"


def test_a_merge_goes_up_behind_a_gate_and_with_the_policies(workflow: dict[Any, Any]) -> None:
    up = workflow["jobs"]["up"]
    assert up["environment"] == "prod"
    assert up["needs"] == "check"
    commands = [step["run"] for step in up["steps"] if "run" in step]
    assert any("pulumi up" in command and "--policy-pack policies" in command for command in commands)


def test_every_path_that_the_workflow_names_is_there(workflow: dict[Any, Any]) -> None:
    text = WORKFLOW.read_text()
    for path in re.findall(r"(?<![\w/.-])((?:examples|policies|tools)/[\w./-]+|requirements[\w.-]*\.lock)", text):
        assert (ROOT / path).exists(), path


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_the_workflows_commands_are_clean(workflow: dict[Any, Any], tmp_path: Path) -> None:
    scripts = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    for number, script in enumerate(scripts):
        file = tmp_path / f"step-{number}.sh"
        file.write_text("#!/usr/bin/env bash\n" + script)
        done = subprocess.run(
            ["shellcheck", file], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
        assert done.returncode == 0, done.stdout
