"""Files that a model wrote as fenced blocks of code."""

from __future__ import annotations

import re

from agent_runtime.agents.tools.errors import ToolError

_BLOCK = re.compile(r"^```[ \t]*([\w+.-]*)[ \t]*([^\n`]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_FILE_LINE = re.compile(r"^\s*#\s*(?:file(?:name)?\s*:\s*)?([\w./-]+\.[A-Za-z]{1,5})\s*$")
_NAMED_ABOVE = re.compile(r"([\w./-]+\.py)[`*:]*\s*$")


def files_in(reply: str, *, default: str) -> dict[str, str]:
    """The files that a model wrote as fenced blocks.

    A block's name is in its first line as a comment (``# file: shapes.py``), after the fence's language, or at the end
    of the line above it. One block without a name is the file ``default``.

    Raises:
        ToolError: there is no block, or a second one without a name.
    """
    files: dict[str, str] = {}
    for match in _BLOCK.finditer(reply):
        language, after, text = match.groups()
        if language.lower() not in ("", "python", "py", "python3", "text", "toml", "md", "markdown", "json"):
            continue
        named = _name_of(after, text, reply[: match.start()])
        if named is None:
            if language.lower() not in ("python", "py", "python3", ""):
                continue
            if default in files:
                raise ToolError(
                    f"two blocks of code have no name. fix: begin each with a line such as # file: {default}"
                )
            named = default
        files[named] = text
    if not files:
        raise ToolError(f"there is no fenced block of code. fix: ```python, then # file: {default}, then the code")
    return files


def _name_of(after: str, text: str, before: str) -> str | None:
    first = _FILE_LINE.match(text.split("\n", 1)[0])
    if first:
        return first[1]
    if re.fullmatch(r"[\w./-]+\.[A-Za-z]{1,5}", after.strip()):
        return after.strip()
    above = _NAMED_ABOVE.search(before.rstrip().rpartition("\n")[2])
    return above[1] if above else None
