"""Starts a program in the sandbox, watches it, and brings back what it printed."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import psutil

from agent_runtime.agents.tools.errors import SandboxUnavailableError, ToolError
from agent_runtime.agents.tools.sandbox.limits import Ending, Isolation, SandboxLimits, SandboxResult
from agent_runtime.agents.tools.sandbox.system_calls import filter_for

_HERE = Path(__file__).parent
_LOOK_SECONDS = 0.05
_OUTPUT_FACTOR = 16
_START_SECONDS = 20.0
"""How long the walls may take to build, on a machine that is busy. The program's own time begins after that."""
_MOST_FILES = 200
_MOST_FILE_BYTES = 4 << 20
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")


@dataclass
class _Watched:
    """What came of a running program so far."""

    stop: threading.Event | None
    kept: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    written: dict[str, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0})
    status: bytearray = field(default_factory=bytearray)
    started_at: float | None = None
    ending: Ending = "exited"


class Sandbox:
    """Runs Python programs. See the package's docstring for what it guarantees."""

    def __init__(self, limits: SandboxLimits | None = None, *, allow_unisolated: bool = False) -> None:
        """Make a sandbox.

        Args:
            limits: what a program may take.
            allow_unisolated: whether code may run with the limits alone where this machine offers no isolation. Only
                for code that you trust.
        """
        self.limits = limits or SandboxLimits()
        self.allow_unisolated = allow_unisolated

    def check(self) -> Isolation:
        """Run an empty program, and say what stood around it.

        Raises:
            SandboxUnavailableError: as for :meth:`run`.
        """
        return self.run({"main.py": ""}, "main.py").isolation

    def run(
        self,
        files: Mapping[str, str],
        script: str,
        *,
        packages: bool = False,
        stop: threading.Event | None = None,
    ) -> SandboxResult:
        """Run one of the files as a Python program.

        Args:
            files: the working directory's files: relative path -> text.
            script: which of them to run.
            packages: whether the packages that are installed beside Paddock can be imported, and not only Python's own.
            stop: set by another thread, it ends the program.

        Raises:
            SandboxUnavailableError: there is no isolation here, and it was not allowed to go without.
            ToolError: a path leads out of the directory, or the files are too many or too large.
        """
        _check_files(files, script)
        try:
            return self._run(files, script, stop, packages=packages, isolated=True)
        except SandboxUnavailableError:
            if not self.allow_unisolated:
                raise
            return self._run(files, script, stop, packages=packages, isolated=False)

    def _run(
        self,
        files: Mapping[str, str],
        script: str,
        stop: threading.Event | None,
        *,
        packages: bool,
        isolated: bool,
    ) -> SandboxResult:
        if isolated and sys.platform != "linux":
            raise SandboxUnavailableError(_unavailable(f"{sys.platform} has no namespaces"))
        with tempfile.TemporaryDirectory(prefix="paddock-sandbox-") as staging:
            if not isolated:
                for name, text in files.items():
                    path = Path(staging) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text, encoding="utf-8")
            order = self._order(files, script, staging, packages=packages, isolated=isolated)
            return self._carried_out(order, stop, isolated=isolated)

    def _order(
        self, files: Mapping[str, str], script: str, staging: str, *, packages: bool, isolated: bool
    ) -> dict[str, Any]:
        interpreter = str(Path(sys.executable).resolve())
        libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}) if packages else []
        directory = "/tmp/work" if isolated else staging  # noqa: S108 - inside, where /tmp is its own
        guard = [] if isolated else [str(_HERE / "guard.py"), directory]
        python = str(Path(sys.base_prefix).resolve())
        return {
            "isolated": isolated,
            "staging": staging,
            "directory": directory,
            "files": dict(files) if isolated else {},
            "command": [interpreter, "-B", *guard, f"{directory}/{script}"],
            "readOnly": list(dict.fromkeys([*_SYSTEM, *_not_within_system([python, *libraries])])),
            "limits": self.limits.to_mapping(),
            "filter": (filter_for(platform.machine()) or b"").hex() if platform.system() == "Linux" else "",
            "environment": {
                "PATH": "/usr/bin:/bin",
                "HOME": directory,
                "TMPDIR": "/tmp" if isolated else directory,  # noqa: S108
                "LANG": "C.UTF-8",
                "USER": "sandbox",
                "LOGNAME": "sandbox",
                **({"PYTHONPATH": os.pathsep.join([directory, *libraries])} if packages else {}),
            },
        }

    def _carried_out(self, order: Mapping[str, Any], stop: threading.Event | None, *, isolated: bool) -> SandboxResult:
        status, tell_status = os.pipe()
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_HERE / "launcher.py"), str(tell_status)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[tell_status],
            env={},
            cwd="/",
            start_new_session=True,
        )
        os.close(tell_status)
        watched = _Watched(stop)
        begun = time.monotonic()
        try:
            with os.fdopen(status, "rb") as status_stream, launcher:
                try:
                    with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", launcher.stdin) as order_stream:
                        order_stream.write(json.dumps(order).encode())
                    self._watch(launcher, status_stream, watched)
                finally:
                    _kill(launcher)
        except OSError as error:
            raise ToolError(f"the sandbox failed: {error}") from error
        return self._result(watched, begun, isolated=isolated)

    def _watch(self, launcher: subprocess.Popen[bytes], status: IO[bytes], watched: _Watched) -> None:
        """Read what the program writes until nobody holds the other ends, or it goes too far."""
        begun = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for name, stream in (("status", status), ("stdout", launcher.stdout), ("stderr", launcher.stderr)):
                selector.register(cast("IO[bytes]", stream), selectors.EVENT_READ, name)
            while selector.get_map():
                for key, _ in selector.select(_LOOK_SECONDS):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                        continue
                    self._take(watched, cast("str", key.data), data)
                problem = self._too_far(launcher, watched, begun)
                if problem is not None:
                    watched.ending = problem
                    return

    def _take(self, watched: _Watched, name: str, data: bytes) -> None:
        if name == "status":
            watched.status += data
            if watched.started_at is None and b"started" in watched.status:
                watched.started_at = time.monotonic()
            return
        room = self.limits.output_bytes - len(watched.kept[name])
        watched.kept[name] += data[: max(0, room)]
        watched.written[name] += len(data)

    def _too_far(self, launcher: subprocess.Popen[bytes], watched: _Watched, begun: float) -> Ending | None:
        now = time.monotonic()
        if watched.stop is not None and watched.stop.is_set():
            return "stopped"
        if watched.started_at is None:
            return "timed out" if now - begun > _START_SECONDS else None
        if now - watched.started_at > self.limits.timeout_seconds:
            return "timed out"
        if sum(watched.written.values()) > _OUTPUT_FACTOR * self.limits.output_bytes:
            return "too much output"
        if _resident_bytes(launcher.pid) > self.limits.memory_bytes:
            return "out of memory"
        return None

    def _result(self, watched: _Watched, begun: float, *, isolated: bool) -> SandboxResult:
        told: dict[str, Any] = {}
        for line in watched.status.splitlines():
            told.update(json.loads(line))
        if watched.started_at is None and watched.ending == "timed out":
            raise ToolError(
                f"the sandbox was not ready within {_START_SECONDS:g} s. fix: try again on a quieter machine"
            )
        if "failed" in told or (not told and watched.ending == "exited"):
            reason = (
                told.get("failed") or watched.kept["stderr"].decode(errors="replace")[-300:] or "no reason was told"
            )
            if "started" in told:
                raise ToolError(f"the program could not be started: {reason}")
            raise SandboxUnavailableError(_unavailable(str(reason)))
        limit = self.limits.output_bytes
        return SandboxResult(
            ending=watched.ending,
            exit_code=told.get("exit") if watched.ending == "exited" else None,
            stdout=watched.kept["stdout"].decode(errors="replace"),
            stderr=watched.kept["stderr"].decode(errors="replace"),
            stdout_cut=watched.written["stdout"] > limit,
            stderr_cut=watched.written["stderr"] > limit,
            seconds=time.monotonic() - (watched.started_at or begun),
            isolation="namespaces" if isolated else "limits",
        )


def _check_files(files: Mapping[str, str], script: str) -> None:
    for name in files:
        path = PurePosixPath(name)
        if not name or "\0" in name or path.is_absolute() or ".." in path.parts:
            raise ToolError(f"the path {name!r} is not inside the working directory. fix: a relative path without ..")
    if script not in files:
        raise ToolError(f"there is no file {script!r}. fix: one of {', '.join(sorted(files)) or 'no files'}")
    try:
        size = sum(len(text.encode()) for text in files.values())
    except UnicodeEncodeError as error:
        raise ToolError(
            f"a file is no text: {error.reason} at character {error.start + 1}. fix: write UTF-8"
        ) from error
    if len(files) > _MOST_FILES or size > _MOST_FILE_BYTES:
        raise ToolError(
            f"{len(files)} files of {size} bytes are too much. fix: at most {_MOST_FILES} of {_MOST_FILE_BYTES} bytes"
        )


def _not_within_system(paths: Sequence[str]) -> list[str]:
    """Those that the system's directories do not hold already; of two, one in the other, the outer one."""
    outside = [path for path in paths if not any(Path(path).is_relative_to(system) for system in _SYSTEM)]
    return [
        path for path in outside if not any(path != other and Path(path).is_relative_to(other) for other in outside)
    ]


def _unavailable(reason: str) -> str:
    return (
        f"this machine cannot isolate code: {reason}. fix: Linux 5.12 or later that lets a user make namespaces "
        "(in a container: --security-opt seccomp=unconfined); or allow code that you trust with allow_unisolated"
    )


def _resident_bytes(pid: int) -> int:
    """What a process's descendants have in memory, shared libraries left out."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                memory: Any = child.memory_info()
                total += memory.rss - getattr(memory, "shared", 0)
    return total


def _kill(launcher: subprocess.Popen[bytes]) -> None:
    """End the launcher and everything below it."""
    below: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        below = psutil.Process(launcher.pid).children(recursive=True)
    launcher.kill()
    for process in below:
        with contextlib.suppress(psutil.Error):
            process.kill()
