"""What begins and ends an A/B test in a stack's file. Pure functions from text to text; nothing is touched."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cli.stack_changes import arms_of, at, drop, load, made, put, section
from fleet_spec.errors import BadInputError
from fleet_spec.experiment_spec import Metric, weight_problems

GUARDS: Final = {"error-rate": "errorRate", "ttft-p95-ms": "ttftP95Ms", "latency-p95-ms": "latencyP95Ms"}
"""Guards as the command line and the stack's file call them."""


@dataclass(frozen=True)
class Wanted:
    """The test that is asked for."""

    alias: str
    arms: Mapping[str, float]
    guards: Mapping[str, float]
    """By their names in the stack's file."""
    metric: Metric
    promote: bool
    min_effect: float
    baseline: str | None
    """None: the model that the alias stood for, if it is an arm."""
    started: str
    """Now (UTC): 2026-11-23T12:00:00Z."""


def read_arms(written: Sequence[str]) -> dict[str, float]:
    """Arms from ``MODEL=WEIGHT``.

    Raises:
        BadInputError: one is something else, or is there twice.
    """
    return {name: _plain(value) for name, value in _pairs(written, "--arm", "MODEL=WEIGHT, such as --arm new=0.1")}


def read_guards(written: Sequence[str]) -> dict[str, float]:
    """Guards from ``NAME=LIMIT``.

    Raises:
        BadInputError: there is no such guard, or its limit is no number.
    """
    found: dict[str, float] = {}
    for name, value in _pairs(written, "--guard", "NAME=LIMIT, such as --guard error-rate=0.05"):
        if name not in GUARDS:
            raise BadInputError(f"--guard {name}: there is no such guard. fix: {_nearest(name, GUARDS)}")
        found[GUARDS[name]] = _plain(value)
    return found


def begun(text: str, wanted: Wanted) -> str:
    """A stack's file with a test more.

    Raises:
        BadInputError: there is no such alias or model, the weights cannot be, a test runs on the alias already, or the
            file is laid out in a way that cannot be changed.
    """
    data = load(text)
    aliases, models = at(data, section("aliases")) or {}, at(data, section("models")) or {}
    alias = wanted.alias
    if alias in (at(data, section("experiments")) or {}):
        keep = next(iter(wanted.arms), "ARM")
        raise BadInputError(
            f"alias {alias!r} is under an A/B test already. fix: paddock ab end {alias} --keep {keep}, or test another"
        )
    if alias not in aliases:
        what = "a model, and no alias," if alias in models else "no alias"
        raise BadInputError(f"{alias!r} is {what} of this fleet. fix: {_nearest(alias, aliases)}")
    for arm in wanted.arms:
        if arm not in models:
            raise BadInputError(f"arm {arm!r} is no model of this fleet. fix: {_nearest(arm, models)}")
    for message, fix in weight_problems(wanted.arms):
        raise BadInputError(f"{message}. fix: {fix}")
    if wanted.baseline is not None and wanted.baseline not in wanted.arms:
        raise BadInputError(f"--baseline {wanted.baseline!r} is no arm. fix: {_nearest(wanted.baseline, wanted.arms)}")
    return made(
        text,
        [
            put(section("aliases"), alias, dict(wanted.arms)),
            put(section("experiments"), alias, entry_of(wanted, arms_of(aliases[alias]))),
        ],
    )


def entry_of(wanted: Wanted, before: Collection[str]) -> dict[str, Any]:
    """What the stack's file says of a test, what is as by default left out.

    Args:
        wanted: The test.
        before: The models that the alias stood for.
    """
    entry: dict[str, Any] = {
        "baseline": wanted.baseline or next((arm for arm in wanted.arms if arm in before), next(iter(wanted.arms))),
        "metric": wanted.metric,
    }
    if wanted.guards:
        entry["guards"] = dict(wanted.guards)
    if wanted.promote:
        entry["promote"] = True
    if wanted.min_effect:
        entry["minEffect"] = wanted.min_effect
    return {**entry, "started": wanted.started}


def ended(text: str, alias: str, keep: str) -> str:
    """A stack's file without a test: its alias stands for the arm that is kept.

    Raises:
        BadInputError: the alias is under no test, the arm is none of it, or the file cannot be changed.
    """
    data = load(text)
    experiments = at(data, section("experiments")) or {}
    if alias not in experiments:
        raise BadInputError(f"alias {alias!r} is under no A/B test. fix: {_nearest(alias, experiments)}")
    arms = arms_of((at(data, section("aliases")) or {}).get(alias))
    if keep not in arms:
        raise BadInputError(f"--keep {keep!r} is no arm of {alias!r}. fix: {_nearest(keep, arms)}")
    return made(text, [put(section("aliases"), alias, keep), drop(section("experiments"), alias)])


def _pairs(written: Sequence[str], option: str, form: str) -> list[tuple[str, float]]:
    found: dict[str, float] = {}
    for one in written:
        name, _, value = one.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            name = ""
            number = 0.0
        if not name:
            raise BadInputError(f"{option} {one!r} cannot be read. fix: write it as {form}")
        if name in found:
            raise BadInputError(f"{option} {name!r} is there twice. fix: leave one out")
        found[name] = number
    return list(found.items())


def _plain(number: float) -> float:
    """The number as a person writes it: 50 and not 50.0."""
    return int(number) if number.is_integer() else number


def _nearest(wanted: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(wanted, sorted(known), n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"write one of {', '.join(sorted(known))}" if known else "there is none; paddock ab start begins one"
