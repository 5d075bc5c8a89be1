"""Cuts streams into their parts, however the network cut them: lines of NDJSON, events of SSE."""

from __future__ import annotations


class LineSplitter:
    """Whole lines out of bytes that arrive in pieces. A line is searched for its end only once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their line ends."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._pieces:
            self._pieces.append(lines[0])
            lines[0] = b"".join(self._pieces)
            self._pieces.clear()
        if rest:
            self._pieces.append(rest)
        # A line may end with what came in the read before.
        return [line[:-1] if line.endswith(b"\r") else line for line in lines]

    def rest(self) -> bytes:
        """What came after the last line end."""
        return b"".join(self._pieces)

    @property
    def empty(self) -> bool:
        """Whether nothing waits for the end of its line."""
        return not self._pieces


class EventSplitter:
    """The data of server-sent events. Comments, which servers send to keep a connection open, are dropped.

    llama.cpp names the field of an error ``error`` instead of ``data``: it is given as ``{"error": ...}``.
    """

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that ``data`` completes."""
        if data.startswith(b"data: ") and data.endswith(b"\n\n") and self.empty and b"\r" not in data:
            # Whole events of one line each, as nearly every read of a model server's stream brings them.
            whole = data[6:-2].split(b"\n\ndata: ")
            if data.count(b"\n") == 2 * len(whole):
                return whole
        return self._feed_lines(data)

    def _feed_lines(self, data: bytes) -> list[bytes]:
        events: list[bytes] = []
        for line in self._lines.feed(data):
            if not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line.startswith(b"error:"):
                value = line[6:].strip()
                self._data.append(value if value.startswith(b'{"error"') else b'{"error":' + value + b"}")
        return events

    def rest(self) -> bytes:
        """The data of an event that was begun and not ended."""
        return b"\n".join([*self._data, self._lines.rest()]).strip()

    @property
    def empty(self) -> bool:
        """Whether no event is begun that has not ended."""
        return not self._data and self._lines.empty
