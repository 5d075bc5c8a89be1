"""Turns into open-webui, with its keys from files.

Run as ``python -m components.local.web_ui_server``. open-webui takes its keys from its environment alone, and
the environment that the engine gives a process is kept in the stack's state and the supervisor's memory. So the keys
are read here, in the last moment before the process becomes open-webui.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

_OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Would make the other Python import what is installed for this one."""


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the options are those that :mod:`components.local.web_ui` writes."""
    parser = argparse.ArgumentParser(prog="web_ui_server", description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="the Python of open-webui's environment")
    parser.add_argument("--router-key", type=Path, required=True, help="the file with the key that the router asks for")
    parser.add_argument("--session-key", type=Path, required=True, help="the file with the key that signs sessions")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args(argv)


def server_command(python: Path, host: str, port: int) -> list[str]:
    """The command that serves open-webui. It runs the script by name: the first line of one has a limited length."""
    return [str(python), str(python.with_name("open-webui")), "serve", "--host", host, "--port", str(port)]


def server_environment(given: Mapping[str, str], router_key: str, session_key: str) -> dict[str, str]:
    """The environment of open-webui: what the stack says, its keys, and nothing of this Python's."""
    environment = {name: value for name, value in given.items() if name not in _OF_THIS_PYTHON}
    environment["OPENAI_API_KEY"] = router_key
    environment["WEBUI_SECRET_KEY"] = session_key
    # A proxy that this machine uses for the world outside is not to be asked for the router.
    router_host = urlsplit(environment.get("OPENAI_API_BASE_URL", "")).hostname
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in (environment.get(name), router_host) if host]
        environment[name] = ",".join(hosts)
    return environment


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Become open-webui, or end with what is missing."""
    arguments = parse_arguments(argv)
    try:
        router_key, session_key = (
            path.read_text(encoding="utf-8").strip() for path in (arguments.router_key, arguments.session_key)
        )
    except OSError as error:
        sys.exit(f"no key for the web UI: {error}. fix: run `paddock up` again to write it")
    command = server_command(arguments.python, arguments.host, arguments.port)
    missing = next((path for path in command[:2] if not os.access(path, os.R_OK)), None)
    if missing is not None:
        sys.exit(f"open-webui is not installed: no {missing}. fix: paddock up")
    os.execve(command[0], command, server_environment(os.environ, router_key, session_key))  # noqa: S606


if __name__ == "__main__":
    main()
