"""Traces, as a collector gets them."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.traces import RequestTrace, Traces
from fleet_spec.errors import BadInputError
from tests.unit.router.rig import Talk, openai_whole, running

pytestmark = pytest.mark.unit
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BODY: dict[str, Any] = {
    "model": "default",
    "messages": [{"role": "user", "content": "my secret plan"}],
    "options": {"temperature": 0.2, "num_predict": 7},
    "seed": 4,
}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> Traces:
    return Traces(SimpleSpanProcessor(exporter))


def ended(trace: RequestTrace, exporter: InMemorySpanExporter, status: int = 200) -> ReadableSpan:
    trace.end(
        status=status,
        tier="local",
        model="assistant",
        provider="llamacpp",
        host="127.0.0.1",
        port=18101,
        reason="routine",
        usage=Usage(prompt_tokens=5, completion_tokens=7),
        usd=0.001,
        first_byte_seconds=0.25,
        finished_unix_seconds=4_000_000_000.0,
    )
    return exporter.get_finished_spans()[0]


def test_a_span_has_the_names_of_the_conventions(traces: Traces, exporter: InMemorySpanExporter) -> None:
    span = ended(traces.begin("chat", "default", BODY, None, streamed=True), exporter)
    assert span.name == "chat default"
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "default",
        "gen_ai.request.stream": True,
        "gen_ai.request.seed": 4,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.response.model": "assistant",
        "gen_ai.provider.name": "llamacpp",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "server.address": "127.0.0.1",
        "server.port": 18101,
        "http.response.status_code": 200,
        "paddock.tier": "local",
        "paddock.reason": "routine",
        "paddock.cost_usd": 0.001,
        "paddock.time_to_first_token_seconds": 0.25,
    }
    assert span.end_time == 4_000_000_000 * 1_000_000_000


def test_no_prompt_is_recorded(traces: Traces, exporter: InMemorySpanExporter) -> None:
    assert "secret plan" not in ended(traces.begin("chat", "m", BODY, None, streamed=False), exporter).to_json()


def test_a_span_belongs_to_the_client_s_and_the_engine_s_to_it(traces: Traces, exporter: InMemorySpanExporter) -> None:
    trace = traces.begin("embed", "m", {}, PARENT, streamed=False)
    span = ended(trace, exporter)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.context is not None
    assert trace.header.decode() == f"00-0af7651916cd43dd8448eb211c80319c-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("parent", [b"", b"nonsense", b"\xff\xfe", b"00-0-0-0"])
def test_a_broken_parent_begins_a_trace_of_its_own(
    traces: Traces, exporter: InMemorySpanExporter, parent: bytes
) -> None:
    assert ended(traces.begin("chat", "m", {}, parent, streamed=False), exporter).parent is None


def test_an_error_is_one(traces: Traces, exporter: InMemorySpanExporter) -> None:
    span = ended(traces.begin("chat", "m", {}, None, streamed=False), exporter, status=503)
    assert not span.status.is_ok
    assert (span.attributes or {})["error.type"] == "503"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nobody_asks_for_traces(environment: dict[str, str]) -> None:
    assert Traces.from_environment(environment) is None


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ImportError(name)
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInputError, match=r"paddock\[otel\]"):
        Traces.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


async def test_every_question_to_a_model_is_a_span_that_the_engine_s_belong_to(
    tmp_path: Path, traces: Traces, exporter: InMemorySpanExporter
) -> None:
    async def answers(talk: Talk) -> None:
        await talk.reply(openai_whole())

    async with running(tmp_path, answers, traces=traces) as rig:
        reply = await rig.client.post(
            "/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
            headers={"traceparent": PARENT.decode()},
        )
        assert reply.status_code == 200
        await rig.client.get("/v1/models")
        (span,) = exporter.get_finished_spans()
        found = dict(span.attributes or {})
        assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (7, 2)
        assert (found["paddock.tier"], found["server.port"]) == ("local", rig.engine.port)
        assert span.parent is not None
        assert span.context is not None
        assert f"{span.context.span_id:016x}".encode() in rig.engine.asked[0].head
        assert b"0af7651916cd43dd8448eb211c80319c" in rig.engine.asked[0].head


async def test_a_request_that_fails_is_a_span_too(
    tmp_path: Path, traces: Traces, exporter: InMemorySpanExporter
) -> None:
    async def breaks(talk: Talk) -> None:
        await talk.hang_up()

    async with running(tmp_path, breaks, traces=traces) as rig:
        assert (await rig.chat()).status_code == 502
        (span,) = exporter.get_finished_spans()
        assert not span.status.is_ok
