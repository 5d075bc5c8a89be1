"""Prompts that are private beyond doubt, made anew for each test from a seed: every detector, in many forms."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence

from agent_runtime.router.prompts.classifier import Classifier
from fleet_spec.governance_spec import PrivacySpec
from tests.unit.router.prompts.labelled import SECRETS, read

_DIGIT_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_ASKING = (
    "Please check this for me: {}",
    "What should I tell the bank about {}?",
    "Bitte schreib einen Brief dazu: {}",
    "R\u00e9dige un message \u00e0 propos de ceci : {}",
    "\u00bfPuedes revisar esto? {}",
    "Prove rigorously, step by step, whether this is right, and discuss two alternatives: {}",
    "Turn this row into JSON: 17;{};done",
)


def card(rng: random.Random) -> str:
    """A card's number with its check digit (Luhn), written in one of several ways."""
    digits = [int(one) for one in rng.choice(("4", "51", "55", "2221", "6011"))]
    digits += [rng.randrange(10) for _ in range(15 - len(digits))]
    doubled = [d if place % 2 else sum(divmod(2 * d, 10)) for place, d in enumerate(digits)]
    digits.append(-sum(doubled) % 10)
    text = "".join(map(str, digits))
    groups = [text[at : at + 4] for at in range(0, 16, 4)]
    ways: Sequence[Callable[[], str]] = (
        lambda: text,
        lambda: " ".join(groups),
        lambda: "-".join(groups),
        lambda: "card number " + " ".join(_DIGIT_WORDS[int(one)] for one in text),
        lambda: "card number " + " ".join(text),
        lambda: "".join(chr(0xFF10 + int(one)) for one in text),
    )
    return rng.choice(ways)()


def iban(rng: random.Random) -> str:
    """An account's number with its check digits (ISO 7064)."""
    country, length = rng.choice((("DE", 18), ("AT", 16), ("BE", 12), ("DK", 14), ("ES", 20)))
    account = "".join(str(rng.randrange(10)) for _ in range(length))
    if country == "BE":
        account = account[:10] + f"{int(account[:10]) % 97 or 97:02d}"
    if country == "ES":
        account = _spanish(account)
    number = int(account + "".join(str(ord(letter) - 55) for letter in country) + "00")
    text = f"{country}{98 - number % 97:02d}{account}"
    return rng.choice((text, " ".join(text[at : at + 4] for at in range(0, len(text), 4)), text.lower()))


def _spanish(account: str) -> str:
    """With the two check digits that Spain has within the number as well."""
    weights = (1, 2, 4, 8, 5, 10, 9, 7, 3, 6)

    def check(digits: str) -> str:
        left = 11 - sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 11
        return str({11: 0, 10: 1}.get(left, left))

    bank, own = account[:8], account[10:]
    return bank + check("00" + bank) + check(own) + own


def email(rng: random.Random) -> str:
    """A person's address."""
    first, last = rng.choice(("margret", "tomasz", "lucia", "jan")), rng.choice(("holm", "nowak", "prieto", "visser"))
    host = rng.choice(("gmail.com", "web.de", "orange.fr", "outlook.com"))
    return rng.choice((f"{first}.{last}@{host}", f"{first}{rng.randrange(90)}.{last}@{host}".upper()))


def token(rng: random.Random) -> str:
    """Somebody's key, whose service is known by its form."""
    return SECRETS[rng.choice(("github", "gitlab", "stripe", "slack", "anthropic", "openai", "hf", "jwt", "pem"))]


def credential(rng: random.Random) -> str:
    """A secret that its label tells."""
    secret = "".join(rng.choice("abcdefghkmnpqrstuvwxyz23456789") for _ in range(12)) + "!Q"
    return rng.choice(
        (f"password: {secret}", f"DB_PASSWORD={secret}", f"my password is {secret}", f"Passwort: {secret}")
    )


def social_security(rng: random.Random) -> str:
    """A person's number in the United States."""
    return f"SSN {rng.randrange(100, 660)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}"


def hidden(rng: random.Random) -> str:
    """An address in base64."""
    return base64.b64encode(f"Please contact {email(rng)} about the invoice".encode()).decode()


_KINDS = (card, iban, email, token, credential, social_security, hidden)


def generated(count: int, seed: int) -> list[str]:
    """So many prompts, each kind as often as the others."""
    rng = random.Random(seed)
    return [rng.choice(_ASKING).format(_KINDS[number % len(_KINDS)](rng)) for number in range(count)]


def labelled() -> list[str]:
    """The labelled prompts, in a dozen languages, that the detectors find by themselves: people's health, pay, papers.

    What they do not find is measured where the classifier is. Here it is about what becomes of what was found.
    """
    classifier = Classifier(PrivacySpec())
    prompts = [one for name in ("tuned", "unseen") for one in read(name) if one.private and set(one.body) == {"prompt"}]
    found = [str(one.body["prompt"]) for one in prompts if classifier.classify(one.dialect, one.body).private]
    assert len(found) > 0.9 * len(prompts)
    return found
