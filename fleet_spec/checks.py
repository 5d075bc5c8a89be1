"""What must hold between the parts of a spec: the checks that no single field can make.

They take a :class:`Draft`, whatever of a config could be read, so that a mistake in one place does not
hide another elsewhere.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.checks_adapters import adapter_problems
from fleet_spec.checks_docker import docker_problems, docker_unused
from fleet_spec.checks_experiments import experiment_problems
from fleet_spec.checks_governance import governance_problems
from fleet_spec.checks_kubernetes import kubernetes_problems, unused_elsewhere
from fleet_spec.checks_plan import plan_problems
from fleet_spec.checks_serving import serving_problems
from fleet_spec.errors import Problem
from fleet_spec.model_spec import ModelSpec
from fleet_spec.names import safe_name
from fleet_spec.spec import FleetSpec


@dataclass(frozen=True)
class Draft:
    """A config as far as it could be read."""

    names: tuple[str, ...]
    """Every model's name, those of models with mistakes included."""
    models: Mapping[str, ModelSpec]
    """The models without mistakes of their own."""
    aliases: Mapping[str, Mapping[str, float]]
    rest: FleetSpec
    """The other sections; those with mistakes hold their defaults."""
    adapters: tuple[str, ...] = ()
    """The names of all adapters, those of models with mistakes included."""

    @property
    def served(self) -> tuple[str, ...]:
        """Every name under which something of the fleet answers, but aliases."""
        return (*self.names, *self.adapters)

    @classmethod
    def of(cls, spec: FleetSpec) -> Self:
        """The draft of a spec that has no mistakes of single fields."""
        adapters = tuple(name for model in spec.models.values() for name in model.adapters)
        return cls(tuple(spec.models), spec.models, spec.aliases, spec, adapters)

    @classmethod
    def partial(
        cls,
        *,
        names: tuple[str, ...],
        models: Mapping[str, ModelSpec],
        aliases: Mapping[str, Mapping[str, float]],
        adapters: tuple[str, ...] = (),
        **rest: Any,
    ) -> Self:
        """The draft of a config with mistakes, from the sections that have none (attribute -> value)."""
        defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in FleetSpec.model_fields.items()
            if name != "models"
        }
        constructed = FleetSpec.model_construct(None, **{**defaults, "models": {}, **rest})
        return cls(names, models, aliases, constructed, adapters)


def find_problems(draft: Draft, catalogue: Catalogue) -> list[Problem]:
    """Every mistake between the parts of a config; an empty list where there is none."""
    problems = [*_colliding_names(draft), *_aliases(draft), *_models(draft, catalogue)]
    problems += adapter_problems(draft.rest, draft.models, draft.names)
    problems += governance_problems(draft.rest, {*draft.served, *draft.aliases})
    problems += experiment_problems(draft.rest.experiments, draft.aliases)
    problems += plan_problems(draft.rest, draft.names)
    problems += serving_problems(draft.rest, draft.models, catalogue)
    if draft.rest.target == "local":
        problems += _local(draft)
    if draft.rest.target == "kubernetes":
        problems += kubernetes_problems(draft.rest, draft.models)
    else:
        problems += unused_elsewhere(draft.rest, draft.models)
    if draft.rest.target == "docker":
        problems += docker_problems(draft.rest, draft.models)
    else:
        problems += docker_unused(draft.rest)
    return problems


def _colliding_names(draft: Draft) -> Iterator[Problem]:
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    for name in draft.names:
        by_label[safe_name(name)].append(name)
    for label, names in by_label.items():
        if len(names) > 1:
            yield Problem(
                f"models.{names[-1]}",
                f"{' and '.join(repr(name) for name in names)} both become {label!r} in resource names",
                "rename one of them",
            )


def _aliases(draft: Draft) -> Iterator[Problem]:
    for alias, arms in draft.aliases.items():
        key = f"aliases.{alias}"
        # An alias comes before a model of its name: that other models take over what the name is asked for is a swap.
        if alias in draft.served and alias in arms:
            yield Problem(key, f"{alias!r} is also the name of a model", "rename the alias or the model")
        for name in arms:
            if name not in draft.served:
                yield Problem(key, f"{name!r} is not a model of this fleet", _nearest_fix(name, draft.served, "models"))
        if arms and sum(arms.values()) <= 0:
            yield Problem(key, "every weight is 0, so no request could go anywhere", "give one a weight over 0")


def _comes_in_an_image(model: ModelSpec, rest: FleetSpec) -> bool:
    """Whether the weights are mounted from an OCI image, where they may be anybody's."""
    return rest.target == "kubernetes" and (model.storage.mode or rest.storage.mode) == "image"


def _models(draft: Draft, catalogue: Catalogue) -> Iterator[Problem]:
    for name, model in draft.models.items():
        if model.weights is not None or _comes_in_an_image(model, draft.rest):
            continue
        try:
            entry = catalogue.get(model.model)
        except UnknownModelError as error:
            fix = "name a model of the catalogue, or give your own file in 'weights'"
            if error.nearest:
                fix = f"did you mean {' or '.join(error.nearest)}? Else give your own file in 'weights'"
            yield Problem(f"models.{name}.model", f"{model.model!r} is not in the catalogue", fix)
            continue
        if model.context_length is not None and model.context_length > entry.architecture.context_length:
            yield Problem(
                f"models.{name}.contextLength",
                f"{model.context_length} is over the {entry.architecture.context_length} tokens of {entry.name}",
                f"write {entry.architecture.context_length} or less",
            )


_NOT_LOCAL = "remove it, or run this fleet on another target"


def _local(draft: Draft) -> Iterator[Problem]:
    """What the local target does not do is refused, so that no setting is ignored in silence."""
    if draft.rest.web_ui.enabled:
        yield from _local_web_ui(draft.rest)
    if draft.rest.ingress.enabled:
        yield Problem("ingress.enabled", "the local target has no ingress", _NOT_LOCAL)
    for name, model in draft.models.items():
        key = f"models.{name}"
        if model.engine == "vllm":
            yield Problem(f"{key}.engine", "'vllm' does not run on the local target", "write auto, llamacpp or ollama")
        if not model.replicas.fixed:
            yield Problem(
                f"{key}.replicas",
                f"nothing scales on the local target between {model.replicas.min} and {model.replicas.max}",
                f"write a fixed number, such as {model.replicas.max}",
            )
        if model.gpu is not None:
            yield Problem(f"{key}.gpu", f"{model.gpu.type!r}: the local target places no GPUs", _NOT_LOCAL)


def _local_web_ui(rest: FleetSpec) -> Iterator[Problem]:
    page = rest.web_ui
    if page.port == rest.router.port:
        yield Problem("webUi.port", f"{page.port} is also router.port", "name another port")
    if page.image is not None:
        yield Problem("webUi.image", "the local target runs open-webui from its package", "remove it")
    if page.storage_class is not None:
        yield Problem("webUi.storageClass", "the local target keeps the page's data in .paddock", "remove it")
    if page.secret_key is not None:
        yield Problem("webUi.secretKey", "names a Secret of a cluster", "remove it: the stack makes a key of its own")


def _nearest_fix(wanted: str, known: Collection[str], what: str) -> str:
    near = difflib.get_close_matches(wanted, _sorted(known), n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"write one of the {what}: {', '.join(_sorted(known))}" if known else f"add it to the {what}"


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(set(names))
