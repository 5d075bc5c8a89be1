"""Descriptions of models that are fetched: a config.json from the hub, and what an Ollama says."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx

from cli.contract import read_contract
from fleet_spec.errors import BadInputError

_TIMEOUT_SECONDS: Final = 20.0
_MOST_BYTES: Final = 4 * 2**20


@contextmanager
def fetched_config(url: str) -> Generator[Path]:
    """A config.json from an https address, as a file that is gone when the block ends.

    A page of the hub that shows the file (``/blob/``) stands for the file itself.

    Raises:
        BadInputError: it cannot be fetched.
    """
    data = bytearray()
    try:
        with httpx.stream(
            "GET", url.replace("/blob/", "/raw/"), timeout=_TIMEOUT_SECONDS, follow_redirects=True
        ) as got:
            if got.status_code != HTTPStatus.OK:
                raise BadInputError(f"{url} answered {got.status_code}. fix: correct the address, or fetch it yourself")
            for piece in got.iter_bytes():
                data += piece
                if len(data) > _MOST_BYTES:
                    raise BadInputError(f"{url} is too large for a config.json. fix: name a model's config.json")
    except httpx.HTTPError as error:
        raise BadInputError(f"{url} cannot be fetched: {error}. fix: fetch it yourself, and name the file") from error
    with tempfile.TemporaryDirectory(prefix="paddock-") as folder:
        path = Path(folder) / "config.json"
        path.write_bytes(data)
        yield path


def ollama_of(stack: str, url: str | None) -> str:
    """The address of the Ollama that is asked: the one that is given, else the first of the stack.

    Raises:
        BadInputError: the stack is not up, or has none that this machine reaches.
    """
    if url is not None:
        return url.rstrip("/")
    contract = read_contract(stack)
    found = (
        endpoint.url for model in contract.models.values() if model.engine == "ollama" for endpoint in model.endpoints
    )
    server = next(found, None)
    if server is None:
        raise BadInputError(f"stack {stack!r} has no Ollama. fix: name one with --url, such as http://127.0.0.1:11434")
    return server


def ollama_answer(server: str, model: str) -> dict[str, Any]:
    """What an Ollama says of a model that it holds.

    Raises:
        BadInputError: it does not answer, or does not hold the model.
    """
    try:
        answer = httpx.post(f"{server}/api/show", json={"model": model}, timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise BadInputError(
            f"no Ollama answers on {server}: {error}. fix: start it, or name another with --url"
        ) from error
    if answer.status_code != HTTPStatus.OK:
        raise BadInputError(
            f"{server} does not hold {model!r} ({answer.status_code}). fix: name a .gguf file, a config.json, or a "
            f"model that it holds; `paddock models pull {model}` fetches one"
        )
    return answer.json()
