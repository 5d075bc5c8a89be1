"""What makes two requests the same: everything that can change the answer, and nothing else.

Left out are fields that say who asks, or how the request is to be handled, and not what. A field that is null counts as
absent. Sampling fields are compared as numbers, whatever their form (1 and 1.0), and in any order. What the model
itself reads (messages, prompts, tools, schemas of answers) is compared as it is written; of tools, schemas and
calls of tools even the order of their keys counts, since engines write them into the prompt as they came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, cast

from agent_runtime.router.dialects.operations import Operation
from agent_runtime.router.dialects.replies import sections
from fleet_spec.contract import ModelEndpoints
from fleet_spec.governance_spec import Tier

_KEY_VERSION: Final = 1
_DIGEST_BYTES: Final = 32
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("user", "safety_identifier", "metadata"),  # who asks, and notes for the provider's own records
        "store",  # false here, or the request would not be cached
        *("prompt_cache_key", "prompt_cache_retention", "keep_alive"),  # what the engine is to keep for later
        "stream",  # in the key by its effect
    }
)
_READ_BY_MODEL: Final = frozenset({"messages", "prompt", "input", "suffix", "system", "template", "images", "context"})
_IN_ORDER: Final = frozenset({"tools", "functions", "format", "response_format", "chat_template_kwargs"})
_ELSEWHERE: Final = {"endpoints", "parallel", "usd_per_hour", "tokens_per_second", "sleeps", "price"}
"""What an entry of the contract says of where a model runs and what it costs."""

_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
_in_order = json.JSONEncoder(separators=(",", ":")).encode


def request_digest(
    operation: Operation, body: Mapping[str, Any], *, streamed: bool, owner: str | None, private: bool
) -> bytes:
    """What a request asks, who asks, and whether it is private, in 32 bytes.

    Args:
        operation: What is asked.
        body: The decoded request, of which ``requested_model`` has checked the fields.
        streamed: Whether the answer is wanted in pieces. A stream and a whole answer are kept apart: making one from
            the other would need every engine's own idea of both.
        owner: Whose request it is: the name of the key, or None without one.
        private: Whether it may not leave the fleet.

    Raises:
        RecursionError: The request is nested too deeply.
    """
    fields: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or name in _WITHOUT_EFFECT or (name == "n" and value == 1):
            continue
        if name == "stream_options" and streamed:
            options = {key: item for key, item in cast("dict[str, Any]", value).items() if item}
            if options:
                fields[name] = options
        else:
            fields[name] = _comparable(name, value)
    asked = [_KEY_VERSION, operation.dialect, operation.path, owner, private, streamed, fields]
    return blake2b(_sorted(asked).encode("ascii"), digest_size=_DIGEST_BYTES).digest()


def answerer_digest(name: str, entry: ModelEndpoints, tier: Tier) -> bytes:
    """Who answers, in 16 bytes: the model with everything that the contract says of it, but where it runs.

    What a newer contract says that this router does not know counts too. Beyond the fleet the addresses count as
    well: the same name elsewhere need not be the same model.
    """
    said = entry.model_dump(mode="json", exclude=_ELSEWHERE)
    addresses = [] if tier == "local" else sorted(endpoint.url for endpoint in entry.endpoints)
    return blake2b(_sorted([name, tier, said, addresses]).encode("ascii"), digest_size=16).digest()


def _comparable(name: str, value: Any) -> Any:
    """A field's value in a form that is equal where it means the same."""
    if name == "messages":
        # Text in place of the list keeps its keys from being sorted with all the others.
        return _in_order(value) if any("tool_calls" in message for message in sections(value)) else value
    if name in _READ_BY_MODEL:
        return value
    return _in_order(value) if name in _IN_ORDER else _plain(value, absent_is_null=name == "options")


def _plain(value: Any, *, absent_is_null: bool = False) -> Any:
    """The value with every number in its shortest form: whole where it is whole."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _plain(item) for key, item in items if not (absent_is_null and item is None)}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value
