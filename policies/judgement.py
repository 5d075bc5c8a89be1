"""All rules over a fleet, with the stack's levels and exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Literal

from fleet_spec.policy_spec import Level, PoliciesSpec, PolicyException
from policies.rules import RULES
from policies.rules.rule import Facts, Finding, Manifest, Rule


@dataclass(frozen=True)
class Verdict:
    """A finding, how much it weighs, and whether it is excepted."""

    rule: Rule
    level: Literal["advisory", "mandatory"]
    finding: Finding
    exception: PolicyException | None = None

    @property
    def blocks(self) -> bool:
        """Whether nothing may go up because of it."""
        return self.level == "mandatory" and self.exception is None

    def to_mapping(self) -> dict[str, object]:
        """As plain JSON data."""
        document: dict[str, object] = {
            "rule": self.rule.name,
            "level": self.level,
            "where": self.finding.where,
            "what": self.finding.what,
            "why": self.rule.why,
            "fix": self.finding.fix,
            "blocks": self.blocks,
        }
        if self.exception is not None:
            document["exception"] = {"reason": self.exception.reason, "until": self.exception.until.isoformat()}
        return document


def level_of(rule: Rule, policies: PoliciesSpec) -> Level:
    """How strict a rule is for a stack."""
    return policies.levels.get(rule.name, rule.level)


def judge(
    manifests: Sequence[Manifest],
    facts: Facts,
    policies: PoliciesSpec,
    *,
    today: date | None = None,
    rules: Sequence[Rule] = RULES,
) -> list[Verdict]:
    """Every finding of the rules that are not disabled, in the rules' order.

    Args:
        manifests: The fleet's objects; none for a target without any.
        facts: What else there is to know.
        policies: The stack's own word on them.
        today: The day (UTC) on which exceptions must hold; the present by default.
        rules: Which rules to look at.
    """
    day = today or datetime.now(UTC).date()
    verdicts: list[Verdict] = []
    for rule in rules:
        level = level_of(rule, policies)
        if level == "disabled":
            continue
        found = sorted(set(rule.check(manifests, facts)))
        verdicts += [Verdict(rule, level, one, exception_of(rule, one, policies, day)) for one in found]
    return verdicts


def exception_of(rule: Rule, finding: Finding, policies: PoliciesSpec, today: date) -> PolicyException | None:
    """The exception that covers a finding and has not expired; None where there is none."""
    for exception in policies.exceptions:
        if exception.rule == rule.name and today <= exception.until and fnmatchcase(finding.where, exception.where):
            return exception
    return None
