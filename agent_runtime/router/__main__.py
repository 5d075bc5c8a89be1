"""``python -m agent_runtime.router --fleet FILE``: a router in the foreground."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_runtime.router.server import serve
from agent_runtime.router.settings import DEFAULT_HOST, DEFAULT_PORT, Settings
from agent_runtime.router.workers import Seat
from fleet_spec.errors import PaddockError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and give its exit code: 0 after a signal, 2 where what was asked is wrong."""
    parser = argparse.ArgumentParser(prog="python -m agent_runtime.router", description="Serve a fleet.")
    parser.add_argument("--fleet", type=Path, required=True, help="the contract's file, followed as it changes")
    parser.add_argument("--host", default=DEFAULT_HOST, help="default: %(default)s; beyond loopback it asks for keys")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s; 0 takes a free one")
    parser.add_argument("--secrets", type=Path, help="the folder with its keys, followed as it changes")
    parser.add_argument("--data", type=Path, help="the folder for what it has to remember")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port (default: %(default)s)")
    # How a parent starts its workers.
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--shared", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    seat = None if options.worker is None else Seat.parse(options.worker, options.shared)
    settings = Settings(options.fleet, options.host, options.port, options.secrets, options.data, options.workers, seat)
    try:
        return serve(settings)
    except PaddockError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
