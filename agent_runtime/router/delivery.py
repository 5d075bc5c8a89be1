"""How an answer reaches the client: as it is read, framed anew, or translated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from agent_runtime.router.answers.recording import Recording
from agent_runtime.router.asked import Asked
from agent_runtime.router.dialects.errors import (
    Dialect,
    stream_error,
)
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.dialects.usage import Usage, usage_in_tail
from agent_runtime.router.http_head import ReplyHead, header_lines, status_line
from agent_runtime.router.money.prices import Price

_TAIL_READS: Final = 6
_TAIL_BYTES: Final = 2048

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
