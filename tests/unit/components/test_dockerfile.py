"""The Dockerfile of the router's image: what goes in, who runs it, and that its lock has what the router imports."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[3]
PROGRAMS = ("agent_runtime.router.__main__", "agent_runtime.following")
"""The modules that run from the image: the router, and the Job that waits for its replicas."""
NOT_IN_THE_IMAGE = {"opentelemetry", "presidio_analyzer"}
"""Packages of extras that are imported late, and that the image is said not to have."""
LOGICAL_LINES = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
INSTRUCTIONS = [
    (word.upper(), rest.strip())
    for line in LOGICAL_LINES
    if line.strip() and not line.startswith("#")
    for word, _, rest in [line.partition(" ")]
]


def instructions(word: str) -> list[str]:
    return [rest for found, rest in INSTRUCTIONS if found == word]


def copied() -> list[str]:
    """Paths of the checkout that are copied into the image."""
    own = [rest.split() for rest in instructions("COPY") if "--from=" not in rest]
    return [source for words in own for source in words[:-1]]


def test_every_instruction_is_one_of_dockers() -> None:
    known = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    assert {word for word, _ in INSTRUCTIONS} <= known | {"ENTRYPOINT", "CMD"}
    assert INSTRUCTIONS[0][0] == "ARG", "the base is named once, for both stages"


def test_the_base_is_a_release_and_both_stages_have_the_same() -> None:
    base = instructions("ARG")[0].removeprefix("BASE=")
    assert re.fullmatch(r"python:3\.1[123]\.\d+-slim-[a-z]+", base)
    assert [rest.split()[0] for rest in instructions("FROM")] == ["${BASE}", "${BASE}"]


def test_nobody_runs_as_root_and_signals_reach_the_router() -> None:
    last_stage = INSTRUCTIONS[max(i for i, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]
    words = [word for word, _ in last_stage]
    assert dict(last_stage)["USER"] == "1000:1000"
    assert words.index("USER") > max(i for i, word in enumerate(words) if word in ("RUN", "COPY"))
    assert dict(last_stage)["STOPSIGNAL"] == "SIGTERM"
    # As a list: a shell as process 1 would keep SIGTERM to itself.
    for word in ("ENTRYPOINT", "CMD"):
        assert isinstance(ast.literal_eval(dict(last_stage)[word]), list)
    assert "/healthz" in dict(last_stage)["HEALTHCHECK"]


def test_what_is_installed_is_known_by_its_hash() -> None:
    for command in instructions("RUN"):
        for part in command.split("&&"):
            if "pip install" in part or "pip sync" in part:
                assert "--require-hashes" in part
                assert "--only-binary=:all:" in part
    for name in ("router.lock", "sbom.lock"):
        lock = (ROOT / "docker" / name).read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\S)", lock.strip())
        assert len(entries) > 5
        assert all("--hash=sha256:" in entry for entry in entries)


def test_what_is_copied_is_there_and_nothing_else_reaches_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied())
    for path in copied():
        assert (ROOT / path).exists(), path
    assert any(fnmatch("agent_runtime/__pycache__", rule) for rule in rules[1:])


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """A module's nodes but for those that a program's own start never comes to: for types alone, or on demand."""
    for node in ast.iter_child_nodes(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        on_demand = isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
        if not typing_only and not on_demand:
            yield node
            yield from running(node)


def imports(program: str) -> dict[str, str]:
    """Top-level packages that a program imports, early or late, and the module that does."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [program]
    while waiting:
        module = waiting.pop()
        path = ROOT.joinpath(*module.split("."))
        file = next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
        if module in seen or file is None:
            continue
        seen.add(module)
        waiting.append(module.rpartition(".")[0])
        for node in running(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
            for name in names:
                top = name.partition(".")[0]
                if top in ("agent_runtime", "fleet_spec"):
                    waiting.append(name)
                elif top not in sys.stdlib_module_names:
                    found[top] = module
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_image_has_every_package_that_the_program_imports(program: str) -> None:
    lock = (ROOT / "docker" / "router.lock").read_text(encoding="utf-8")
    locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    distributions = importlib.metadata.packages_distributions()
    imported = imports(program)
    assert imported or program != PROGRAMS[0]
    for package, module in imported.items():
        if package not in NOT_IN_THE_IMAGE:
            names = {normal(name) for name in distributions.get(package, [package])}
            assert names & locked, f"{module} imports {package}: add it to docker/router.in, and run `make lock`"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["router", "sbom"])
def test_the_lock_has_every_name_that_it_is_made_from(name: str) -> None:
    lock = (ROOT / "docker" / f"{name}.lock").read_text(encoding="utf-8")
    for line in (ROOT / "docker" / f"{name}.in").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            assert re.search(rf"^{re.escape(line)}==", lock, re.MULTILINE), f"{line}: run `make lock`"


def test_the_last_stage_has_the_list_of_packages_and_not_its_writer() -> None:
    assert any("cyclonedx-py" in rest and "/opt/paddock/sbom.cdx.json" in rest for rest in instructions("RUN"))
    from_build = [rest.split()[1:] for rest in instructions("COPY") if rest.startswith("--from=build")]
    assert from_build == [["/opt/paddock", "/opt/paddock"]], "what the build takes besides is in /opt/sbom"
