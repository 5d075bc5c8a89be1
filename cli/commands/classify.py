"""classify: what the router would make of a prompt, and why. Needs no fleet that runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent_runtime.discovery import ContractFile
from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.errors import Dialect
from agent_runtime.router.prompts import Classifier
from cli.console import note, write_json
from cli.contract import read_contract
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from fleet_spec.governance_spec import PrivacySpec, RoutingSpec, Tier

_ALL_TIERS: tuple[Tier, ...] = ("local", "cloud", "commercial")
_ASKS = ("prompt", "messages", "input")


@dataclass(frozen=True, slots=True)
class Rules:
    """By what prompts are judged."""

    privacy: PrivacySpec
    routing: RoutingSpec
    tiers: frozenset[Tier]
    """The tiers that there are."""


def rules_of(contract: FleetContract | None) -> Rules:
    """The rules of a contract; without one, the rules that come with Paddock, and every tier."""
    if contract is None:
        return Rules(PrivacySpec(), RoutingSpec(), frozenset(_ALL_TIERS))
    tiers: set[Tier] = {name for name, tier in contract.tiers.items() if tier.models}
    tiers |= {model.tier for model in contract.models.values()}
    return Rules(contract.privacy, contract.routing, frozenset(tiers))


def first_tier(rules: Rules, found: Classification) -> Tier | None:
    """The tier that is tried first, or None where there is none that may have the prompt.

    What a budget has left, which tiers are well, and what a key may do are known to a running router alone.
    """
    if found.private:
        return "local" if "local" in rules.tiers else None
    order = rules.routing.complex if found.complex else rules.routing.routine
    return next((tier for tier in order if tier in rules.tiers), None)


def run(prompts: Sequence[str], *, stack: str | None, fleet: Path | None, as_json: bool) -> None:
    """Judge the prompts given, or those on standard input, one JSON object a line.

    Raises:
        BadInputError: a line is no prompt; the others have been answered all the same.
    """
    if stack is not None and fleet is not None:
        raise BadInputError("--stack and --fleet both name a contract. fix: leave one of them out")
    contract = ContractFile(fleet).load() if fleet is not None else read_contract(stack) if stack is not None else None
    rules = rules_of(contract)
    classifier = Classifier(rules.privacy)
    answers: list[dict[str, Any]] = []
    mistakes: list[dict[str, Any]] = []
    for number, read in enumerate(_given(prompts) if prompts else _lines(), start=1):
        if isinstance(read, str):
            if read:
                mistakes.append({"line": number, "message": read})
                note(f"line {number}: {read}")
            continue
        answer = _answer(rules, classifier, read)
        if as_json:
            answers.append({"line": number, **answer})
        else:
            print(json.dumps(answer), flush=True)  # noqa: T201
    if as_json:
        write_json({"answers": answers, "mistakes": mistakes})
    if mistakes:
        # Each was told where it stood; the rest of the document is out already.
        sys.exit(BadInputError.exit_code)


def _answer(rules: Rules, classifier: Classifier, body: dict[str, Any]) -> dict[str, Any]:
    dialect: Dialect = "openai" if "messages" in body or "input" in body else "ollama"
    found = classifier.classify(dialect, body)
    tier = first_tier(rules, found)
    reasons = list(found.reasons)
    if tier is None:
        reasons.append("no tier of this contract may have it")
    return {
        "privacy": "private" if found.private else "public",
        "complexity": "complex" if found.complex else "routine",
        "tier": tier,
        "reasons": reasons,
    }


def _given(prompts: Sequence[str]) -> Iterator[dict[str, Any] | str]:
    for prompt in prompts:
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            yield f"is not UTF-8 at character {error.start + 1}. fix: convert it"
        else:
            yield {"prompt": prompt}


def _lines() -> Iterator[dict[str, Any] | str]:
    """The requests on standard input; in place of one that cannot be read, what is wrong; nothing for a blank line."""
    if sys.stdin.isatty():
        note('reading prompts, one JSON object a line, such as {"prompt": "What is the capital of Japan?"}')
    for line in sys.stdin.buffer:
        yield _read(line)


def _read(line: bytes) -> dict[str, Any] | str:
    if not line.strip():
        return ""
    try:
        value: object = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return f"is not UTF-8 at byte {error.start + 1}. fix: convert it"
    except RecursionError:
        return 'is nested too deeply. fix: write {"prompt": "..."}'
    except ValueError as error:
        return f'is not JSON: {error}. fix: write {{"prompt": "..."}}'
    if not isinstance(value, dict):
        return f'holds {_kind(value)}, not an object. fix: write {{"prompt": "..."}}'
    body = cast("dict[str, Any]", value)
    if not any(name in body for name in _ASKS):
        return 'has no prompt. fix: write {"prompt": "..."}, or a whole request with messages or input'
    prompt: object = body.get("prompt", "")
    if not isinstance(prompt, (str, list)):
        return f"prompt must be text, not {_kind(prompt)}"
    return body


def _kind(value: object) -> str:
    return _KINDS[type(value)]


_KINDS: dict[object, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
