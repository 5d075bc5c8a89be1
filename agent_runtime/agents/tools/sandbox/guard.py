"""The second line where the first is missing: an audit hook that stops accidents. Run as a script, by path.

``python guard.py DIRECTORY SCRIPT`` runs the script with the hook in place. Code that means to can get around a hook,
through ``ctypes`` for one; this is for code that is trusted and may be wrong.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

_FORBIDDEN = frozenset(
    {
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "os.kill",
        "os.killpg",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "subprocess.Popen",
        "os.fork",
        "os.forkpty",
        "ctypes.dlopen",
    }
)
_WRITERS = frozenset({"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(directory: str) -> None:
    """Forbid the interpreter sockets, other processes, and writing outside of ``directory``."""
    home = os.path.realpath(directory)

    def outside(path: Any) -> bool:
        if isinstance(path, int):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return os.path.commonpath([home, real]) != home and real != os.devnull

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            raise PermissionError(f"{event} is not allowed in the sandbox")
        if event == "open" and arguments[2] & _WRITING and outside(arguments[0]):
            raise PermissionError(f"writing to {arguments[0]} is not allowed in the sandbox")
        if event in _WRITERS and any(outside(path) for path in arguments[:2] if isinstance(path, str | bytes)):
            raise PermissionError(f"{event} outside of the working directory is not allowed in the sandbox")

    sys.addaudithook(hook)


if __name__ == "__main__":
    _home, _script = sys.argv[1:3]
    sys.argv = [_script]
    install(_home)
    runpy.run_path(_script, run_name="__main__")
