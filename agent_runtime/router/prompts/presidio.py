"""Asks Microsoft Presidio, where the router is installed with it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from fleet_spec.errors import BadInputError

_ENTITIES = (
    "CREDIT_CARD",
    "IBAN_CODE",
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "US_SSN",
    "US_ITIN",
    "US_PASSPORT",
    "US_DRIVER_LICENSE",
    "US_BANK_NUMBER",
    "UK_NHS",
    "MEDICAL_LICENSE",
    "CRYPTO",
)
"""Names, places and dates are left out: alone they say nothing private, and every other prompt has one."""
_THRESHOLD = 0.6
_MAX_CHARACTERS = 100_000
"""What is longer is cut into pieces: Presidio's language models take no more at once."""


class Presidio:
    """Presidio's analyzer, loaded once: that takes seconds and hundreds of megabytes.

    Raises:
        BadInputError: Presidio, or the language model that it needs, is not installed.
    """

    def __init__(self) -> None:
        try:
            module: Any = import_module("presidio_analyzer")
        except ImportError as error:
            raise BadInputError(
                "privacy.presidio is true, and Presidio is not installed. "
                "fix: pip install 'paddock[presidio]', or set privacy.presidio to false"
            ) from error
        try:
            self._engine: Any = module.AnalyzerEngine()
        except (OSError, SystemExit, ValueError, ImportError) as error:
            raise BadInputError(
                f"Presidio cannot start: {error}. fix: python -m spacy download en_core_web_lg, "
                "or set privacy.presidio to false"
            ) from error

    def finds(self, text: str) -> bool:
        """Whether Presidio sees something of a person's."""
        for start in range(0, len(text), _MAX_CHARACTERS):
            found = cast(
                "list[object]",
                self._engine.analyze(
                    text=text[start : start + _MAX_CHARACTERS],
                    language="en",
                    entities=list(_ENTITIES),
                    score_threshold=_THRESHOLD,
                ),
            )
            if found:
                return True
        return False
