"""The HTTP clients behind OpenAI's SDK: how a program's requests reach a router, and where their costs are booked."""

from __future__ import annotations

import ssl

import httpx2

COST_HEADER = "X-Paddock-Cost-Usd"
"""What a reply cost, in US dollars, where the router knew it before it answered."""
_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)
"""Seconds. A cold model may take minutes to load before its first word."""


def sync_client(url: str, *, trust_env: bool) -> httpx2.Client:
    """A client for the router at ``url``; the environment's proxies count where ``trust_env`` says so."""
    return httpx2.Client(timeout=_TIMEOUT, trust_env=trust_env, verify=_trusted(url))


def async_client(url: str, *, trust_env: bool) -> httpx2.AsyncClient:
    """As :func:`sync_client`, for asynchronous code. Books what replies cost on the agent's run they belong to."""
    return httpx2.AsyncClient(
        timeout=_TIMEOUT, trust_env=trust_env, verify=_trusted(url), event_hooks={"response": [_book_cost]}
    )


def _trusted(url: str) -> ssl.SSLContext | bool:
    # Reading the system's certificates takes longer than a request to a router nearby; without TLS nobody needs them.
    # The empty context trusts no certificate, should a plain address lead to one after all.
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def _book_cost(response: httpx2.Response) -> None:
    said = response.headers.get(COST_HEADER)
    if said is None:
        return
    from agent_runtime.agents.run_state import CURRENT_RUN

    run = CURRENT_RUN.get()
    if run is None:
        return
    try:
        run.add_cost(float(said))
    except ValueError:
        return
