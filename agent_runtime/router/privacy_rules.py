"""The privacy rules in force, and what happens where those of a contract cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.errors import Dialect
from fleet_spec.errors import BadInputError
from fleet_spec.governance_spec import PrivacySpec

if TYPE_CHECKING:
    from agent_runtime.router.policy import Classify


class _AllPrivate:
    """What judges as long as there are no rules that can be used."""

    slow = False

    def prepare(self) -> None:
        """Nothing takes long here."""

    def classify(self, dialect: Dialect, body: Mapping[str, Any], *, declared_public: bool = False) -> Classification:
        """Nothing leaves the fleet."""
        del dialect, body, declared_public
        return Classification(private=True, complex=False, reasons=("the privacy rules cannot be used",))


class PrivacyRules:
    """Follows a contract's privacy rules. Rules that cannot be used leave the last good ones in force."""

    def __init__(self) -> None:
        self.problem: str | None = None
        """Why the contract's rules are not in force."""
        self.classifier: Classify = _AllPrivate()
        """Judges by the rules in force; where there never were any that can be used, everything is private."""
        self.in_force: PrivacySpec = PrivacySpec(default="private")
        """The rules that the classifier goes by."""
        self._wanted: PrivacySpec | None = None

    @staticmethod
    def check(rules: PrivacySpec) -> None:
        """Look whether rules can be used, without the seconds that Presidio takes to load.

        Raises:
            BadInputError: a pattern cannot be used, or Presidio is asked for and not installed.
        """
        from agent_runtime.router.prompts.classifier import Classifier
        from agent_runtime.router.prompts.presidio import demand_presidio

        Classifier(rules.model_copy(update={"presidio": False}))
        if rules.presidio:
            demand_presidio()

    def update(self, rules: PrivacySpec) -> bool:
        """Take a contract's rules in. True where what is in force has changed."""
        if rules == self._wanted:
            return False
        self._wanted = rules
        # Detectors take a moment to import, and a fleet without further tiers needs none.
        from agent_runtime.router.prompts.classifier import Classifier

        try:
            classifier = Classifier(rules)
        except BadInputError as error:
            self.problem = f"the contract's privacy rules are not in force: {error}"
            # Of rules that cannot be used, what makes them stricter can.
            stricter = rules.default == "private" and self.in_force.default != "private"
            if stricter:
                self.in_force = self.in_force.model_copy(update={"default": "private"})
            return stricter
        self.problem = None
        self.classifier, self.in_force = classifier, rules
        return True
