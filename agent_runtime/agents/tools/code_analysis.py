"""Analyses Python code: syntax, what a linter finds, what is in it, and how complex its functions are.

Nothing of the code is run. The linter is ruff, where it is installed; without it the report says so.
"""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from agent_runtime.agents.tools.errors import ToolError

MOST_CHARACTERS = 200_000
COMPLEX_FROM = 11
"""McCabe (1976) set 10 as the most that a function should have."""
_RULES = "E4,E7,E9,F,B,S,C4,SIM,PERF,PLE,PLW,RET,ARG,UP,ASYNC"
_LINT_TIMEOUT_SECONDS = 20.0
_MOST_FINDINGS = 50
_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, order=True)
class Finding:
    """Something in the code that should be looked at."""

    line: int
    column: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class FunctionFacts:
    """How a function is built."""

    name: str
    """With its class's in front: ``Queue.take``."""
    line: int
    lines: int
    parameters: int
    complexity: int
    """McCabe's cyclomatic number: 1 and one for each point where the way divides."""


@dataclass(frozen=True)
class CodeReport:
    """What is known of a piece of code."""

    syntax_error: Finding | None
    findings: tuple[Finding, ...]
    functions: tuple[FunctionFacts, ...]
    classes: tuple[str, ...]
    imports: tuple[str, ...]
    lines: int
    linter: str
    """Which linter looked, or why none did."""

    def text(self) -> str:
        """The report as a model reads it."""
        if self.syntax_error is not None:
            found = self.syntax_error
            return f"syntax error at line {found.line}, column {found.column}: {found.message}"
        parts = [
            f"{self.lines} lines, {len(self.functions)} functions, {len(self.classes)} classes; linter: {self.linter}"
        ]
        if self.imports:
            parts.append(f"imports: {', '.join(self.imports)}")
        for fact in self.functions:
            too = " (too complex)" if fact.complexity >= COMPLEX_FROM else ""
            parts.append(
                f"{fact.name}: line {fact.line}, {fact.lines} lines, {fact.parameters} parameters, "
                f"complexity {fact.complexity}{too}"
            )
        shown = self.findings[:_MOST_FINDINGS]
        parts.append(f"findings: {len(self.findings)}" if self.findings else "no findings")
        parts += [f"  {finding}" for finding in shown]
        if len(self.findings) > len(shown):
            parts.append(f"  and {len(self.findings) - len(shown)} more")
        return "\n".join(parts)


def code_analysis(code: str) -> str:
    """Analyse Python code without running it: syntax errors, likely bugs, structure, complexity of each function.

    Args:
        code: The text of a Python module.
    """
    return analyse(code).text()


def analyse(code: str, name: str = "code.py") -> CodeReport:
    """Analyse Python code.

    Args:
        code: The module's text.
        name: What its file is called: tests may use ``assert``.

    Raises:
        ToolError: it is too long, or the linter failed.
    """
    if len(code) > MOST_CHARACTERS:
        raise ToolError(f"the code has {len(code)} characters. fix: at most {MOST_CHARACTERS} at once")
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        problem = Finding(error.lineno or 1, error.offset or 1, "syntax", error.msg)
        return CodeReport(problem, (), (), (), (), code.count("\n") + 1, "not asked")
    except (ValueError, RecursionError, MemoryError) as error:
        raise ToolError(f"the code cannot be parsed: {str(error) or 'it is nested too deeply'}") from error
    linter, linted = _lint(code, name)
    return CodeReport(
        syntax_error=None,
        findings=tuple(sorted({*linted, *_own_findings(tree)})),
        functions=tuple(_functions(tree)),
        classes=tuple(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)),
        imports=tuple(sorted(set(_imports(tree)))),
        lines=len(code.splitlines()),
        linter=linter,
    )


def complexity(function: ast.AST) -> int:
    """McCabe's cyclomatic number of a function, the functions inside it left out.

    1, and 1 for each if, loop, handler, assertion, comprehension's for and if, case of a match, and each further
    operand of ``and`` and ``or``.
    """
    total = 1
    for node in _own_nodes(function):
        if isinstance(node, _BRANCHES):
            total += 1
        elif isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            total += 1 + len(node.ifs)
        elif isinstance(node, ast.match_case):
            total += 0 if isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None else 1
    return total


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def _functions(tree: ast.AST) -> list[FunctionFacts]:
    """The functions in the order of the file. Without recursion: code may be nested deeper than Python calls."""
    found: list[FunctionFacts] = []
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, prefix = waiting.pop()
        for child in ast.iter_child_nodes(node):
            inner = prefix
            if isinstance(child, _FUNCTIONS):
                found.append(_facts(child, prefix))
            if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                inner = f"{prefix}{child.name}."
            waiting.append((child, inner))
    return sorted(found, key=lambda fact: fact.line)


def _facts(function: ast.FunctionDef | ast.AsyncFunctionDef, prefix: str) -> FunctionFacts:
    arguments = function.args
    count = len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
    count += (arguments.vararg is not None) + (arguments.kwarg is not None)
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    return FunctionFacts(f"{prefix}{function.name}", function.lineno, lines, count, complexity(function))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def _own_findings(tree: ast.AST) -> Iterator[Finding]:
    """What ruff's rules do not say: code that cannot be reached, and functions that are not written yet."""
    for node in ast.walk(tree):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(block, list):
                yield from _unreachable(cast("list[ast.stmt]", block))
        if isinstance(node, _FUNCTIONS) and all(_says_nothing(statement) for statement in node.body):
            yield Finding(node.lineno, node.col_offset + 1, "empty", f"function {node.name!r} does nothing")


def _unreachable(block: list[ast.stmt]) -> Iterator[Finding]:
    for before, after in pairwise(block):
        if isinstance(before, ast.Return | ast.Raise | ast.Continue | ast.Break):
            yield Finding(after.lineno, after.col_offset + 1, "unreachable", "nothing reaches this statement")
            return


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _lint(code: str, name: str) -> tuple[str, list[Finding]]:
    try:
        from ruff import find_ruff_bin  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        return "none, ruff is not installed (pip install 'paddock[agents]')", []
    rules = ["--select", _RULES, *(["--ignore", "S101"] if name.rpartition("/")[2].startswith("test_") else [])]
    command = [find_ruff_bin(), "check", "--isolated", "--no-cache", *rules, "--output-format", "json"]
    try:
        done = subprocess.run(
            [*command, "--stdin-filename", "code.py", "-"],
            input=code.encode(),
            capture_output=True,
            timeout=_LINT_TIMEOUT_SECONDS,
            check=False,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ToolError(f"ruff failed: {error}") from error
    return "ruff", [
        Finding(one["location"]["row"], one["location"]["column"], one["code"] or "syntax", one["message"])
        for one in found
    ]
