"""The engine's command line as a child process that Ctrl-C reaches once, and in order."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error


class EngineCommand(PulumiCommand):
    """Runs the engine in a process group of its own.

    A terminal sends Ctrl-C to every process of the foreground group. The engine must not get it there
    and from us as well, since it takes a second one as an order to stop at once.
    """

    def __init__(self, root: str) -> None:
        super().__init__(root=root)
        self._process: subprocess.Popen[str] | None = None

    def interrupt(self) -> None:
        """Ask the engine to stop in order: resources under way are cancelled and the state is written."""
        process = self._process
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> CommandResult:
        """Run one command of the engine. Raises the SDK's CommandError where it fails."""
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        command = [self.command, "--non-interactive", *args]
        lines: tuple[list[str], list[str]] = ([], [])
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            self._process = process
            assert process.stdout is not None  # noqa: S101
            assert process.stderr is not None  # noqa: S101
            readers = [
                threading.Thread(target=_read, args=(process.stdout, on_output, lines[0])),
                threading.Thread(target=_read, args=(process.stderr, on_error, lines[1])),
            ]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
        result = CommandResult(stdout="\n".join(lines[0]), stderr="\n".join(lines[1]), code=process.returncode)
        if result.code != 0:
            raise create_command_error(result)
        return result


def _read(stream: IO[str], callback: Callable[[str], Any] | None, lines: list[str]) -> None:
    for line in stream:
        stripped = line.rstrip()
        if callback is not None:
            callback(stripped)
        lines.append(stripped)
