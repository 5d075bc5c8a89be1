"""Asks Microsoft Presidio, where the router is installed with it."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from importlib.util import find_spec
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
_LANGUAGE_MODEL = "en_core_web_lg"
_THRESHOLD = 0.6
_MAX_CHARACTERS = 100_000
"""What is longer is cut into pieces: Presidio's language models take no more at once."""


def demand_presidio() -> None:
    """Look whether it is there, without the seconds that it takes to load.

    Raises:
        BadInputError: Presidio, or the language model that it needs, is not installed.
    """
    if not sys.modules.get("presidio_analyzer") and find_spec("presidio_analyzer") is None:
        raise BadInputError(
            "privacy.presidio is true, and Presidio is not installed. "
            "fix: pip install 'paddock[presidio]', or set privacy.presidio to false"
        )
    # Presidio would fetch it from the network by itself, in the middle of a start.
    if find_spec(_LANGUAGE_MODEL) is None:
        raise BadInputError(
            f"privacy.presidio is true, and the language model {_LANGUAGE_MODEL} that Presidio reads with is not "
            f"installed. fix: python -m spacy download {_LANGUAGE_MODEL}, or set privacy.presidio to false"
        )


class Presidio:
    """Presidio's analyzer, loaded once: that takes seconds and hundreds of megabytes. It is for threads.

    Raises:
        BadInputError: Presidio, or the language model that it needs, is not installed.
    """

    def __init__(self) -> None:
        demand_presidio()
        self._loading = threading.Lock()
        self._engine: Any = None

    def load(self) -> None:
        """Load it, if that has not been done."""
        with self._loading:
            if self._engine is None:
                module: Any = import_module("presidio_analyzer")
                self._engine = module.AnalyzerEngine()

    def finds(self, text: str) -> bool:
        """Whether Presidio sees something of a person's."""
        self.load()
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
