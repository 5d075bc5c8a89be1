"""The analysis of code: syntax, findings, structure, complexity."""

from __future__ import annotations

import ast

import pytest

from agent_runtime.agents.tools.code_analysis import analyse, code_analysis, complexity
from agent_runtime.agents.tools.errors import ToolError


def test_a_syntax_error_is_told_with_its_line() -> None:
    assert code_analysis("x = 1\ndef f(:\n    pass\n").startswith("syntax error at line 2, column 7")


def test_likely_bugs_are_found() -> None:
    report = analyse("import os\n\ndef f(items=[]):\n    return undefined\n    print(1)\n")
    found = {finding.rule: finding.line for finding in report.findings}
    assert found["F401"] == 1, "an import that is not used"
    assert found["F821"] == 4, "a name that is not defined"
    assert found["B006"] == 3, "a default that is shared"
    assert found["unreachable"] == 5
    assert report.linter == "ruff"


def test_structure_and_complexity_are_told() -> None:
    code = '''
import json

class Queue:
    def take(self, a, *rest, b=1):
        for x in rest:
            if a and b or x:
                return [y for y in rest if y]
        return None

def later():
    """To be written."""
'''
    report = analyse(code)
    assert [(fact.name, fact.parameters, fact.complexity) for fact in report.functions] == [
        ("Queue.take", 4, 7),
        ("later", 0, 1),
    ]
    assert report.classes == ("Queue",)
    assert "function 'later' does nothing" in report.text()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return 1", 1),
        ("if a: pass\n    elif b: pass\n    else: pass", 3),
        ("while a:\n        pass", 2),
        ("try:\n        a()\n    except ValueError:\n        pass\n    except OSError:\n        pass", 3),
        ("return a and b and c", 3),
        ("return 1 if a else 2", 2),
        ("match a:\n        case 1: pass\n        case 2: pass\n        case _: pass", 3),
        ("def inner():\n        if a: pass\n    return inner", 1),
    ],
)
def test_complexity_is_mccabes(body: str, expected: int) -> None:
    function = ast.parse(f"def f(a, b, c):\n    {body}\n").body[0]
    assert complexity(function) == expected


def test_tests_may_assert_and_other_code_is_told_not_to() -> None:
    code = "assert 1\n"
    assert [finding.rule for finding in analyse(code, "main.py").findings] == ["S101"]
    assert analyse(code, "test_main.py").findings == ()


def test_nothing_is_run() -> None:
    assert "no findings" in code_analysis("raise SystemExit('ran')\n")


@pytest.mark.parametrize("code", ["x = " + "+".join(["1"] * 2000), "x = " + "a." * 2000 + "b"])
def test_code_that_is_nested_deeper_than_python_calls_is_analysed(code: str) -> None:
    assert analyse(code).lines == 1


def test_code_that_not_even_the_parser_can_take_is_told() -> None:
    with pytest.raises(ToolError, match="cannot be parsed"):
        analyse("x = " + "-" * 50_000 + "1")


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ToolError, match="at most"):
        analyse("x = 1\n" * 100_000)
