"""Names that every platform accepts, made from names that people write."""

from __future__ import annotations

import re

MAX_LABEL_LENGTH = 52
"""Longest safe name in characters: a DNS label has 63, and suffixes such as ``-headless-0`` need room."""


def safe_name(name: str) -> str:
    """Turn a model or alias name into a DNS label: lower case letters, digits and dashes.

    Different names may give one label (``a:b.c`` and ``a-b:c`` both give ``a-b-c``); the spec refuses
    a fleet in which that happens, so no suffix is invented here that nobody could guess.

    >>> safe_name("llama3.1:8b")
    'llama3-1-8b'
    """
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return label[:MAX_LABEL_LENGTH].rstrip("-")
