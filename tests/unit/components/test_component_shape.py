"""What every component must do, checked in its source: Pulumi says nothing where it is forgotten."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOM = Path(__file__).parents[3] / "components"


def components() -> list[tuple[str, ast.ClassDef]]:
    return [
        (str(path.relative_to(ROOM)), node)
        for path in sorted(ROOM.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any("ComponentResource" in ast.unparse(base) for base in node.bases)
    ]


def constructor(component: ast.ClassDef) -> ast.FunctionDef:
    return next(node for node in component.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")


COMPONENTS = components()
named = pytest.mark.parametrize(("path", "component"), COMPONENTS, ids=[c.name for _, c in COMPONENTS])


def test_there_are_components() -> None:
    assert {component.name for _, component in COMPONENTS} >= {"Fleet", "LocalFleet", "ModelService", "Router"}


@named
def test_the_constructor_ends_with_its_one_register_outputs(path: str, component: ast.ClassDef) -> None:
    body = constructor(component).body
    calls = [node for node in ast.walk(component) if isinstance(node, ast.Call)]
    registered = [call for call in calls if ast.unparse(call.func) == "self.register_outputs"]
    assert len(registered) == 1, path
    last = body[-1]
    assert isinstance(last, ast.Expr), path
    assert last.value is registered[0], path


@named
def test_the_type_token_says_where_the_component_lives(path: str, component: ast.ClassDef) -> None:
    first = next(
        node
        for node in ast.walk(constructor(component))
        if isinstance(node, ast.Call) and "super()" in ast.unparse(node)
    )
    token = ast.literal_eval(first.args[0])
    assert re.fullmatch(r"paddock:[a-z]+:[A-Z]\w+", token), path
    assert token.endswith(f":{component.name}"), path


@named
def test_no_resource_is_made_inside_apply(path: str, component: ast.ClassDef) -> None:
    resources = {"Weights", "Process", "File", "OllamaModel"} | {one.name for _, one in COMPONENTS}
    for node in ast.walk(component):
        if isinstance(node, ast.Lambda):
            made = {ast.unparse(call.func) for call in ast.walk(node.body) if isinstance(call, ast.Call)}
            assert not made & resources, path
