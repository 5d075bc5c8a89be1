"""The sandbox: each test is code that tries to get out, or to take more than it may."""

from __future__ import annotations

import http.server
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent_runtime.agents.tools.errors import SandboxUnavailableError, ToolError
from agent_runtime.agents.tools.python_tools import PythonTools
from agent_runtime.agents.tools.sandbox import run as running
from agent_runtime.agents.tools.sandbox.limits import SandboxLimits, SandboxResult
from agent_runtime.agents.tools.sandbox.run import Sandbox
from agent_runtime.agents.tools.sandbox.system_calls import filter_for
from tests.programs import lacking

LIMITS = SandboxLimits(timeout_seconds=20, cpu_seconds=20, memory_bytes=256 << 20, disk_bytes=16 << 20, processes=16)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    made = Sandbox(LIMITS)
    try:
        made.check()
    except SandboxUnavailableError as error:
        lacking(str(error))
    return made


@pytest.fixture
def port() -> Iterator[int]:
    """A server of this machine that the code must not reach."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def tried(sandbox: Sandbox, code: str) -> SandboxResult:
    return sandbox.run({"main.py": code}, "main.py")


def test_code_runs_and_prints(sandbox: Sandbox) -> None:
    result = tried(sandbox, "import sys; print(6 * 7); print('oh', file=sys.stderr); sys.exit(3)")
    assert (result.ending, result.exit_code, result.stdout, result.stderr) == ("exited", 3, "42\n", "oh\n")
    assert result.isolation == "namespaces"


def test_it_reaches_no_network_not_even_this_machines_own(sandbox: Sandbox, port: int) -> None:
    code = f"""
import socket
for family, address in [(socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_INET, ('1.1.1.1', 53))]:
    try:
        socket.socket(family).connect(address)
        print('connected', address)
    except OSError as error:
        print('no')
"""
    assert tried(sandbox, code).stdout == "no\nno\n"


def test_it_sees_no_file_of_this_machine(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("s" + "ecret")
    code = f"""
import os
for path in [{str(secret)!r}, '/etc/passwd', '/etc/hostname', '/proc/1/environ', '/proc/self/root', '/var/log',
             '/root/.ssh', '/home', '/run', '/sys', '/dev/mem', '/dev/sda', '/dev/tty']:
    if os.path.lexists(path):
        print('there is', path)
print(sorted(os.listdir('.')))
"""
    assert tried(sandbox, code).stdout == "['main.py']\n"


def test_it_writes_nowhere_but_to_its_own_memory(sandbox: Sandbox) -> None:
    code = """
import sys, os, pathlib
for path in ['/x', '/usr/x', '/dev/x', os.path.dirname(os.__file__) + '/x.py', sys.executable]:
    try:
        open(path, 'a').close()
        print('wrote', path)
    except OSError:
        pass
pathlib.Path('note.txt').write_text('mine')
pathlib.Path('/tmp/note.txt').write_text('mine')
print(open('note.txt').read())
"""
    assert tried(sandbox, code).stdout == "mine\n"
    assert not Path("/tmp/note.txt").exists()


def test_it_has_no_environment_and_no_open_files(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_API_KEY", "k" + "ey")
    code = """
import os
print(sorted(os.environ))
def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
print([number for number in range(3, 100) if is_open(number)])
"""
    names, numbers = tried(sandbox, code).stdout.splitlines()
    assert names == "['HOME', 'LANG', 'LOGNAME', 'PATH', 'TMPDIR', 'USER']"
    assert numbers == "[]"


def test_it_can_neither_see_nor_signal_other_processes(sandbox: Sandbox) -> None:
    code = f"""
import os, signal
for pid in [*range(1, 10), {os.getpid()}, {os.getppid()}]:
    if pid == os.getpid():
        continue
    try:
        os.kill(pid, signal.SIGKILL)
        print('signalled', pid)
    except (ProcessLookupError, PermissionError):
        pass
print('alive')
"""
    # The first process inside is out of reach of signals from inside, also where sending one is no error.
    assert tried(sandbox, code).stdout.removeprefix("signalled 1\n") == "alive\n"


def test_the_kernel_refuses_what_no_ordinary_program_needs(sandbox: Sandbox) -> None:
    if filter_for(platform.machine()) is None:
        pytest.skip("the numbers of this machine's system calls are not known")
    code = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
# keyctl, bpf, io_uring_setup, perf_event_open, ptrace
numbers = {'x86_64': (250, 321, 425, 298, 101), 'aarch64': (219, 280, 425, 241, 117)}
for number in numbers[os.uname().machine]:
    print(libc.syscall(number, 0, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()])
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
    try:
        socket.socket(family, socket.SOCK_DGRAM)
        print('made')
    except OSError as error:
        print(errno.errorcode[error.errno])
left, right = socket.socketpair()
left.send(b'hi')
print(right.recv(2))
"""
    lines = tried(sandbox, code).stdout.splitlines()
    assert lines == ["-1 EPERM"] * 5 + ["EPERM"] * 4 + ["b'hi'"]


@pytest.mark.skipif(filter_for(platform.machine()) is None or sys.platform != "linux", reason="seccomp is Linux's")
def test_where_there_is_no_isolation_the_kernel_still_refuses_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.sys, "platform", "darwin")
    code = "import socket\ntry:\n    socket.socket()\nexcept PermissionError as error:\n    print(error.errno)"
    # An audit hook's refusal has no number.
    assert tried(Sandbox(allow_unisolated=True), code).stdout == "1\n"


def test_it_can_get_no_capabilities(sandbox: Sandbox) -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), libc.unshare(0x40000000), libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))
print(libc.chroot(b'/tmp'), libc.sethostname(b'x', 1), libc.ptrace(16, 1, 0, 0))
for change in (lambda: os.setuid(0), lambda: os.chown('main.py', 0, 0)):
    try:
        change()
        print('changed')
    except OSError:
        pass
"""
    assert tried(sandbox, code).stdout == "-1 -1 -1\n-1 -1 -1\n"


def test_a_fork_bomb_is_bounded_and_nothing_of_it_stays(sandbox: Sandbox) -> None:
    code = """
import os, time
made = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(600)
    except OSError:
        break
    made += 1
print(made)
"""
    before = set(psutil.pids())
    result = tried(sandbox, code)
    assert 0 < int(result.stdout) <= LIMITS.processes
    assert_nothing_stays(before)


def test_what_it_leaves_running_in_the_background_ends_with_it(sandbox: Sandbox) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\nprint('done')"
    before = set(psutil.pids())
    assert tried(sandbox, code).stdout == "done\n"
    assert_nothing_stays(before)


def assert_nothing_stays(before: set[int]) -> None:
    """No process of the sandbox is left: they are this process's descendants, or orphans with a launcher's name."""
    deadline = time.monotonic() + 20
    while left := [p for p in psutil.Process().children(recursive=True) if p.pid not in before]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_memory_of_one_process_is_bounded(sandbox: Sandbox) -> None:
    result = tried(sandbox, "x = bytearray(10**9)")
    assert "MemoryError" in result.stderr


def test_memory_of_all_processes_together_is_bounded(sandbox: Sandbox) -> None:
    code = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        block = bytearray(b'x') * (100 << 20)
        time.sleep(600)
time.sleep(600)
"""
    assert tried(sandbox, code).ending == "out of memory"


def test_what_it_writes_to_disk_is_bounded(sandbox: Sandbox) -> None:
    code = "for i in range(9):\n    open(f'/tmp/{i}', 'wb').write(b'x' * (4 << 20))"
    assert "No space left on device" in tried(sandbox, code).stderr


def test_time_is_bounded_and_signals_do_not_help() -> None:
    code = """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU):
    signal.signal(number, signal.SIG_IGN)
print('here', flush=True)
time.sleep(600)
"""
    limits = SandboxLimits(timeout_seconds=1.0)
    result = tried(Sandbox(limits, allow_unisolated=True), code)
    assert (result.ending, result.exit_code, result.stdout) == ("timed out", None, "here\n")


def test_another_thread_can_stop_it() -> None:
    stop = threading.Event()
    stop.set()
    result = Sandbox(allow_unisolated=True).run({"main.py": "import time; time.sleep(600)"}, "main.py", stop=stop)
    assert result.ending == "stopped"


def test_processor_time_is_bounded() -> None:
    limits = SandboxLimits(timeout_seconds=60, cpu_seconds=1)
    result = tried(Sandbox(limits, allow_unisolated=True), "while True: pass")
    assert result.exit_code in (-signal.SIGXCPU, -signal.SIGKILL)


def test_output_is_bounded_and_a_flood_is_ended() -> None:
    small = Sandbox(SandboxLimits(output_bytes=1000), allow_unisolated=True)
    result = tried(small, "print('x' * 3000)")
    assert (len(result.stdout), result.stdout_cut, result.ending) == (1000, True, "exited")
    assert tried(small, "while True: print('x' * 1000)").ending == "too much output"


@pytest.mark.parametrize("name", ["../x.py", "/tmp/x.py", "a/../../x.py", ""])
def test_files_stay_inside_the_working_directory(name: str) -> None:
    with pytest.raises(ToolError, match="not inside the working directory"):
        Sandbox().run({name: "", "main.py": ""}, "main.py")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ToolError, match="a file is no text"):
        Sandbox().run({"main.py": "x = '\ud83d'"}, "main.py")


def test_without_isolation_code_is_refused_unless_it_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailableError, match=r"cannot isolate code.*allow_unisolated"):
        tried(Sandbox(), "print(1)")


@pytest.mark.skipif(sys.platform != "linux", reason="what a launcher does where namespaces are refused")
def test_trusted_code_runs_with_limits_alone_where_there_is_no_isolation(
    monkeypatch: pytest.MonkeyPatch, port: int, tmp_path: Path
) -> None:
    monkeypatch.setattr(running.sys, "platform", "darwin")
    target = tmp_path / "out.txt"
    code = f"""
import os, socket, urllib.request
for attempt in (lambda: socket.create_connection(('127.0.0.1', {port})), lambda: open({str(target)!r}, 'w'),
                lambda: os.kill({os.getpid()}, 9), lambda: os.system('true'), lambda: os.fork()):
    try:
        attempt()
        print('done')
    except PermissionError:
        pass
open('own.txt', 'w').write('x')
print(sorted(os.environ), os.listdir('.'))
"""
    result = tried(Sandbox(allow_unisolated=True), code)
    assert result.isolation == "limits"
    assert result.stdout.startswith("['HOME', 'LANG', 'LOGNAME', 'PATH', 'TMPDIR', 'USER']"), result.stderr
    assert not target.exists()


def test_run_python_tells_output_errors_and_how_it_ended() -> None:
    tools = PythonTools(Sandbox(SandboxLimits(timeout_seconds=1.0), allow_unisolated=True))
    assert tools.run_python("print('hi')") == "hi"
    assert tools.run_python("x = 1") == "[the program printed nothing]"
    failed = tools.run_python("1 / 0")
    assert "ZeroDivisionError" in failed
    assert failed.endswith("[exit code 1]")
    assert "timed out" in tools.run_python("import time; time.sleep(600)")


def test_run_tests_runs_pytest_and_counts() -> None:
    tools = PythonTools(Sandbox(allow_unisolated=True))
    files = {
        "shapes.py": "def area(side):\n    return side * side\n",
        "test_shapes.py": "from shapes import area\n\ndef test_two():\n    assert area(2) == 4\n\n"
        "def test_wrong(tmp_path):\n    assert area(3) == 6\n",
    }
    outcome = tools.test(files)
    assert (outcome.passed, outcome.failed, outcome.errors, outcome.succeeded) == (1, 1, 0, False)
    assert "assert 9 == 6" in outcome.output
    assert tools.test({"shapes.py": ""}).summary() == "no tests were found"
    assert tools.run_tests({"test_x.py": "def test_(:"}).startswith("0 passed, 0 failed, 1 errors")
