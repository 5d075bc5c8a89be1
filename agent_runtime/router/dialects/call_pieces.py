"""Tool calls put together out of a stream of OpenAI's."""

from __future__ import annotations

from typing import Any

from agent_runtime.router.dialects.compact import decode
from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.replies import section


class CallPieces:
    """OpenAI streams a call's arguments as text, a few characters at a time; which call they belong to, a number tells.

    Some servers number every call of an answer 0: another name with another id begins another call there.
    """

    def __init__(self) -> None:
        self._calls: list[tuple[int, dict[str, str]]] = []
        self._open: dict[int, dict[str, str]] = {}
        """The call that the next piece with a number belongs to."""

    def take(self, piece: dict[str, Any]) -> None:
        """Take in a piece."""
        given: object = piece.get("index")
        index = given if isinstance(given, int) else len(self._calls)
        function = section(piece.get("function"))
        name: str = function.get("name") or ""
        said_id: str = piece.get("id") or ""
        call = self._open.get(index)
        if call is None or (name and said_id and call["id"] and said_id != call["id"]):
            call = self._open[index] = {"name": "", "id": "", "arguments": ""}
            self._calls.append((index, call))
        call["id"] = said_id or call["id"]
        if name != call["name"]:
            call["name"] += name
        call["arguments"] += function.get("arguments") or ""

    def taken_out(self) -> list[dict[str, Any]]:
        """All calls so far, as Ollama writes them. They are told once.

        Raises:
            BadReplyError: a call's arguments are no JSON object.
        """
        in_order = self._in_order()
        self._calls, self._open = [], {}
        return [_as_ollama(number, call) for number, call in enumerate(in_order)]

    def whole(self) -> list[dict[str, Any]]:
        """All calls so far, as OpenAI's whole answers have them."""
        return [
            {
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
                "id": call["id"],
            }
            for call in self._in_order()
        ]

    def _in_order(self) -> list[dict[str, str]]:
        return [call for _, call in sorted(self._calls, key=lambda numbered: numbered[0])]


def _as_ollama(number: int, call: dict[str, str]) -> dict[str, Any]:
    try:
        arguments: object = decode((call["arguments"] or "{}").encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise BadReplyError(f"the model called {call['name']!r} with arguments that are not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise BadReplyError(f"the model called {call['name']!r} with arguments that are no object")
    function: dict[str, Any] = {"index": number, "name": call["name"], "arguments": arguments}
    return {"id": call["id"], "function": function} if call["id"] else {"function": function}
