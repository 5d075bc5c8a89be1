"""How an answer reaches the client: as it is read, framed anew, translated, or all at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent_runtime.router.access.caller import ANONYMOUS, Caller
from agent_runtime.router.access.rates import FREE, Passage
from agent_runtime.router.answers.cache import Question
from agent_runtime.router.answers.recording import Recording
from agent_runtime.router.buffers import SMALL_BYTES, Buffers
from agent_runtime.router.dialects.assembly import Assembly, Collection
from agent_runtime.router.dialects.errors import (
    BadReplyError,
    Dialect,
    stream_error,
)
from agent_runtime.router.dialects.operations import Call, Operation, engine_dialect
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.dialects.too_long import engine_error
from agent_runtime.router.dialects.usage import Usage, usage_in_tail
from agent_runtime.router.fleet_state import ModelState
from agent_runtime.router.http_head import ReplyHead, header_lines, status_line
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.limits import Limits
from agent_runtime.router.money.months import to_usd
from agent_runtime.router.money.prices import Price
from agent_runtime.router.money.purse import Reservation
from agent_runtime.router.request import Request
from agent_runtime.router.routing import Decision

_JSON: Final = "application/json; charset=utf-8"
_TAIL_READS: Final = 6
_TAIL_BYTES: Final = 2048


@dataclass(slots=True)
class Asked:
    """A request that a model server is to answer, and all that its answer needs to know of it."""

    client: ClientConnection
    request: Request
    operation: Operation
    decision: Decision
    call: Call
    limits: Limits
    loop: asyncio.AbstractEventLoop
    caller: Caller = ANONYMOUS
    passage: Passage = FREE
    """What its key's rate limits have counted of it."""
    question: Question | None = None
    """What the cache knows it by; None where the cache has nothing to do with it."""
    reservation: Reservation | None = None
    """Money that is set aside for the attempt that is under way."""
    books: bool = True
    """Whether what it uses is charged: a question about a model is not."""
    model: ModelState = field(init=False)
    """Who is asked now, by ``call``: first whom the decision says, then another where that one fails."""

    buffers: Buffers = field(init=False)
    """Where it is counted what is kept in memory for it."""
    kept_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.decision.model
        self.kept_bytes = 0

    def may_keep(self, size_bytes: int) -> bool:
        """Count in what is kept in memory for this request, until it ends. False where there is no room for it."""
        if not self.buffers.take(size_bytes):
            return False
        self.kept_bytes += size_bytes
        return True


Fault = Callable[[str, str], None]
"""Called with a kind and a message where an answer turns out to be unusable."""


class Delivery:
    """One answer on its way to a client. The subclasses are the ways."""

    unframe: bool = True
    """Whether the body is needed without the engine's framing."""

    def __init__(self, asked: Asked, head: ReplyHead, names: dict[str, str], fault: Fault) -> None:
        self._asked = asked
        self._client = asked.client
        self._request = asked.request
        self._dialect: Dialect = asked.operation.dialect
        self._head = head
        self._names = names
        self._fault = fault
        self._tail: deque[bytes] = deque(maxlen=_TAIL_READS)
        """The last reads, in which the engine's counts are found without decoding anything on the way."""
        self.status = head.status
        self.sent = False
        """Whether the client has seen any of the answer. From then on there is no second try."""
        self.alive = False
        """Whether anything came since this was last set to False."""
        self.first_byte_at: float | None = None
        self.size_bytes: int = 0
        """How much of the engine's body came."""
        self.price: Price | None = None
        """What the model costs, where somebody knows."""
        self.recording: Recording | None = None
        """Where the answer is written down, if it may be given again."""

    def record(self, recording: Recording) -> None:
        """Write the answer down as the client gets it."""
        recording.begin(self.status, self._content_type(), self._names, chunked=not self.unframe and self._head.chunked)
        self.recording = recording

    def _content_type(self) -> str:
        found = next((value for name, value in self._head.headers if name == b"content-type"), b"application/json")
        return found.decode("latin-1")

    def write(self, data: bytes) -> None:
        """More of the engine's body."""
        raise NotImplementedError

    def end(self) -> None:
        """The engine's answer is whole.

        Raises:
            BadReplyError: it is not, whatever HTTP says. The client may have seen a part.
        """
        raise NotImplementedError

    def tell(self, message: str, *, between_chunks: bool) -> bool:  # noqa: ARG002 - used by the ways that can
        """Tell a client that has seen a part of the answer that no more will come. False: that is impossible."""
        return False

    def usage(self) -> Usage | None:
        """The engine's counts, where they are known."""
        return usage_in_tail(b"".join(self._tail))

    def _keep(self, data: bytes) -> None:
        self._tail.append(data if len(data) <= _TAIL_BYTES else data[-_TAIL_BYTES:])

    def _begin(self, lines: bytes, framing: bytes, data: bytes) -> None:
        """Write the head, and the first bytes of the body with it."""
        self.sent = True
        self.first_byte_at = self._asked.loop.time()
        self._client.transport.write(lines + framing + self._client.closing_lines(self._request) + data)


class Relay(Delivery):
    """The engine's bytes, its framing included, as they are read. No object is made for a chunk."""

    unframe = False

    def write(self, data: bytes) -> None:
        """Hand on."""
        self.alive = True
        self.size_bytes += len(data)
        self._tail.append(data if len(data) <= _TAIL_BYTES else data[-_TAIL_BYTES:])
        if self.recording is not None:
            self.recording.write(data)
        if self.sent:
            self._client.transport.write(data)
        else:
            self._begin(self._head.for_client, self._framing(), data)

    def _framing(self) -> bytes:
        if self._head.length is not None:
            return b"Content-Length: %d\r\n" % self._head.length
        return b"Transfer-Encoding: chunked\r\n"

    def end(self) -> None:
        """Nothing is left to do: the engine's framing has ended the answer."""

    def tell(self, message: str, *, between_chunks: bool) -> bool:
        """Add an error where the last thing handed on was a whole line or event, in a whole chunk."""
        mark = b"\n\r\n" if self._dialect == "ollama" else b"\n\n\r\n"
        if not (self._head.chunked and between_chunks and b"".join(self._tail).endswith(mark)):
            return False
        error = stream_error(self._dialect, message)
        self._client.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(error), error))
        return True


class Reframe(Delivery):
    """The engine's body as it is, in a framing of ours: client and engine speak different versions of HTTP."""

    def write(self, data: bytes) -> None:
        """Frame and hand on."""
        self.alive = True
        self.size_bytes += len(data)
        self._keep(data)
        self._write_framed(data)

    def end(self) -> None:
        """End the body."""
        self._end_framed()

    def _lines(self) -> bytes:
        return self._head.for_client

    def _write_framed(self, data: bytes) -> None:
        if not data:
            return
        if self.recording is not None:
            self.recording.write(data)
        chunked = self._request.version == "1.1"
        if chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self.sent:
            self._client.transport.write(data)
        else:
            self._begin(self._lines(), b"Transfer-Encoding: chunked\r\n" if chunked else b"", data)

    def _end_framed(self) -> None:
        chunked = self._request.version == "1.1"
        if not self.sent:
            self._begin(self._lines(), b"Transfer-Encoding: chunked\r\n" if chunked else b"", b"")
        if chunked:
            self._client.transport.write(b"0\r\n\r\n")


class Translate(Reframe):
    """A stream in the other dialect."""

    def __init__(
        self,
        asked: Asked,
        head: ReplyHead,
        names: dict[str, str],
        fault: Fault,
        translator: ReplyTranslator,
    ) -> None:
        super().__init__(asked, head, names, fault)
        self._translator = translator

    def write(self, data: bytes) -> None:
        """Translate and hand on."""
        self.alive = True
        self.size_bytes += len(data)
        if self._translator.failure is None:
            self._write_framed(self._translator.feed(data))
            if self._translator.failure is not None:
                self._fault("error", self._translator.failure)

    def end(self) -> None:
        """Say that the answer is whole, if the engine did."""
        self._write_framed(self._translator.finish())
        self._end_framed()

    def tell(self, message: str, *, between_chunks: bool) -> bool:  # noqa: ARG002 - the framing is ours
        """Add an error."""
        self._write_framed(stream_error(self._dialect, message))
        self._end_framed()
        return True

    def usage(self) -> Usage | None:
        """As counted by the engine."""
        return self._translator.usage

    def _content_type(self) -> str:
        return self._translator.stream_type.decode()

    def _lines(self) -> bytes:
        names = {
            "Content-Type": self._translator.stream_type.decode(),
            "Cache-Control": "no-cache",
            **self._names,
        }
        return status_line(self.status) + header_lines(names.items())


class Collect(Delivery):
    """An answer that is passed on when all of it is there, so that half of it is never taken for the whole."""

    def __init__(
        self,
        asked: Asked,
        head: ReplyHead,
        names: dict[str, str],
        fault: Fault,
        translator: ReplyTranslator | None,
    ) -> None:
        super().__init__(asked, head, names, fault)
        self._translator = translator
        self._usage: Usage | None = None
        self._assembles = asked.call.in_pieces and head.is_stream
        self._whole = Assembly(asked.call.path) if self._assembles else Collection()

    def write(self, data: bytes) -> None:
        """Keep."""
        self.alive = True
        self.size_bytes += len(data)
        if self.size_bytes > self._asked.limits.translated_reply_bytes:
            self._whole = Collection()
            self._fault("invalid", "the model server sent an answer that is too large to be passed on whole")
            return
        if self.size_bytes > SMALL_BYTES and not self._asked.may_keep(len(data)):
            self._whole = Collection()
            self._fault("memory", "the router keeps too many large answers at once to keep this one too")
            return
        try:
            self._whole.feed(data)
        except BadReplyError as error:
            self._fault("error", str(error))

    def end(self) -> None:
        """Translate if need be, and write all of it."""
        body = self._whole.body()
        lines = self._head.for_client
        fresh = self._translator is not None or self._assembles
        if self.status >= 400:
            told = self._error(body)
            fresh, body = fresh or told is not body, told
        elif self._translator is None:
            self._keep(body)
        else:
            body = self._translator.whole(body)
        if fresh:
            names = {"Content-Type": _JSON, **self._names}
            lines = status_line(self.status) + header_lines(names.items())
        if self.recording is not None:
            self.recording.write(body)
        self.sent = True
        framing = self._cost_line() + b"Content-Length: %d\r\n" % len(body)
        self._client.transport.write(lines + framing + self._client.closing_lines(self._request) + body)

    def _content_type(self) -> str:
        return super()._content_type() if self._translator is None and not self._assembles else _JSON

    def _error(self, body: bytes) -> bytes:
        """The engine's error as the client gets it: ``body`` itself where nothing in it has to change."""
        entry = self._asked.model.entry
        self.status, told = engine_error(
            self._dialect,
            self.status,
            body,
            same_dialect=engine_dialect(entry.engine) == self._dialect,
            context_length=entry.context_length,
            sent_bytes=len(self._request.body),
        )
        return told

    def _cost_line(self) -> bytes:
        """A line of the head that says what the answer cost: here, all of it is known before the first byte."""
        usage = None if self.price is None or self.status >= 400 else self.usage()
        if usage is None or self.price is None:
            return b""
        usd = to_usd(self.price.cost_nano_usd(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens))
        return b"X-Paddock-Cost-Usd: %.9f\r\n" % usd

    def usage(self) -> Usage | None:
        """As counted by the engine."""
        if self._translator is not None:
            return self._translator.usage
        if self._usage is None:
            self._usage = super().usage()
        return self._usage


def deliver(
    asked: Asked,
    head: ReplyHead,
    names: dict[str, str],
    fault: Fault,
    translator: ReplyTranslator | None,
) -> Delivery:
    """Choose the way for an answer with this head. ``names`` are headers that say who answered."""
    same_dialect = engine_dialect(asked.model.entry.engine) == asked.operation.dialect
    if translator is not None and not (head.status >= 400 and same_dialect):
        if head.status < 400 and asked.call.streamed:
            return Translate(asked, head, names, fault, translator)
        return Collect(asked, head, names, fault, translator)
    if asked.call.in_pieces and head.is_stream:
        return Collect(asked, head, names, fault, None)
    if head.length is not None:
        if head.length <= asked.limits.whole_reply_bytes:
            return Collect(asked, head, names, fault, None)
        return Relay(asked, head, names, fault)
    if head.chunked and asked.request.version == "1.1":
        return Relay(asked, head, names, fault)
    return Reframe(asked, head, names, fault)
