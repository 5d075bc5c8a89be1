"""OpenTelemetry traces with the conventions for generative AI, where the packages are there and somebody asks for them.

They are asked for as everywhere: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT names a
collector. Names of spans and attributes are those of OpenTelemetry's semantic conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/). No prompt and no answer is ever recorded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from agent_runtime.router.dialects.replies import section
from agent_runtime.router.dialects.usage import Usage
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OPERATIONS: Final = {
    "chat": "chat",
    "generate": "text_completion",
    "completions": "text_completion",
    "embed": "embeddings",
    "embeddings": "embeddings",
}
_SAMPLING: Final = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "num_predict": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}
_NANOSECONDS: Final = 1_000_000_000


class RequestTrace:
    """The span of one request."""

    __slots__ = ("_span", "header")

    def __init__(self, span: Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.header = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}".encode()
        """``traceparent`` for the model server, so that its spans are this one's children."""

    def end(
        self,
        *,
        status: int,
        tier: str,
        model: str,
        provider: str,
        host: str,
        port: int,
        reason: str,
        usage: Usage | None,
        usd: float | None,
        first_byte_seconds: float | None,
        finished_unix_seconds: float,
    ) -> None:
        """Say what became of the request, and hand the span over."""
        from opentelemetry.trace import Status, StatusCode

        span = self._span
        found: dict[str, Any] = {
            "gen_ai.response.model": model,
            "gen_ai.provider.name": provider,
            "server.address": host,
            "server.port": port,
            "http.response.status_code": status,
            "paddock.tier": tier,
            "paddock.reason": reason,
        }
        if usage is not None:
            found["gen_ai.usage.input_tokens"] = usage.prompt_tokens
            found["gen_ai.usage.output_tokens"] = usage.completion_tokens
        if usd is not None:
            found["paddock.cost_usd"] = usd
        if first_byte_seconds is not None:
            found["paddock.time_to_first_token_seconds"] = first_byte_seconds
        if status >= 400:
            found["error.type"] = str(status)
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(found)
        span.end(int(finished_unix_seconds * _NANOSECONDS))


class Traces:
    """Begins spans. Make one with :meth:`from_environment`."""

    def __init__(self, processor: SpanProcessor, service: str = "paddock-router") -> None:
        """Send spans to a processor.

        Args:
            processor: What takes ended spans.
            service: The service's name, unless OTEL_SERVICE_NAME says another.
        """
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", service)})
        self._provider: TracerProvider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("paddock.router")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Traces | None:
        """Traces to the collector that the environment names; None where it names none.

        Raises:
            BadInputError: it names one, and the packages are missing.
        """
        if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return None
        named = next((name for name in _ENDPOINTS if environment.get(name)), None)
        if named is None or environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise BadInputError(
                f"{named} names a collector, and the packages that send traces are not installed. "
                "Install Paddock's extra 'otel' (`pip install 'paddock[otel]'`), or unset the variable."
            ) from error
        return cls(BatchSpanProcessor(OTLPSpanExporter()))

    def begin(
        self, operation: str, model: str, body: Mapping[str, Any], parent: bytes | None, *, streamed: bool
    ) -> RequestTrace:
        """The span of a request that begins now.

        Args:
            operation: The name of an :class:`~agent_runtime.router.dialects.operations.Operation`.
            model: The name that the client asked for.
            body: The request; only settings of sampling are taken from it.
            parent: The client's ``traceparent`` header.
            streamed: Whether the answer is a stream.
        """
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {} if parent is None else {"traceparent": parent.decode("latin-1")}
        name = _OPERATIONS.get(operation, operation)
        found: dict[str, Any] = {
            "gen_ai.operation.name": name,
            "gen_ai.request.model": model,
            "gen_ai.request.stream": streamed,
        }
        for source in (body, section(body.get("options"))):
            for key, attribute in _SAMPLING.items():
                value: object = source.get(key)
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    found[attribute] = value
        span = self._tracer.start_span(
            f"{name} {model}",
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.CLIENT,
            attributes=found,
            start_time=time.time_ns(),
        )
        return RequestTrace(span)  # pyright: ignore[reportArgumentType] - the SDK's tracer makes the SDK's spans

    def close(self) -> None:
        """Send what waits, within the exporter's own time limit."""
        self._provider.shutdown()
