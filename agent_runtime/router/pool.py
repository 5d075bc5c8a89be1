"""Connections to model servers: the open ones that wait for a request, and new ones."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache

from agent_runtime.router.fleet_state import EndpointState
from agent_runtime.router.upstream import UpstreamConnection


def take_idle(endpoint: EndpointState) -> UpstreamConnection | None:
    """An open connection without a request: the last used, which is the least likely to have gone stale."""
    idle = endpoint.idle
    while idle:
        connection = idle.pop()
        if connection.transport is not None and not connection.transport.is_closing():
            return connection
    return None


@cache
def tls_context() -> ssl.SSLContext:
    """What servers are verified with: the authorities that this machine trusts, or those in SSL_CERT_FILE."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def connect(endpoint: EndpointState, timeout_seconds: float) -> UpstreamConnection:
    """Open a connection.

    Raises:
        OSError: the server cannot be reached (TimeoutError is one).
    """
    context = tls_context() if endpoint.tls else None
    async with asyncio.timeout(timeout_seconds):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamConnection(endpoint),
            endpoint.host,
            endpoint.port,
            ssl=context,
            server_hostname=endpoint.server_name if endpoint.tls else None,
        )
    return connection


def describe(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
