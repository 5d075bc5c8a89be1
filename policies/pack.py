"""The rules as policies of a Pulumi policy pack, with the levels and exceptions of the stack that they judge."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pulumi.runtime import get_config_env
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.policy import _PolicyAnalyzerServicer  # pyright: ignore[reportPrivateUsage]

from fleet_spec.errors import SpecError
from fleet_spec.fleet_cost import FleetCosts
from fleet_spec.loading import from_pulumi_config, load_spec
from fleet_spec.policy_spec import PoliciesSpec
from policies.facts import facts_of
from policies.judgement import exception_of, level_of
from policies.rules import RULES, docker
from policies.rules.rule import UNKNOWN, Facts, Finding, Manifest, Rule, where

_LEVELS = {
    "advisory": EnforcementLevel.ADVISORY,
    "mandatory": EnforcementLevel.MANDATORY,
    "disabled": EnforcementLevel.DISABLED,
}
_KUBERNETES = "kubernetes:"
_CONFIGURE = "ConfigureStack"
"""The message by which the engine tells of its stack."""
# The sentinels that the engine puts in the place of values that are not known yet (pulumi.runtime.rpc).
_SENTINELS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_CHECKOUT = Path(__file__).resolve().parents[1]
Report = Callable[..., None]


@dataclass
class Stack:
    """What the pack knows of the stack that it judges: nothing, until the engine has told it."""

    facts: Facts = field(default_factory=Facts)
    policies: PoliciesSpec = field(default_factory=PoliciesSpec)


class Pack:
    """One policy for each rule: those of single objects judge each before it is made, the others the whole stack."""

    def __init__(self, rules: Sequence[Rule] = RULES) -> None:
        self._rules = rules
        self._stack = Stack()
        self.policies: list[Policy] = [
            _of_object(rule, self._stack) if rule.scope == "object" else _of_fleet(rule, self._stack) for rule in rules
        ]

    def judge_stack(self, project: str, stack: str, config: Mapping[str, str]) -> None:
        """Judge by a stack's own config from now on.

        Args:
            project: The project's name, which is the namespace of its config.
            stack: The stack's name.
            config: Its config as the engine has it: ``{"paddock:models": "<JSON>"}``.
        """
        try:
            spec = load_spec(from_pulumi_config(config, project), directory=_project_directory())
        except SpecError:
            return  # the program finds the same mistakes, tells them, and brings nothing up
        self._stack.facts = facts_of(spec, stack, spec.catalogue, FleetCosts(spec).most_monthly_usd())
        self._stack.policies = spec.policies
        for rule, policy in zip(self._rules, self.policies, strict=True):
            policy.enforcement_level = _LEVELS[level_of(rule, spec.policies)]

    def listen(self) -> None:
        """Have the engine tell of its stack before it asks for the policies and their levels.

        Engines send it in a message, of which pulumi_policy keeps the tags alone. Those that run packs without a
        language host give it in the environment.
        """
        if "PULUMI_CONFIG" in os.environ:
            project, stack = (os.environ.get(f"PULUMI_{name}", "") for name in ("PROJECT", "STACK"))
            self.judge_stack(project, stack, get_config_env())
        configure: Callable[[Any, Any, Any], Any] = vars(_PolicyAnalyzerServicer)[_CONFIGURE]

        def configure_stack(servicer: Any, request: Any, context: Any) -> Any:
            self.judge_stack(request.project, request.stack, dict(request.config))
            return configure(servicer, request, context)

        setattr(_PolicyAnalyzerServicer, _CONFIGURE, configure_stack)


def _project_directory() -> Path:
    """Where the stack's own catalogues are: the folder that the engine runs in, or else the checkout of this pack."""
    here = Path.cwd()
    return here if (here / "Pulumi.yaml").is_file() else _CHECKOUT


def _of_object(rule: Rule, stack: Stack) -> Policy:
    def validate(args: ResourceValidationArgs, report: Report) -> None:
        if not _is_judged(args.resource_type):
            return
        for finding in rule.check([manifest_of(args)], stack.facts):
            _report(rule, finding, stack, report)

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.title,
        validate=validate,
        enforcement_level=_LEVELS[rule.level],
    )


def _of_fleet(rule: Rule, stack: Stack) -> Policy:
    def validate(args: StackValidationArgs, report: Report) -> None:
        urns: dict[str, str] = {}
        manifests: list[Manifest] = []
        for resource in args.resources:
            if _is_judged(resource.resource_type):
                manifests.append(manifest_of(resource))
                urns[where(manifests[-1])] = resource.urn
        for finding in rule.check(manifests, stack.facts):
            _report(rule, finding, stack, report, urns.get(finding.where))

    return StackValidationPolicy(
        name=rule.name,
        description=rule.title,
        validate=validate,
        enforcement_level=_LEVELS[rule.level],
    )


def _is_judged(resource_type: str) -> bool:
    return resource_type.startswith(_KUBERNETES) or resource_type in docker.KINDS


def _report(rule: Rule, finding: Finding, stack: Stack, report: Report, urn: str | None = None) -> None:
    if exception_of(rule, finding, stack.policies, datetime.now(UTC).date()) is not None:
        return
    text = f"{finding.where}: {finding.what}\n{rule.why}\nfix: {finding.fix}"
    if urn is None:
        report(text)
    else:
        report(text, urn)


def manifest_of(resource: ResourceValidationArgs | PolicyResource) -> Manifest:
    """A resource as a manifest, and the options that rules look at beside it under ``paddockOptions``."""
    manifest = cast("dict[str, Any]", plain(resource.props))
    if resource.resource_type in docker.KINDS:
        return docker.manifest_of(docker.KINDS[resource.resource_type], resource.name, manifest)
    # The engine leaves out what a type says already where a program builds by type tokens.
    manifest.setdefault("kind", resource.resource_type.rpartition(":")[2])
    options = resource.opts
    manifest["paddockOptions"] = {"protect": bool(options.protect), "ignoreChanges": list(options.ignore_changes)}
    return manifest


def plain(value: Any) -> Any:
    """A property as plain data, with a placeholder for what is not known yet.

    pulumi_policy hands out views that raise at the first unknown value that is touched, which would keep a rule from
    everything else in the same object.
    """
    if isinstance(value, str):
        return UNKNOWN if value in _SENTINELS else value
    if isinstance(value, Mapping):
        view = cast("Mapping[str, Any]", value)
        return {key: plain(_item(view, key)) for key in view}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        row = cast("Sequence[Any]", value)
        return [plain(_item(row, index)) for index in range(len(row))]
    return value


def _item(view: Any, key: Any) -> Any:
    from pulumi_policy.proxy import UnknownValueError

    try:
        return view[key]
    except UnknownValueError:
        return UNKNOWN
