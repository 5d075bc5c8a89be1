"""What somebody sends who thinks something of an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from agent_runtime.router.dialects.errors import RequestError

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_FIELDS: Final = ("requestId", "score", "label")


def read_vote(body: Mapping[str, Any]) -> tuple[str, float, str | None]:
    """The request's id, the score and the label, if there is one.

    Raises:
        RequestError: 400, a field is wrong.
    """
    unknown = sorted(set(body) - set(_FIELDS))
    if unknown:
        raise RequestError(
            400, f"no field {unknown[0][:64]!r} is known; there are: {', '.join(_FIELDS)}", param=unknown[0][:64]
        )
    text: object = body.get("requestId")
    if not isinstance(text, str) or not text:
        raise RequestError(
            400, "requestId is required: the header X-Paddock-Request-Id of an answer", param="requestId"
        )
    score: object = body.get("score")
    in_range = isinstance(score, int | float) and not isinstance(score, bool) and (0 <= score <= 1 or score == -1)
    if not in_range:
        raise RequestError(400, "score must be a number from 0 to 1, or -1, 0 or 1", param="score")
    label: object = body.get("label")
    if label is not None and not (isinstance(label, str) and _LABEL.fullmatch(label)):
        raise RequestError(
            400, "label must be a word of at most 64 letters, digits, '_', '.', ':' or '-'", param="label"
        )
    return text, float(cast("float", score)), label
