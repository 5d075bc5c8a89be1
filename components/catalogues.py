"""Fetches the catalogues that a stack names by their address, once each."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from components.local.files import atomic_write
from fleet_spec.catalogue_spec import CatalogueSource
from fleet_spec.errors import Problem, SpecError
from fleet_spec.stack_catalogue import MOST_BYTES, cached_path, sources_of

TIMEOUT_SECONDS: Final = 20.0
"""For one catalogue, from the first byte of the handshake to the last of its text."""


def fetch_catalogues(
    raw: Mapping[str, Any],
    directory: Path,
    *,
    context: ssl.SSLContext | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Fetch what a config names and the project does not have yet. Without anything to fetch it needs no network.

    Args:
        raw: The config as plain data.
        directory: The project's, which keeps what was fetched.
        context: Which certificates to trust; those of this machine by default.
        timeout_seconds: How long one catalogue may take.

    Raises:
        SpecError: one could not be fetched, is too large or has another hash; all of them, each with its reason.
    """
    problems: list[Problem] = []
    for place, source in sources_of(raw):
        if source.url is None or cached_path(source, directory).is_file():
            continue
        try:
            data = _fetch(source.url, context, timeout_seconds)
        except _RefusedError as error:
            problems.append(Problem(f"catalogues.{place}.url", f"{source.url}: {error}", "correct it, or try again"))
            continue
        problem = _keep(f"catalogues.{place}.sha256", source, data, directory)
        problems += [problem] if problem is not None else []
    if problems:
        raise SpecError(problems)


class _RefusedError(Exception):
    """Why an address gave nothing."""


def _fetch(url: str, context: ssl.SSLContext | None, timeout_seconds: float) -> bytes:
    # It takes a quarter of a second to load, and most stacks need nothing fetched.
    import httpx

    deadline = time.monotonic() + timeout_seconds
    data = bytearray()
    watched = {"request": [_only_https]}
    try:
        with (
            httpx.Client(verify=context or True, timeout=timeout_seconds, event_hooks=watched) as client,
            client.stream("GET", url, follow_redirects=True) as response,
        ):
            if response.status_code != HTTPStatus.OK:
                raise _RefusedError(f"answered {response.status_code}")
            for piece in response.iter_bytes():
                data += piece
                if len(data) > MOST_BYTES:
                    raise _RefusedError(f"is over {MOST_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise _RefusedError(f"was not here within {timeout_seconds:g} s")
    except httpx.HTTPError as error:
        raise _RefusedError(str(error) or type(error).__name__) from error
    return bytes(data)


def _only_https(request: Any) -> None:
    """Where an address leads on, it leads to https as well."""
    if request.url.scheme != "https":
        raise _RefusedError(f"leads on to {request.url}, which is not https")


def _keep(key: str, source: CatalogueSource, data: bytes, directory: Path) -> Problem | None:
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        return Problem(key, f"{source.url} has the hash {found}", "correct the hash if you trust what is there now")
    path = cached_path(source, directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, data)
    return None
