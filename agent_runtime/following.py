r"""Waits until every replica of a router asks the servers that a new contract names.

On a cluster a contract reaches the router's replicas when their kubelets look again, a minute or two after it was
changed. The servers that only the old contract names may not go before that. So this runs between the two::

    python -m agent_runtime.following --router router-replicas.llm-serving.svc --port 8080 \
        --models '{"chat": "chat-g1a2b3-endpoints.llm-serving.svc"}'

It reads what each replica tells under /readyz: the models that it knows, and the addresses where it asks for them.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

DEFAULT_TIMEOUT_SECONDS = 540.0
POLL_SECONDS = 2.0
REQUEST_TIMEOUT_SECONDS = 5.0
LOOKS_IN_A_ROW = 2
"""A replica may be several processes, of which each look meets one."""

Resolve = Callable[[str], set[str]]
"""The addresses that a host's name stands for; none where it stands for nothing."""
Fetch = Callable[[str], object]
"""The JSON document at an address. Raises OSError or ValueError."""


def addresses_of(host: str) -> set[str]:
    """The addresses behind a name, by DNS."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return set()
    return {str(one[4][0]) for one in found}


def fetch_json(url: str) -> object:
    """The JSON document at an address, whatever its status: a replica that is not ready answers with 503.

    Raises:
        OSError: nobody answers.
        ValueError: it is not JSON.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=REQUEST_TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return json.load(refused)


def lag(status: Mapping[str, Any], models: Mapping[str, str], aliases: Collection[str], resolve: Resolve) -> str | None:
    """What of a contract a replica does not follow yet; None where it follows all of it.

    Args:
        status: The body of its /readyz.
        models: The contract's models, and for each the host where it is asked for.
        aliases: Further names that the contract has.
        resolve: How names become addresses. A replica may show a name, or each address that it stands for.
    """
    known = cast("Mapping[str, Any]", status.get("models", {}))
    extra = sorted(set(known) - set(models) - set(aliases))
    if extra:
        return f"it still has {', '.join(extra)}"
    for name, host in models.items():
        if name not in known:
            return f"it does not have {name} yet"
        urls = cast("Collection[str]", known[name].get("endpoints", {}))
        asked = {urlsplit(url).hostname or "" for url in urls}
        # A model that sleeps has no address, and nothing that could be asked in vain.
        if asked and host not in asked and not asked & resolve(host):
            return f"it still asks {min(asked)} for {name}"
    return None


def wait(
    router: str,
    port: int,
    models: Mapping[str, str],
    aliases: Collection[str],
    *,
    resolve: Resolve = addresses_of,
    fetch: Fetch = fetch_json,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> str | None:
    """Wait until every replica follows. Returns None, or at the end of the time what is missing."""
    deadline = time.monotonic() + timeout_seconds
    in_a_row = 0
    told = ""
    while True:
        missing = _missing(router, port, models, aliases, resolve, fetch)
        in_a_row = 0 if missing else in_a_row + 1
        if in_a_row == LOOKS_IN_A_ROW:
            return None
        if missing and time.monotonic() > deadline:
            return missing
        if missing and missing != told:
            sys.stdout.write(f"waiting: {missing}\n")
            sys.stdout.flush()
            told = missing
        time.sleep(poll_seconds)


def _missing(
    router: str,
    port: int,
    models: Mapping[str, str],
    aliases: Collection[str],
    resolve: Resolve,
    fetch: Fetch,
) -> str | None:
    replicas = resolve(router)
    if not replicas:
        return f"{router} has no address"
    for address in sorted(replicas):
        host = f"[{address}]" if ":" in address else address
        try:
            status = fetch(f"http://{host}:{port}/readyz")
        except (OSError, ValueError) as error:
            return f"{address} does not answer: {error!r}"
        behind = lag(cast("Mapping[str, Any]", status), models, aliases, resolve)
        if behind is not None:
            return f"{address}: {behind}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and give its exit code: 1 where a replica did not follow in time."""
    parser = argparse.ArgumentParser(prog="python -m agent_runtime.following", description=__doc__)
    parser.add_argument("--router", required=True, help="a name that stands for the address of each replica")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--models", type=json.loads, required=True, help="JSON: model -> host")
    parser.add_argument("--aliases", type=json.loads, default=[], help="JSON: a list of names")
    parser.add_argument("--timeout-seconds", type=float, default=DEFAULT_TIMEOUT_SECONDS)
    options = parser.parse_args(arguments)
    missing = wait(
        options.router, options.port, options.models, options.aliases, timeout_seconds=options.timeout_seconds
    )
    if missing is not None:
        sys.stderr.write(
            f"error: the router did not follow the contract in {options.timeout_seconds:.0f} s: {missing}\n"
        )
        return 1
    sys.stdout.write("every replica of the router follows the contract\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
