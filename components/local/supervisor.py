"""Looks after one process: starts it, keeps its log, starts it again when it crashes, stops it when told.

Run as ``python -m components.local.supervisor DIRECTORY`` with a :class:`SupervisorSpec` on standard
input. It returns as soon as the process is started and a detached copy of itself looks after it: nothing
of the caller's (terminal, pipes, session, working directory) is held. One supervisor per process, so that a
fault in one is a fault of one. Imports little on purpose: there is one in memory for each replica.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

from components.local.backoff import Backoff
from components.local.identity import LINUX, ProcessId, group_members, identify, orphans_of, signal_process
from components.local.records import LOG_NAME, SUPERVISOR_LINE, LastExit, ProcessRecord, State
from components.local.rotated_log import RotatedLog
from components.local.supervisor_spec import SupervisorSpec

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CHUNK_BYTES = 64 * 1024
_POLL_SECONDS = 0.1
_SIGNALS_OF_OTHERS = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2)


class Supervisor:
    """The loop. Single-threaded: the child is forked from the thread whose death the kernel watches."""

    def __init__(self, spec: SupervisorSpec) -> None:
        self._spec = spec
        self._log = RotatedLog(spec.path / LOG_NAME, max_bytes=spec.log_max_bytes, files=spec.log_files)
        self._backoff = Backoff(spec.backoff_initial_seconds, spec.backoff_maximum_seconds, spec.backoff_reset_seconds)
        self._started_at = _now()
        self._child: ProcessId | None = None
        self._child_started = 0.0
        self._output = -1
        self._start_again_at: float | None = None
        self._restarts = 0
        self._last_exit: LastExit | None = None
        self._stopping = False
        me = identify(os.getpid())
        assert me is not None, "a running process is alive"  # noqa: S101
        self._me = me
        self._wakeup, wakeup_write = os.pipe()
        for end in (self._wakeup, wakeup_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in _SIGNALS_OF_OTHERS:
            signal.signal(number, signal.SIG_IGN)

    def run(self, started: Callable[[], None]) -> None:
        """Start the child, call ``started``, and look after the child until SIGTERM comes."""
        self._record("starting")
        self._spawn()
        started()
        while not self._stopping:
            self._wait(self._seconds_to_restart())
            self._reap()
            if self._start_again_at is not None and time.monotonic() >= self._start_again_at:
                self._restarts += 1
                self._spawn()
        self._stop_child()
        self._say("stopped")
        self._record("stopped")

    def _on_sigterm(self, *_: object) -> None:
        self._stopping = True

    def _seconds_to_restart(self) -> float | None:
        return None if self._start_again_at is None else max(0.0, self._start_again_at - time.monotonic())

    def _record(self, state: State) -> None:
        with contextlib.suppress(OSError):  # the folder is gone or the disk full: the child matters more
            ProcessRecord(
                name=self._spec.name,
                directory=self._spec.path,
                spec_hash=self._spec.spec_hash,
                token=self._spec.token,
                port=self._spec.port,
                supervisor=self._me,
                started_at=self._started_at,
                child=self._child,
                state=state,
                restarts=self._restarts,
                last_exit=self._last_exit,
            ).write()

    def _say(self, text: str) -> None:
        self._log.write(f"{SUPERVISOR_LINE}{_now()}] {self._spec.name}: {text}\n".encode())

    def _spawn(self) -> None:
        self._start_again_at = None
        self._output, write_end = os.pipe()
        os.set_blocking(self._output, False)
        pid = os.fork()
        if pid == 0:
            _become(self._spec, write_end, self._me.pid)
        os.close(write_end)
        self._child_started = time.monotonic()
        # The child cannot be gone: a dead child stays a zombie until _reap, and a zombie has no identity.
        self._child = identify(pid) or ProcessId(pid, "ended at once")
        self._record("running")

    def _wait(self, timeout_seconds: float | None) -> None:
        """Sleep until there is output, a signal, or the time is over; move output to the log."""
        sources = [self._wakeup] if self._output < 0 else [self._wakeup, self._output]
        ready, _, _ = select.select(sources, [], [], timeout_seconds)
        if self._wakeup in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup, _CHUNK_BYTES)
        if self._output in ready:
            self._drain()

    def _drain(self, *, everything: bool = False) -> None:
        while self._output >= 0:
            try:
                data = os.read(self._output, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not data:
                os.close(self._output)
                self._output = -1
                return
            self._log.write(data)
            if not everything:
                return

    def _reap(self) -> None:
        """Collect what has ended: the child, and orphans of its that became ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._child is not None and pid == self._child.pid:
                self._child_ended(status)

    def _child_ended(self, status: int) -> None:
        assert self._child is not None, "called for the child only"  # noqa: S101
        for pid in orphans_of(self._child.pid, self._spec.token):  # what it left behind may hold its port
            signal_process(pid, signal.SIGKILL)
        self._child = None
        self._drain(everything=True)
        if self._output >= 0:
            os.close(self._output)
            self._output = -1
        code = os.waitstatus_to_exitcode(status)
        self._last_exit = LastExit(code if code >= 0 else None, -code if code < 0 else None, _now())
        if self._stopping:
            return
        delay = self._backoff.delay_seconds(time.monotonic() - self._child_started)
        self._start_again_at = time.monotonic() + delay
        self._say(f"ended with {self._last_exit}; starting it again in {delay:g} s")
        self._record("backoff")

    def _stop_child(self) -> None:
        self._start_again_at = None
        if self._child is None:
            return
        group = self._child.pid
        _signal_group(group, signal.SIGTERM)
        if not self._group_ends(group, self._spec.stop_timeout_seconds):
            self._say(f"did not end in {self._spec.stop_timeout_seconds:g} s after SIGTERM; killing it")
            _signal_group(group, signal.SIGKILL)
            self._group_ends(group, 5.0)

    def _group_ends(self, group: int, timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while self._child is not None or group_members(group):
            if time.monotonic() > deadline:
                return False
            self._wait(_POLL_SECONDS)
            self._reap()
        return True


def _become(spec: SupervisorSpec, output: int, supervisor_pid: int) -> NoReturn:
    """In the forked child: turn into the program. Never returns."""
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor_pid:  # it died before the line above took effect
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (*_SIGNALS_OF_OTHERS, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execvpe(spec.command[0], spec.command, spec.environment)  # noqa: S606
    except BaseException as error:
        os.write(output, f"[paddock] {spec.name}: cannot start {spec.command[0]!r}: {error}\n".encode())
    finally:
        os._exit(127)


def _prctl(option: int, value: int) -> None:
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _detach(directory: str, keep: int) -> None:
    """Hold nothing of the caller's but the descriptor ``keep``."""
    os.setsid()
    os.umask(0o077)
    os.chdir(directory)
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX") if LINUX else 256)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def main() -> int:
    """Read the spec, start the supervisor in the background, and return 0 once the process is started."""
    try:
        spec = SupervisorSpec.from_json(sys.stdin.buffer.read())
    except (ValueError, TypeError) as error:
        sys.stderr.write(f"supervisor: the spec on standard input cannot be used: {error}\n")
        return 2
    spec.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    news, news_write = os.pipe()
    if os.fork() > 0:
        os.close(news_write)
        with os.fdopen(news, "rb") as pipe:
            message = pipe.read().decode()
        if message != "started":
            sys.stderr.write(message or "the supervisor ended at once\n")
        return 0 if message == "started" else 1

    def report(text: str) -> None:
        nonlocal news_write
        with contextlib.suppress(OSError):
            os.write(news_write, text.encode())
            os.close(news_write)
        news_write = -1

    try:
        _detach(spec.directory, keep=news_write)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        Supervisor(spec).run(lambda: report("started"))
    except BaseException as error:
        RotatedLog(spec.path / LOG_NAME).write(f"[paddock] supervisor: {error!r}\n".encode())
        report(f"the supervisor failed: {error!r}\n")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
