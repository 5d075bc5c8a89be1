"""The software team: from a design to code, to tests that are really run, to a review, with bounded rework."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from agent_runtime.agents.teams.code_blocks import files_in
from agent_runtime.agents.teams.handoff import Section
from agent_runtime.agents.teams.records import Outcome
from agent_runtime.agents.tools.code_analysis import analyse
from agent_runtime.agents.tools.errors import ToolError

if TYPE_CHECKING:
    from agent_runtime.agents.teams.team_run import TeamRun
    from agent_runtime.agents.tools.python_tools import PythonTools

_FORMAT = (
    "Write each file as one fenced block that begins with ```python and a first line such as # file: shapes.py, and "
    "give files whole."
)
ARCHITECT = (
    "You are the architect of a small software team. Design before anything is written: which modules, which functions "
    "with their types, what they return for ordinary and for odd input, which errors they raise. Python, standard "
    "library only. No code beyond signatures. Be brief."
)
DEVELOPER = (
    "You are the developer of a small software team. Write the Python code that the design asks for: complete, "
    f"correct, standard library only, no tests. {_FORMAT}"
)
TESTER = (
    "You are the tester of a small software team. Write pytest tests for the code: ordinary cases, edge cases, errors. "
    f"Import from its modules by their names. Tests are in files named test_*.py. {_FORMAT}"
)
REVIEWER = (
    "You review the work of a small software team: does the code do what the task asks, is it correct and readable, do "
    "the tests show it? Judge the code that you see and the test run that you are told of. End with a line of its own: "
    "VERDICT: APPROVE, or VERDICT: REWORK where something must be put right before the code can be used."
)
_VERDICT = re.compile(r"VERDICT\W+(APPROVE|REWORK)", re.IGNORECASE)
_MAIN, _TESTS = "main.py", "test_main.py"


@dataclass
class _Work:
    """What there is so far."""

    design: str = ""
    code: dict[str, str] = field(default_factory=dict[str, str])
    tests: dict[str, str] = field(default_factory=dict[str, str])
    report: str = ""
    """What the latest test run and the analysis gave."""
    passed: bool = False

    @property
    def files(self) -> dict[str, str]:
        return {**self.code, **self.tests}


def software_flow(python: PythonTools) -> Any:
    """The flow of a software team whose tests run in the sandbox of these tools."""

    async def flow(run: TeamRun) -> Outcome:
        return await _Development(run, python).go()

    return flow


class _Development:
    def __init__(self, run: TeamRun, python: PythonTools) -> None:
        self._run = run
        self._python = python
        self._work = _Work()
        self._rounds_left = run.rework_rounds

    async def go(self) -> Outcome:
        """Design, code, tests, runs and reviews, until it is good or the rounds are used up."""
        task = self._task
        design = await self._run.ask("architect", "design", "Design the software for the task.", [task])
        self._work.design = design.output
        await self._ask_for_files("developer", "write the code", "Write the code.")
        await self._ask_for_files("tester", "write the tests", "Write tests for the code.")
        while True:
            await self._tests_until_they_pass()
            approved, comments = await self._reviewed()
            if approved or self._rounds_left == 0 or not self._work.passed:
                return self._outcome(approved, comments)
            self._rounds_left -= 1
            await self._ask_for_files(
                "developer", "rework after the review", "Put right what the review asks for.", ("Review", comments)
            )

    @property
    def _task(self) -> Section:
        return Section("Task", self._run.task, keep=True)

    async def _tests_until_they_pass(self) -> None:
        """Run the tests; where they fail, let the developer and the tester put it right in turn."""
        turn = 0
        await self._check()
        while not self._work.passed and self._rounds_left > 0:
            self._rounds_left -= 1
            member = self._to_blame(turn)
            turn += 1
            what = "code" if member == "developer" else "tests"
            await self._ask_for_files(
                member,
                f"repair the {what}",
                f"The tests do not pass. Find out why, put the {what} right, and give each file of yours that changes.",
                ("Test run", self._work.report),
            )
            await self._check()

    def _to_blame(self, turn: int) -> str:
        """Whose turn it is: whoever's files cannot be used at all, else the developer and the tester by turns."""
        if not self._work.code or any(_syntax_error(text) for text in self._work.code.values()):
            return "developer"
        if _problem_of_tests(self._work.code, self._work.tests):
            return "tester"
        return "developer" if turn % 2 == 0 else "tester"

    async def _ask_for_files(
        self, member: str, purpose: str, request: str, more: tuple[str, str] | None = None
    ) -> None:
        writes_tests = member == "tester"
        sections = [self._task, Section("Design", self._work.design)]
        if self._work.code:
            sections.append(Section("Code", _shown(self._work.code)))
        if self._work.tests and (writes_tests or more is not None):
            sections.append(Section("Tests", _shown(self._work.tests)))
        if more is not None:
            sections.append(Section(*more))
        said = await self._run.ask(member, purpose, request, sections)
        try:
            files = files_in(said.output, default=_TESTS if writes_tests else _MAIN)
        except ToolError as error:
            self._work.report = f"The {member}'s reply could not be used: {error}"
            return
        for path, text in files.items():
            name = _safe_name(path)
            if name is None or _is_test(name) != writes_tests:
                # The tester does not change the code that it tests, nor the developer the tests that it has to pass.
                continue
            (self._work.tests if writes_tests else self._work.code)[name] = text

    async def _check(self) -> None:
        """Run the tests for real, and let the analysis look at the code."""
        record = await self._run.do("run the tests", self._work.files, self._run_tests)
        self._work.passed = bool(record.data["passed"])
        self._work.report = record.output

    async def _run_tests(self) -> tuple[str, dict[str, Any]]:
        work = self._work
        analysis = "\n".join(f"{name}: {_analysed(text, name)}" for name, text in work.code.items())
        problem = "there is no code" if not work.code else _problem_of_tests(work.code, work.tests)
        if problem is not None:
            return f"The tests were not run: {problem}\n\n{analysis}".strip(), {"passed": False, "counts": None}
        stop = threading.Event()
        try:
            outcome = await asyncio.to_thread(self._python.test, work.files, stop)
        except asyncio.CancelledError:
            # Whoever interrupts the run does not want to wait for its tests.
            stop.set()
            raise
        except ToolError as error:
            return f"The tests were not run: {error}", {"passed": False, "counts": None}
        counts = {
            "passed": outcome.passed,
            "failed": outcome.failed,
            "errors": outcome.errors,
            "skipped": outcome.skipped,
        }
        told = f"{outcome.summary()}\n{outcome.output}\n\nAnalysis of the code:\n{analysis}"
        return told, {"passed": outcome.succeeded, "counts": counts}

    async def _reviewed(self) -> tuple[bool, str]:
        sections = [
            self._task,
            Section("Code", _shown(self._work.code)),
            Section("Tests", _shown(self._work.tests)),
            Section("Test run", self._work.report),
        ]
        review = await self._run.ask("reviewer", "review", "Review the work, and end with your verdict.", sections)
        verdicts = _VERDICT.findall(review.output)
        return bool(verdicts) and verdicts[-1].upper() == "APPROVE", review.output

    def _outcome(self, approved: bool, review: str) -> Outcome:
        passed = self._work.passed
        used = self._run.rework_rounds - self._rounds_left
        tests = "the tests pass" if passed else "the tests do not pass"
        verdict = "the reviewer approves" if approved else "the reviewer does not approve"
        summary = f"{tests}; {verdict}; {used} of {self._run.rework_rounds} rounds of rework were used"
        files = _shown(self._work.files) or "No files."
        output = f"{summary[0].upper()}{summary[1:]}.\n\n{files}\n\n## Review\n\n{review}".strip()
        return Outcome(output, passed and approved, summary, files=self._work.files)


def _analysed(text: str, name: str) -> str:
    try:
        return analyse(text, name).text()
    except ToolError as error:
        return str(error)


def _shown(files: dict[str, str]) -> str:
    return "\n\n".join(f"```python\n# file: {name}\n{_without_name(text)}\n```" for name, text in sorted(files.items()))


def _without_name(text: str) -> str:
    first, _, rest = text.partition("\n")
    return (rest if first.strip().lower().startswith("# file:") else text).strip("\n")


def _safe_name(path: str) -> str | None:
    """The path, where it stays inside the working directory."""
    pure = PurePosixPath(path.strip().removeprefix("./"))
    if pure.is_absolute() or ".." in pure.parts or not pure.name or pure.name.startswith("."):
        return None
    return pure.as_posix()


def _is_test(name: str) -> bool:
    base = PurePosixPath(name).name
    return (base.startswith("test_") or base.endswith("_test.py") or base == "conftest.py") and base.endswith(".py")


def _syntax_error(text: str) -> str | None:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return None


def _problem_of_tests(code: dict[str, str], tests: dict[str, str]) -> str | None:
    """Why tests are none: there are none, they are no Python, or they use nothing of the code."""
    if not tests:
        return "there are no tests. The tester writes them in files named test_*.py"
    for name, text in tests.items():
        problem = _syntax_error(text)
        if problem is not None:
            return f"syntax error in {name}, {problem}"
    modules = {name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in code}
    imported = {module for text in tests.values() for module in _imported(text)}
    if not any(one == module or one.startswith(f"{module}.") for one in imported for module in modules):
        return f"the tests import none of the code's modules ({', '.join(sorted(modules))})"
    return None


def _imported(text: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found
