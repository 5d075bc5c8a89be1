"""Small servers for the supervisor to look after, and ways to wait for what they do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
DEADLINE_SECONDS = 30.0

SERVER = """
import http.server, os, signal, subprocess, sys, threading, time
port, *wishes = sys.argv[1:]
print("starting with pid", os.getpid(), flush=True)
if "stubborn" in wishes:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "children" in wishes:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child.stdout.readline()
    open("grandchild.pid", "w").write(str(child.pid))
if "broken" in wishes:
    sys.exit("no such weights: tiny.gguf")
if "silent" in wishes:
    time.sleep(600)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        if self.path == "/chatter":
            print("x" * 1000, flush=True)
        self.send_response(503 if "unhealthy" in wishes else 200)
        self.end_headers()
        self.wfile.write((os.environ.get("GREETING", "") + " " + str(os.getpid())).encode())
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


def server_command(*wishes: str, port: str = "{port}") -> list[str]:
    """A server that answers 200, made worse by ``wishes``: stubborn, children, broken, silent, unhealthy."""
    return [sys.executable, "-c", SERVER, port, *wishes]


def wait_for(what: str, look: Callable[[], Found]) -> Found:
    """Look until something true is found."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS:g} s in vain for {what}"
        time.sleep(0.02)
    return found


def grandchild_of(directory: Path) -> int:
    """The id of the process that a server with ``children`` started."""
    return int((directory / "grandchild.pid").read_text())
