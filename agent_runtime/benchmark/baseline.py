"""Compares a benchmark with an earlier one: how much each percentile moved, and whether chance explains it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from agent_runtime.benchmark.quantiles import difference_p_value, errors_p_value, holm, is_supported
from agent_runtime.benchmark.runner import DOCUMENT_KIND, DOCUMENT_VERSION
from agent_runtime.benchmark.summary import KEPT_MEASURES, SHARES
from fleet_spec.errors import BadInputError

SIGNIFICANCE: Final = 0.05
COMPARED: Final = ("p50", "p95")
_SAME: Final = ("maxTokens", "uniquePrompts", "seed")
"""Settings that have to be the same for a comparison to mean anything."""


def read_baseline(path: Path) -> dict[str, Any]:
    """An earlier benchmark's results from a file that ``--json`` or ``--save`` wrote.

    Raises:
        BadInputError: the file cannot be read, or holds something else.
    """
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(
            f"--baseline {path} cannot be read: {error.strerror}. fix: name an earlier run's"
        ) from error
    except ValueError as error:
        raise BadInputError(
            f"--baseline {path} is not JSON: {error}. fix: name an earlier run's --save file"
        ) from error
    document = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if document.get("kind") != DOCUMENT_KIND or document.get("version") != DOCUMENT_VERSION:
        raise BadInputError(
            f"--baseline {path} holds no benchmark that this Paddock reads ({DOCUMENT_KIND}, version "
            f"{DOCUMENT_VERSION}). fix: name a file that --save wrote"
        )
    return document


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What moved between two benchmarks, of the models and loads that both have.

    Each difference has its p-value, corrected for how many there are; ``significant`` where that is below 0.05. A
    percentile of too few requests, or of levels that are not complete, is left out.
    """
    rows: list[dict[str, Any]] = []
    models = {model["name"]: model for model in before["models"]}
    for model in after["models"]:
        old = models.get(model["name"])
        levels = {_load_key(level): level for level in (old["levels"] if old is not None else ())}
        for level in model["levels"]:
            earlier = levels.get(_load_key(level))
            if earlier is not None:
                rows += _level_rows(model["name"], earlier, level)
    for row, corrected in zip(rows, holm([row["pValue"] for row in rows]), strict=True):
        row["correctedPValue"] = corrected
        row["significant"] = corrected < SIGNIFICANCE
    return {
        "baselineStartedAt": before["startedAt"],
        "method": "exact bootstrap on the difference of percentiles, Fisher's exact test on errors; Holm's correction",
        "comparisons": len(rows),
        "warnings": _warnings(before, after, rows),
        "rows": rows,
    }


def _load_key(level: Mapping[str, Any]) -> tuple[str, float]:
    return level["load"]["kind"], level["load"]["value"]


def _level_rows(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    head = {"model": name, "load": after["load"]}
    rows: list[dict[str, Any]] = []
    for measure in KEPT_MEASURES:
        old = cast("Sequence[float]", before["samples"][measure])
        new = cast("Sequence[float]", after["samples"][measure])
        for percentile in COMPARED:
            share = SHARES[percentile]
            if not (is_supported(len(old), share) and is_supported(len(new), share)):
                continue
            was = before["latency"][measure][percentile]["value"]
            now = after["latency"][measure][percentile]["value"]
            rows.append(
                {
                    **head,
                    "measure": f"{measure} {percentile}",
                    "before": was,
                    "after": now,
                    "change": now / was - 1 if was else None,
                    "pValue": difference_p_value(old, new, share),
                }
            )
    old_requests, new_requests = before["requests"], after["requests"]
    if old_requests["failed"] or new_requests["failed"]:
        rows.append(
            {
                **head,
                "measure": "errors",
                "before": old_requests["failed"] / old_requests["sent"],
                "after": new_requests["failed"] / new_requests["sent"],
                "change": None,
                "pValue": errors_p_value(
                    old_requests["failed"], old_requests["sent"], new_requests["failed"], new_requests["sent"]
                ),
            }
        )
    return rows


def _warnings(before: Mapping[str, Any], after: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [
        f"{key} was {before['settings'][key]} and is {after['settings'][key]}: the runs asked for different work"
        for key in _SAME
        if before["settings"][key] != after["settings"][key]
    ]
    if not rows:
        found.append("no model has a load in both runs with requests enough to compare (20 for p50, 200 for p95)")
    return found
