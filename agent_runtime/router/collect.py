"""An answer that is passed on all at once."""

from __future__ import annotations

from agent_runtime.router.asked import Asked
from agent_runtime.router.buffers import SMALL_BYTES
from agent_runtime.router.delivery import Delivery, Fault
from agent_runtime.router.dialects.assembly import Assembly, Collection
from agent_runtime.router.dialects.errors import (
    BadReplyError,
)
from agent_runtime.router.dialects.operations import engine_dialect
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.dialects.too_long import engine_error
from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.http_head import JSON_TYPE, ReplyHead, header_lines, status_line
from agent_runtime.router.money.months import to_usd


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
            names = {"Content-Type": JSON_TYPE, **self._names}
            lines = status_line(self.status) + header_lines(names.items())
        if self.recording is not None:
            self.recording.write(body)
        self.sent = True
        framing = self._cost_line() + b"Content-Length: %d\r\n" % len(body)
        self._client.transport.write(lines + framing + self._client.closing_lines(self._request) + body)

    def _content_type(self) -> str:
        return super()._content_type() if self._translator is None and not self._assembles else JSON_TYPE

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
