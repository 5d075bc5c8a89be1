"""How a request shows the key that a router asks for."""

from __future__ import annotations

KEY_VARIABLE = "PADDOCK_API_KEY"
"""The environment variable with the key."""
KEY_FILE_VARIABLE = "PADDOCK_API_KEY_FILE"
"""A file with the key, such as one that a Secret is mounted as."""


def authorization(api_key: str | None) -> dict[str, str]:
    """The header that shows a key; none where there is no key."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}
