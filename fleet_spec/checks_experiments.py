"""What must hold between A/B tests and the aliases whose arms they compare."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

from fleet_spec.errors import Problem
from fleet_spec.experiment_spec import ExperimentSpec, weight_problems


def experiment_problems(
    experiments: Mapping[str, ExperimentSpec], aliases: Mapping[str, Mapping[str, float]]
) -> Iterator[Problem]:
    """What is wrong with the section ``experiments``.

    Args:
        experiments: By alias.
        aliases: Alias -> model -> weight.
    """
    for alias, experiment in experiments.items():
        key = f"experiments.{alias}"
        arms = aliases.get(alias)
        if arms is None:
            yield Problem(key, f"{alias!r} is not an alias of this fleet", _fix(alias, aliases, "aliases"))
            continue
        for message, fix in weight_problems(arms):
            yield Problem(f"aliases.{alias}", f"{message}, and experiments.{alias} compares them", fix)
        if experiment.baseline is not None and experiment.baseline not in arms:
            fix = _fix(experiment.baseline, arms, "arms")
            yield Problem(f"{key}.baseline", f"{experiment.baseline!r} is not an arm of {alias!r}", fix)


def _fix(wanted: str, known: Collection[str], what: str) -> str:
    near = difflib.get_close_matches(wanted, sorted(known), n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"write one of the {what}: {', '.join(sorted(known))}" if known else f"add it to the {what}"
