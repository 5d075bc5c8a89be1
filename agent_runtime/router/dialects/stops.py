"""A model's own stop texts, in requests that name others.

An engine ends a reply at the model's stop texts only where a request names none: a list in the request takes
their place. A model that ends its replies in no other way, as a base model does, would then run on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from agent_runtime.router.dialects.errors import Dialect


def with_stops(dialect: Dialect, body: Mapping[str, Any], stops: Sequence[str]) -> Mapping[str, Any]:
    """The request with the model's stop texts after its own.

    Gives ``body`` itself where it names none, so that it can still be passed on untouched, or where what it
    names has the wrong type, which is told elsewhere.
    """
    if not stops:
        return body
    if dialect == "openai":
        return _joined(body, stops)
    options: object = body.get("options")
    if not isinstance(options, dict):
        return body
    named = cast("dict[str, Any]", options)
    joined = _joined(named, stops)
    return body if joined is named else {**body, "options": joined}


def _joined(fields: Mapping[str, Any], stops: Sequence[str]) -> Mapping[str, Any]:
    own: object = fields.get("stop")
    if isinstance(own, str):
        own = [own] if own else []
    if not isinstance(own, list):
        return fields
    named = cast("list[object]", own)
    return {**fields, "stop": [*named, *(text for text in stops if text not in named)]}
