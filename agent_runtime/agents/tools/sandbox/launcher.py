"""Builds the walls, then starts the program inside. Run as a script by ``run``; needs nothing but Python.

Three processes stand around the program. The first stays outside, to map the users of the new user namespace. The
second makes the namespaces. The third is the first process of the new process namespace: it builds a root of its own,
starts the program, and when it ends every process inside ends with it. Each dies when the one before it does.

The order comes as JSON on standard input. What becomes of it goes as JSON lines to the file descriptor that is the only
argument: ``{"failed": reason}`` or ``{"started": true}`` and ``{"exit": code}``, negative for a signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

Order = dict[str, Any]

# From linux/sched.h, sys/mount.h, linux/mount.h and linux/prctl.h.
_NEW_MOUNTS, _NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NETWORK = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_READ_ONLY, _NO_SUID, _NO_DEVICES, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_DETACH = 2
_AT_HERE, _AT_RECURSIVE = -100, 0x8000
_SET_ATTRIBUTES, _PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}
_DIE_WITH_PARENT, _NO_NEW_PRIVILEGES, _SET_SECCOMP = 1, 38, 22
_SECCOMP_FILTER, _INSTRUCTION_BYTES = 2, 8

INSIDE_ID = 1000
"""The user that the program is, inside."""
_NOBODY = 65534
"""The user that it is outside where the sandbox is started by root, for whom the limit of processes does not count."""
_DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "namespace")]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_void_p)]


def main() -> None:
    """Carry out the order on standard input."""
    order: Order = json.load(sys.stdin.buffer)
    status = int(sys.argv[1])
    os.set_inheritable(status, False)
    _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if order["isolated"]:
        _contain(order, status)
    else:
        _start(order, status, order["directory"])


def _contain(order: Order, status: int) -> None:
    unshared, tell_unshared = os.pipe()
    mapped, tell_mapped = os.pipe()
    builder = os.fork()
    if builder == 0:
        os.close(unshared)
        os.close(tell_mapped)
        _guarded(status, lambda: _build(order, status, tell_unshared, mapped))
    os.close(tell_unshared)
    os.close(mapped)
    if os.read(unshared, 1):
        _guarded(status, lambda: _map_users(builder), leave=False)
        os.write(tell_mapped, b"x")
    os.waitpid(builder, 0)


def _guarded(status: int, work: Any, *, leave: bool = True) -> None:
    """Do the work; where it fails say so and end. Ends after it in any case where ``leave``."""
    try:
        work()
    except BaseException as error:
        _tell(status, {"failed": f"{type(error).__name__}: {error}"})
        os._exit(1)
    if leave:
        os._exit(0)


def _map_users(pid: int) -> None:
    """Say who the users inside are outside: root may map two, anybody else only itself."""
    process = Path(f"/proc/{pid}")
    if os.geteuid() == 0:
        users = groups = f"0 0 1\n{INSIDE_ID} {_NOBODY} 1\n"
    else:
        (process / "setgroups").write_text("deny")
        users, groups = f"{INSIDE_ID} {os.geteuid()} 1\n", f"{INSIDE_ID} {os.getegid()} 1\n"
    (process / "gid_map").write_text(groups)
    (process / "uid_map").write_text(users)


def _build(order: Order, status: int, tell_unshared: int, mapped: int) -> None:
    flags = _NEW_USER | _NEW_NETWORK | _NEW_MOUNTS | _NEW_PIDS | _NEW_IPC | _NEW_UTS
    _check(_libc.unshare(flags), "making namespaces")
    os.write(tell_unshared, b"x")
    if not os.read(mapped, 1):
        os._exit(1)
    _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    first = os.fork()
    if first == 0:
        _guarded(status, lambda: _be_first(order, status))
    os.waitpid(first, 0)


def _be_first(order: Order, status: int) -> None:
    _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    # A namespace inside this one would give the program capabilities there, and more of the kernel to attack. It is
    # read-only in some containers, where the outer walls forbid it already.
    with contextlib.suppress(OSError):
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    _build_root(order)
    _start(order, status, order["directory"])


def _build_root(order: Order) -> None:
    """Make ``staging`` the root of this process: a small file system in memory, and what may be read."""
    root: str = order["staging"]
    _check(_libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None), "making mounts private")
    _mount_memory(root, 1 << 20)
    for path in order["readOnly"]:
        _show(path, root)
    for name in _DEVICES:
        _show(f"/dev/{name}", root, devices=True)
    writable = f"{root}/tmp"  # noqa: S108 - inside, where /tmp is its own
    Path(writable).mkdir()
    _mount_memory(writable, order["limits"]["disk_bytes"])
    work = f"{root}{order['directory']}"
    Path(work).mkdir(parents=True)
    _write_files(work, order["files"])
    if os.getuid() == 0:
        _give_away(writable)
    _check(
        _libc.mount(None, root.encode(), None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | _NO_DEVICES, None),
        "making the root read-only",
    )
    os.chdir(root)
    _check(_libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."), "changing the root")
    _check(_libc.umount2(b".", _DETACH), "leaving the old root")
    os.chdir("/")


def _mount_memory(path: str, size_bytes: int) -> None:
    options = f"size={size_bytes},nr_inodes=20000,mode=0755".encode()
    _check(_libc.mount(b"tmpfs", path.encode(), b"tmpfs", _NO_SUID | _NO_DEVICES, options), f"mounting {path}")


def _show(path: str, root: str, *, devices: bool = False) -> None:
    """Make a path of this machine appear under the new root, read-only; a link is copied as a link."""
    source, target = Path(path), Path(f"{root}{path}")
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    where = os.fsencode(target)
    _check(_libc.mount(os.fsencode(source), where, None, _BIND | _RECURSIVE, None), f"showing {path}")
    attributes = _MountAttributes(_READ_ONLY | _NO_SUID | (0 if devices else _NO_DEVICES), 0, 0, 0)
    _check(
        _libc.syscall(
            _SET_ATTRIBUTES,
            _AT_HERE,
            where,
            _AT_RECURSIVE,
            ctypes.byref(attributes),
            ctypes.sizeof(attributes),
        ),
        f"making {path} read-only",
    )


def _write_files(directory: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _give_away(path: str) -> None:
    os.chown(path, INSIDE_ID, INSIDE_ID)
    for directory, directories, files in os.walk(path):
        for name in [*directories, *files]:
            os.chown(f"{directory}/{name}", INSIDE_ID, INSIDE_ID)


def _start(order: Order, status: int, directory: str) -> None:
    """Start the program, wait for it, and say how it ended. Other processes that end here are cleared away."""
    program = os.fork()
    if program == 0:
        _guarded(status, lambda: _become(order, directory))
    _tell(status, {"started": True})
    while True:
        pid, ended = os.wait()
        if pid == program:
            _tell(status, {"exit": os.waitstatus_to_exitcode(ended)})
            return


def _become(order: Order, directory: str) -> NoReturn:
    os.setsid()
    if order["isolated"] and os.getuid() == 0:
        os.setgroups([])
        os.setresgid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
        os.setresuid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
    if sys.platform == "linux":
        _prctl(_NO_NEW_PRIVILEGES, 1)
    os.chdir(directory)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    # Outside of a user namespace of its own the user's other processes would count too.
    _limit(order["limits"], processes=order["isolated"])
    if order["filter"]:
        _filter_calls(bytes.fromhex(order["filter"]))
    os.execve(order["command"][0], order["command"], order["environment"])  # noqa: S606


def _limit(limits: dict[str, Any], *, processes: bool) -> None:
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["disk_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
    ]
    if processes:
        wanted.append((resource.RLIMIT_NPROC, limits["processes"]))
    for kind, value in wanted:
        _, hard = resource.getrlimit(kind)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            if sys.platform == "linux":  # macOS takes no limit of the address space
                raise


def _filter_calls(program: bytes) -> None:
    """Let the kernel refuse some system calls, of this process and all that it becomes or starts."""
    kept = ctypes.create_string_buffer(program, len(program))
    head = _FilterProgram(len(program) // _INSTRUCTION_BYTES, ctypes.addressof(kept))
    _check(_libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(head), 0, 0), "filtering system calls")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _tell(status: int, document: dict[str, Any]) -> None:
    os.write(status, json.dumps(document).encode() + b"\n")


if __name__ == "__main__":
    main()
