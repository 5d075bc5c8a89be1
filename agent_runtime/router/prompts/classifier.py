"""The door of this room: what kind of request is it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.errors import Dialect
from agent_runtime.router.prompts.complexity import assess
from agent_runtime.router.prompts.privacy import Privacy
from agent_runtime.router.prompts.texts import collect
from fleet_spec.governance_spec import PrivacySpec


class Classifier:
    """Tells private requests from public ones, and complex from routine ones.

    It takes some 60 microseconds for a prompt of 500 characters without anything private, and time in proportion to
    the length for every text there can be: milliseconds for an ordinary megabyte, half a second for one that was made
    to be slow. A caller in an event loop sends what is long to a thread.

    Raises:
        BadInputError: a pattern of the rules cannot be used, or they ask for Presidio and it is not installed.
    """

    def __init__(self, rules: PrivacySpec) -> None:
        self.slow = rules.presidio
        self._all_private = rules.default == "private"
        self._privacy = Privacy(rules)

    def prepare(self) -> None:
        """Load Presidio, if the rules ask for it: seconds, which the first prompt would wait for otherwise."""
        self._privacy.prepare()

    def classify(self, dialect: Dialect, body: Mapping[str, Any], *, declared_public: bool = False) -> Classification:
        """Judge a request. Never fails, whatever the body is.

        Args:
            dialect: The language of the client. Both are read alike: a field of the other's is no hiding place.
            body: The request, decoded.
            declared_public: The client says that nothing in it is private. This is believed of what nobody here can
                read, such as pictures, and of nothing else.
        """
        del dialect
        texts = collect(body)
        found: list[str] = []
        if self._all_private:
            found.append("private: privacy.default says that everything is")
        else:
            found += [f"private: {reason}" for reason in self._privacy.reasons(texts.everything)]
            if not declared_public:
                found += [f"private: carries {kind} content, which no detector can read" for kind in texts.unreadable]
        complexity = assess(texts)
        return Classification(bool(found), complexity.complex, (*found, *complexity.reasons))
