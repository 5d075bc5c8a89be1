"""Models: their licences allow what they are used for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policies.rules.rule import Facts, Finding, Manifest, Rule


def _model_licences(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del manifests
    for model in facts.models:
        place = f"models.{model.name}"
        if model.licence is None:
            continue
        if facts.licences is None:
            if model.commercial_use == "forbidden":
                yield Finding(
                    place,
                    f"{model.model} comes under {model.licence}, which forbids commercial use",
                    "take a model that allows it, or list the licence in policies.licences",
                )
        elif model.licence not in facts.licences:
            yield Finding(
                place,
                f"{model.model} comes under {model.licence}, none of {', '.join(facts.licences) or 'no licence'}",
                "take a model of an allowed licence: paddock models list --licence NAME",
            )


RULES = (
    Rule(
        "model-licences",
        "Models have allowed licences",
        "Whoever serves a model outside its licence is liable for it, and cannot take the answers back.",
        "mandatory",
        _model_licences,
        "fleet",
    ),
)
