"""How llama.cpp is told which adapter works in a request: always, or not at all where it holds none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.operations import OLLAMA_CHAT, OPENAI_CHAT, Operation, plan
from fleet_spec.contract import AdapterScale, EngineName

pytestmark = pytest.mark.unit
SCALES = (AdapterScale(id=0, scale=0.0), AdapterScale(id=1, scale=0.5))
MESSAGES = [{"role": "user", "content": "Hello"}]


def asked(operation: Operation, engine: EngineName, *scales: AdapterScale, **body: Any) -> tuple[bytes, bytes]:
    """The client's request, and what the engine gets."""
    raw = json.dumps({"model": "law", "messages": MESSAGES, "stream": True, **body}).encode()
    call = plan(
        operation, raw, json.loads(raw), engine=engine, engine_model="law", context_length=4096, lora=list(scales)
    )
    return raw, call.body


@pytest.mark.parametrize("operation", [OPENAI_CHAT, OLLAMA_CHAT])
def test_every_adapter_is_named_with_its_scale_in_either_dialect(operation: Operation) -> None:
    _, sent = asked(operation, "llamacpp", *SCALES)
    assert json.loads(sent)["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.5}]


def test_where_there_are_no_adapters_a_request_is_passed_on_untouched() -> None:
    raw, sent = asked(OPENAI_CHAT, "llamacpp")
    assert sent is raw or sent == raw


@pytest.mark.parametrize("scales", [(), SCALES])
def test_a_client_cannot_choose_adapters_past_their_names(scales: tuple[AdapterScale, ...]) -> None:
    with pytest.raises(RequestError, match="ask for the adapter by its name") as refused:
        asked(OPENAI_CHAT, "llamacpp", *scales, lora=[{"id": 0, "scale": 1}])
    assert refused.value.status == 400


def test_other_engines_are_asked_by_name_alone() -> None:
    _, sent = asked(OPENAI_CHAT, "vllm")
    body = json.loads(sent)
    assert body["model"] == "law"
    assert "lora" not in body
