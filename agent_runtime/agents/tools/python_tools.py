"""Tools that run Python code and its tests, in the sandbox."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from agent_runtime.agents.tools.errors import ToolSetupError
from agent_runtime.agents.tools.sandbox.limits import SandboxLimits, SandboxResult
from agent_runtime.agents.tools.sandbox.run import Sandbox

TEST_TIMEOUT_SECONDS = 60.0
_RUNNER = ".paddock_tests.py"
_COUNTS = "paddock test counts: "
_RUN_PYTEST = f"""\
import json, sys
import pytest


class Counts:
    def __init__(self):
        self.counts = {{"passed": 0, "failed": 0, "errors": 0, "skipped": 0}}

    def pytest_runtest_logreport(self, report):
        if report.skipped:
            self.counts["skipped"] += 1
        elif report.when == "call":
            self.counts["passed" if report.passed else "failed"] += 1
        elif report.failed:
            self.counts["errors"] += 1

    def pytest_collectreport(self, report):
        if report.failed:
            self.counts["errors"] += 1


counts = Counts()
code = pytest.main(["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "--rootdir=.", "-c", "/dev/null",
                    "--disable-plugin-autoload", "."], plugins=[counts])
sys.stdout.flush()
print("\\n{_COUNTS}" + json.dumps(counts.counts))
raise SystemExit(int(code))
"""


@dataclass(frozen=True)
class TestsOutcome:
    """What came of running the tests."""

    passed: int
    failed: int
    errors: int
    """Tests and files that could not be run."""
    skipped: int
    output: str
    """What pytest printed."""
    problem: str | None
    """Why the run did not come to its end, where it did not."""

    @property
    def succeeded(self) -> bool:
        """Whether tests were run, and all of them passed."""
        return self.problem is None and self.passed > 0 and self.failed == 0 and self.errors == 0

    def summary(self) -> str:
        """The counts in a line."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.errors} errors, {self.skipped} skipped"
        if self.problem is not None:
            return f"{self.problem} ({counts})"
        return counts if self.passed + self.failed + self.errors + self.skipped else "no tests were found"


def sandbox_for_tests(*, allow_unisolated: bool = False) -> Sandbox:
    """A sandbox with the time that tests need."""
    limits = SandboxLimits(timeout_seconds=TEST_TIMEOUT_SECONDS, cpu_seconds=int(TEST_TIMEOUT_SECONDS))
    return Sandbox(limits, allow_unisolated=allow_unisolated)


class PythonTools:
    """``run_python`` and ``run_tests``, as methods that can be given to an agent."""

    def __init__(self, sandbox: Sandbox | None = None, tests: Sandbox | None = None) -> None:
        """Make the tools.

        Args:
            sandbox: where code runs.
            tests: where tests run.
        """
        self._sandbox = sandbox or Sandbox()
        self._tests = tests or sandbox_for_tests(allow_unisolated=self._sandbox.allow_unisolated)

    @property
    def timeout_seconds(self) -> float:
        """Longer than any call of these tools takes."""
        return max(self._sandbox.limits.timeout_seconds, self._tests.limits.timeout_seconds) + 30.0

    def run_python(self, code: str) -> str:
        """Run a Python 3 program and return what it prints.

        There is no network and no input, and nothing but the standard library. Print what you want to know.

        Args:
            code: The program's text.
        """
        return describe(self._sandbox.run({"main.py": code}, "main.py"))

    def run_tests(self, files: dict[str, str]) -> str:
        """Run pytest on the files and return what it prints.

        Args:
            files: Relative path -> text, of the modules and their tests. Tests are in files named test_*.py.
        """
        outcome = self.test(files)
        return f"{outcome.summary()}\n{outcome.output}".strip()

    def test(self, files: Mapping[str, str], stop: threading.Event | None = None) -> TestsOutcome:
        """Run pytest on the files.

        Args:
            files: relative path -> text.
            stop: set by another thread, it ends the run.

        Raises:
            ToolError: a path leads out of the working directory, or the files are too many or too large.
            ToolSetupError: pytest is not installed.
            SandboxUnavailableError: as for :meth:`Sandbox.run`.
        """
        result = self._tests.run({**files, _RUNNER: _RUN_PYTEST}, _RUNNER, packages=True, stop=stop)
        if "No module named 'pytest'" in result.stderr:
            raise ToolSetupError("run_tests needs pytest. fix: pip install 'paddock[agents]'")
        output, _, told = result.stdout.rpartition(f"\n{_COUNTS}")
        counts: dict[str, int] = dict.fromkeys(("passed", "failed", "errors", "skipped"), 0)
        problem = _problem(result)
        if told:
            counts |= json.loads(told)
        else:
            output = result.stdout
            problem = problem or "the test run broke off"
        shown = "\n".join(part for part in (output.strip(), result.stderr.strip()) if part)
        return TestsOutcome(**counts, output=shown, problem=problem)


def describe(result: SandboxResult) -> str:
    """What a program gave, as a model reads it."""
    parts = [result.stdout.rstrip("\n")] if result.stdout.strip() else []
    if result.stdout_cut:
        parts.append("[the output was cut off here]")
    if result.stderr.strip():
        parts.append(f"[errors]\n{result.stderr.rstrip()}")
    problem = _problem(result)
    if problem is not None:
        parts.append(f"[{problem}]")
    elif result.exit_code:
        parts.append(f"[exit code {result.exit_code}]")
    return "\n".join(parts) or "[the program printed nothing]"


def _problem(result: SandboxResult) -> str | None:
    if result.ending != "exited":
        return f"the program was ended after {result.seconds:.1f} s: {result.ending}"
    code = result.exit_code
    if code is None:
        return "the program ended without a word"
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return "the program was ended: it used more processor time or memory than it may"
    if code < 0:
        return f"the program was ended by signal {signal.Signals(-code).name}"
    return None
