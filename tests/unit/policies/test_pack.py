"""The rules as policies of Pulumi: the same findings as the plan's, by the stack's own config."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

pulumi_policy = pytest.importorskip("pulumi_policy")

from pulumi_policy import (  # noqa: E402
    EnforcementLevel,
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy  # noqa: E402

from policies.judgement import judge  # noqa: E402
from policies.pack import Pack, manifest_of, plain  # noqa: E402
from policies.rules.rule import UNKNOWN  # noqa: E402
from tests.unit.policies.fleet import CONFIG, container, good_fleet, one_of  # noqa: E402

pytestmark = pytest.mark.unit


def options(manifest: dict[str, Any]) -> PolicyResourceOptions:
    protect = "paddock/protect" in manifest["metadata"].get("annotations", {})
    return PolicyResourceOptions(protect, [], None, [], PolicyCustomTimeouts(0, 0, 0), [], None)


def resource(manifest: dict[str, Any]) -> PolicyResource:
    name = manifest["metadata"]["name"]
    token = f"kubernetes:core/v1:{manifest['kind']}"
    props = cast("Any", unknown_checking_proxy(manifest))
    return PolicyResource(token, props, f"urn:{name}", name, options(manifest), None, None, [], {})


def config(**changes: Any) -> dict[str, str]:
    values = {**CONFIG, **changes}
    return {f"paddock:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def said(pack: Pack, manifests: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Every violation that a pack reports of a fleet: the policy, and the first line of what it says."""
    found: set[tuple[str, str]] = set()
    for policy in pack.policies:
        if policy.enforcement_level == EnforcementLevel.DISABLED:
            continue

        def report(message: str, urn: str | None = None, name: str = policy.name) -> None:
            found.add((name, message.splitlines()[0]))

        if isinstance(policy, ResourceValidationPolicy):
            for one in map(resource, manifests):
                args = ResourceValidationArgs(one.resource_type, one.props, one.urn, one.name, one.opts, None)
                policy.validate(args, report)
        elif isinstance(policy, StackValidationPolicy):
            policy.validate(StackValidationArgs([resource(one) for one in manifests]), report)
    return found


def test_the_pack_and_the_plan_find_the_same() -> None:
    manifests, facts = good_fleet()
    container(one_of(manifests, "Deployment", "router"))["image"] = "evil.example.com/x:latest"
    one_of(manifests, "StatefulSet", "chat")["spec"]["replicas"] = 3
    manifests.remove(one_of(manifests, "PodDisruptionBudget", "router"))
    pack = Pack()
    pack.judge_stack("paddock", "prod", config())
    from fleet_spec.loading import load_spec

    judged = judge(manifests, facts, load_spec(CONFIG).policies)
    expected = {(one.rule.name, f"{one.finding.where}: {one.finding.what}") for one in judged}
    assert len(expected) == 4
    assert said(pack, manifests) == expected


def test_levels_and_exceptions_are_the_stacks() -> None:
    manifests, _ = good_fleet()
    container(one_of(manifests, "Deployment", "router"))["image"] = "registry.example.com/x:latest"
    pack = Pack()
    exception = {"rule": "pinned-images", "where": "Deployment/router", "reason": "just a test", "until": "2999-01-01"}
    pack.judge_stack("paddock", "prod", config(policies={"exceptions": [exception], "levels": {"probes": "disabled"}}))
    levels = {policy.name: policy.enforcement_level for policy in pack.policies}
    assert levels["probes"] == EnforcementLevel.DISABLED
    assert levels["pinned-images"] == EnforcementLevel.MANDATORY
    assert said(pack, manifests) == set()


def test_an_engine_that_tells_by_the_environment_is_heard_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from pulumi_policy.policy import _PolicyAnalyzerServicer  # pyright: ignore[reportPrivateUsage]

    # Put back with the test: the pack hangs its own in.
    monkeypatch.setattr(_PolicyAnalyzerServicer, "ConfigureStack", _PolicyAnalyzerServicer.ConfigureStack)
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config(policies={"levels": {"probes": "disabled"}})))
    monkeypatch.setenv("PULUMI_PROJECT", "paddock")
    monkeypatch.setenv("PULUMI_STACK", "prod")
    pack = Pack()
    pack.listen()
    levels = {policy.name: policy.enforcement_level for policy in pack.policies}
    assert levels["probes"] == EnforcementLevel.DISABLED


def test_a_config_with_mistakes_is_left_to_the_program_to_tell() -> None:
    pack = Pack()
    pack.judge_stack("paddock", "prod", {"paddock:models": "{}"})
    assert said(pack, good_fleet()[0]) == set()


def test_resources_of_other_kinds_are_not_looked_at() -> None:
    pack = Pack()
    other = PolicyResource("aws:s3:Bucket", {}, "urn:b", "b", options({"metadata": {}}), None, None, [], {})
    for policy in pack.policies:
        if isinstance(policy, StackValidationPolicy):
            policy.validate(StackValidationArgs([other]), lambda *_: pytest.fail("it was judged"))
        elif isinstance(policy, ResourceValidationPolicy):
            args = ResourceValidationArgs(other.resource_type, other.props, other.urn, other.name, other.opts, None)
            policy.validate(args, lambda *_: pytest.fail("it was judged"))


def test_what_only_an_up_will_know_keeps_nothing_else_from_being_seen() -> None:
    view = unknown_checking_proxy({"a": UNKNOWN_STRING_VALUE, "b": [1, UNKNOWN_STRING_VALUE, {"c": "d"}]})
    assert plain(view) == {"a": UNKNOWN, "b": [1, UNKNOWN, {"c": "d"}]}


def test_a_manifest_carries_the_options_that_rules_look_at() -> None:
    manifests, _ = good_fleet()
    claim = one_of(manifests, "PersistentVolumeClaim", "web-ui")
    assert manifest_of(resource(claim))["paddockOptions"] == {"protect": True, "ignoreChanges": []}
