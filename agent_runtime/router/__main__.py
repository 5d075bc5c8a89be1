"""``python -m agent_runtime.router --fleet FILE``: a router in the foreground."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_runtime.router.server import DEFAULT_HOST, DEFAULT_PORT, serve
from fleet_spec.errors import PaddockError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and give its exit code: 0 after a signal, 2 where what was asked is wrong."""
    parser = argparse.ArgumentParser(prog="python -m agent_runtime.router", description="Serve a fleet.")
    parser.add_argument("--fleet", type=Path, required=True, help="the contract's file, followed as it changes")
    parser.add_argument("--host", default=DEFAULT_HOST, help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s; 0 takes a free one")
    options = parser.parse_args(arguments)
    try:
        return serve(options.fleet, host=options.host, port=options.port)
    except PaddockError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
