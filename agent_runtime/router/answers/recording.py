"""Writes down an answer while it is delivered, and keeps it if it turns out to be whole."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import httptools

from agent_runtime.router.answers.wholeness import whole
from agent_runtime.router.dialects.operations import Operation
from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.http_head import header_lines

_PIECE_OVERHEAD_BYTES: Final = 48
"""What a piece takes beside its bytes: streams come in pieces that are smaller than the objects that hold them."""
_STEP_BYTES: Final = 64 * 1024
_ID_RANDOM_CHARACTERS: Final = 8
_CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Room:
    """Memory for the answers that are being written down at the same moment."""

    def __init__(self, size_bytes: int) -> None:
        self.left_bytes = size_bytes

    def take(self, size_bytes: int) -> bool:
        """Take some of it. False: there is not enough."""
        if size_bytes > self.left_bytes:
            return False
        self.left_bytes -= size_bytes
        return True


class Recording:
    """One answer on its way. It ends once, kept or not; what comes after that is passed over.

    A delivery calls ``begin`` with the answer's head, ``write`` with every piece as the client gets it, and then
    ``end``, or ``abandon`` where the answer broke off or its client left. Nothing here raises.
    """

    __slots__ = (
        "_choices",
        "_chunked",
        "_head",
        "_keep",
        "_limit_bytes",
        "_operation",
        "_pieces",
        "_reserved_bytes",
        "_room",
        "_size_bytes",
        "_streamed",
    )

    def __init__(
        self,
        operation: Operation,
        *,
        streamed: bool,
        choices: int,
        limit_bytes: int,
        room: Room,
        keep: Callable[[bytes, bytes, bool, Usage | None, str | None], None],
    ) -> None:
        self._operation = operation
        self._streamed = streamed
        self._choices = choices
        self._limit_bytes = limit_bytes
        self._room = room
        self._keep = keep
        self._pieces: list[bytes] | None = None
        self._size_bytes = 0
        self._reserved_bytes = 0
        self._chunked = False
        self._head = b""

    @property
    def open(self) -> bool:
        """Whether more of the answer is of use."""
        return self._pieces is not None

    def begin(self, status: int, content_type: str, headers: Mapping[str, str], *, chunked: bool = False) -> None:
        """Take the head in. Only the answers of status 200 are kept.

        Args:
            status: The answer's status.
            content_type: The answer's type.
            headers: What else the head says of the answer itself and holds for its replays: who gave it. Not the
                request's id, not what it cost.
            chunked: Whether the pieces hold the chunked framing of HTTP/1.1 too.
        """
        if status == 200:
            self._head = header_lines([("Content-Type", content_type), *headers.items()])
            self._chunked = chunked
            self._pieces = []

    def write(self, data: bytes) -> None:
        """Take a piece in. Past the limits the recording is given up."""
        pieces = self._pieces
        if pieces is None:
            return
        pieces.append(data)
        self._size_bytes += len(data) + _PIECE_OVERHEAD_BYTES
        if self._size_bytes > self._reserved_bytes:
            self._grow()

    def end(self, usage: Usage | None) -> bool:
        """The answer has come to its end: keep it if it is whole. Tells whether it was kept."""
        pieces = self._pieces
        self.abandon()
        if pieces is None:
            return False
        body = b"".join(pieces)
        if self._chunked:
            try:
                body = without_chunks(body)
            except ValueError:
                return False
        found = whole(self._operation, body, streamed=self._streamed, choices=self._choices)
        if found is None:
            return False
        if self._streamed:
            body = _in_chunks(body, b"\n" if self._operation.dialect == "ollama" else b"\n\n")
        reply_id = found.reply_id if found.reply_id and fresh_id(found.reply_id) else None
        self._keep(self._head, body, self._streamed, usage, reply_id)
        return True

    def abandon(self) -> None:
        """Give the recording up."""
        self._pieces = None
        self._room.left_bytes += self._reserved_bytes
        self._reserved_bytes = 0

    def _grow(self) -> None:
        step = max(_STEP_BYTES, self._size_bytes - self._reserved_bytes)
        if self._size_bytes > self._limit_bytes or not self._room.take(step):
            self.abandon()
        else:
            self._reserved_bytes += step


def fresh_id(reply_id: str) -> str | None:
    """An id like this one, of the same length and with the same word before its first ``-`` or ``_``.

    OpenAI promises ids that do not repeat, and programs use them as keys of tables. None: too little of the id is
    random to tell it from other text of the answer.
    """
    word = re.match(r"[A-Za-z]+[-_]", reply_id)
    cut = 0 if word is None else word.end()
    length = len(reply_id) - cut
    if length < _ID_RANDOM_CHARACTERS or not reply_id.isascii() or '"' in reply_id or "\\" in reply_id:
        return None
    return reply_id[:cut] + secrets.token_hex(length)[:length]


def without_chunks(data: bytes) -> bytes:
    """A body without the chunked framing around it.

    Raises:
        ValueError: The framing is broken, or does not end.
    """
    sink = _BodySink()
    try:
        httptools.HttpResponseParser(sink).feed_data(_CHUNKED_HEAD + data)
    except httptools.HttpParserError as error:
        raise ValueError("the framing is broken") from error
    if not sink.complete:
        raise ValueError("the framing does not end")
    return b"".join(sink.pieces)


class _BodySink:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


def _in_chunks(body: bytes, mark: bytes) -> bytes:
    """A stream with each line or event in a chunk of its own, however it came."""
    parts = [part + mark for part in body.split(mark)]
    parts[-1] = parts[-1].removesuffix(mark)
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
