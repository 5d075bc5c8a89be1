"""What a judge sends: the scores of the arms for one prompt, which itself is never sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from agent_runtime.router.dialects.errors import RequestError

_FIELDS: Final = ("alias", "prompt", "scores")
_PROMPT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


def read_scores(
    body: Mapping[str, Any], experiments: Mapping[str, Mapping[str, float]]
) -> tuple[str, str, dict[str, float]]:
    """The alias, the name of the prompt, and the scores by arm.

    Args:
        body: What was sent.
        experiments: The arms of the tests that there are, by alias.

    Raises:
        RequestError: 400, a field is wrong; 404, the alias is under no test.
    """
    unknown = sorted(set(body) - set(_FIELDS))
    if unknown:
        raise RequestError(
            400, f"no field {unknown[0][:64]!r} is known; there are: {', '.join(_FIELDS)}", param=unknown[0][:64]
        )
    alias: object = body.get("alias")
    if not isinstance(alias, str) or alias not in experiments:
        there = ", ".join(sorted(experiments)) or "none"
        raise RequestError(404, f"no A/B test is declared over alias {str(alias)[:64]!r}; over: {there}", param="alias")
    prompt: object = body.get("prompt")
    if not isinstance(prompt, str) or not _PROMPT.fullmatch(prompt):
        raise RequestError(
            400, "prompt must be a name of at most 64 letters, digits, '_', '.', ':' or '-'", param="prompt"
        )
    scores: object = body.get("scores")
    if not isinstance(scores, dict) or not scores:
        raise RequestError(400, "scores must be an object: a number from 0 to 1 for each arm", param="scores")
    found = cast("dict[str, object]", scores)
    for arm, score in found.items():
        if arm not in experiments[alias]:
            arms = ", ".join(sorted(experiments[alias]))
            raise RequestError(400, f"{arm[:64]!r} is no arm of {alias!r}; the arms are: {arms}", param="scores")
        if not isinstance(score, int | float) or isinstance(score, bool) or not 0 <= score <= 1:
            raise RequestError(400, f"the score of {arm!r} must be a number from 0 to 1", param="scores")
    return alias, prompt, {arm: float(cast("float", score)) for arm, score in found.items()}
