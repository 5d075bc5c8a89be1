"""Reads the labelled prompts. Secrets in them are put together here, so that no file holds one."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime.router.dialects.errors import Dialect

DIRECTORY = Path(__file__).resolve().parents[3] / "data" / "prompts"

SECRETS = {
    "github": "ghp" + "_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "gitlab": "glpat" + "-x7Yz9AbCdEfGhIjKlMnO",
    "aws_id": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws_secret": "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "pem": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA " + "PRIVATE KEY-----",
    "slack": "xoxb" + "-123456789012-123456789012-AbCdEfGhIjKlMnOpQrStUvWx",
    "stripe": "sk_live" + "_4eC39HqLyjWDarjtT1zdp7dc",
    "openai": "sk-proj" + "-Abc123Def456Ghi789Jkl012Mno345Pqr678",
    "anthropic": "sk-ant" + "-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AA",
    "google": "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "hf": "hf" + "_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "npm": "npm" + "_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "sendgrid": "SG" + ".ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr",
    "basic_auth_url": "https://deploy:" + "Hq7rTz91@git.corp.example.net/app.git",
    "postgres_url": "postgres://app:" + "S3cure9pw@db.corp.net:5432/orders",
    "mongo_url": "mongodb+srv://svc:" + "Zq81mmPl@cluster0.ab12c.mongodb.net/prod",
    "b64_email": base64.b64encode(b"Plese contact margret.holm@gmail.com for teh invoice").decode(),
}


def with_secrets(text: str) -> str:
    """The text with its placeholders, a name in double square brackets, filled in."""
    return re.sub(r"⟦(\w+)⟧", lambda match: SECRETS[match[1]], text)


@dataclass(frozen=True, slots=True)
class Labelled:
    dialect: Dialect
    body: dict[str, Any]
    private: bool
    complex: bool
    language: str


def read(name: str) -> list[Labelled]:
    """The prompts of ``tuned`` or ``unseen``."""
    result: list[Labelled] = []
    for line in (DIRECTORY / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        filled = re.sub(r"⟦(\w+)⟧", lambda match: json.dumps(SECRETS[match[1]])[1:-1], line)
        one: dict[str, Any] = json.loads(filled)
        body = one.get("body") or {"prompt": one["prompt"]}
        result.append(
            Labelled(
                one.get("dialect", "ollama"),
                body,
                one["privacy"] == "private",
                one["complexity"] == "complex",
                one["language"],
            )
        )
    return result
