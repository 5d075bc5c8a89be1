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
        return [line[:-1] if line.endswith(b"\r") else line for line in lines]

    def rest(self) -> bytes:
        """What came after the last line end."""
        return b"".join(self._pieces)


class EventSplitter:
    """The data of server-sent events. Comments, which servers send to keep a connection open, are dropped.

    llama.cpp names the field of an error ``error`` instead of ``data``: it is given as ``{"error": ...}``.
    """

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that ``data`` completes."""
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
