"""Changes of a stack's file that leave all the rest of it, comments and layout too, as a person wrote it.

YAML libraries that write a whole file anew move comments about, so this edits the text at the places that the
parser names. Whoever calls it compares what the new text means with what it should (:func:`read_keys`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet_spec.errors import BadInputError
from fleet_spec.stack_file import PROJECT


class _Dumper(yaml.SafeDumper):
    """Lists of words stay on one line, as people write them, and everything else has lines of its own."""


def _list_of(dumper: _Dumper, items: list[Any]) -> Node:
    words = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=words)


_Dumper.add_representer(list, _list_of)

_PATH = ("config", f"{PROJECT}:router", "keys")
_STEP = 2


def read_keys(text: str) -> dict[str, Any]:
    """``router.keys`` of a stack file's text, as plain data."""
    found: object = yaml.safe_load(text)
    for part in _PATH:
        found = cast("dict[str, object]", found).get(part) if isinstance(found, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def with_key(text: str, name: str, spec: Mapping[str, Any]) -> str:
    """The text with a key more under ``router.keys``.

    Raises:
        BadInputError: the text is laid out in a way that cannot be added to.
    """
    return with_entry(text, _PATH, name, dict(spec))


def with_entry(text: str, path: Sequence[str], name: str, value: Any) -> str:
    """The text with an entry more in the mapping at ``path``, which is made where there is none.

    Raises:
        BadInputError: the text is laid out in a way that cannot be added to.
    """
    wanted: dict[str, Any] = {name: value}
    node = _root(text)
    for depth, part in enumerate(path):
        parent, node = node, _value(node, part)
        if node is None or (isinstance(node, ScalarNode) and not node.value):
            for outer in reversed(path[depth + 1 :]):
                wanted = {outer: wanted}
            if node is not None:
                # The name is there with nothing behind it: what is added goes below it.
                return _below(text, parent, part, wanted)
            return _into(text, parent, {part: wanted})
    return _into(text, node, wanted)


def without_key(text: str, name: str) -> str:
    """The text without a key that it has under ``router.keys``.

    Raises:
        BadInputError: the text is laid out in a way that cannot be taken from.
    """
    return without_entry(text, _PATH, name)


def without_entry(text: str, path: Sequence[str], name: str) -> str:
    """The text without an entry that the mapping at ``path`` has.

    Raises:
        BadInputError: the text is laid out in a way that cannot be taken from.
    """
    keys = _mapping_at(text, path)
    place = next(place for place, (key, _) in enumerate(keys.value) if key.value == name)
    key, value = keys.value[place]
    if len(keys.value) == 1:
        return _only_entry_gone(text, keys, path[-1])
    if keys.flow_style:
        start, end = key.start_mark.index, value.end_mark.index
        if place + 1 < len(keys.value):
            end = keys.value[place + 1][0].start_mark.index
        else:
            start = keys.value[place - 1][1].end_mark.index
        return text[:start] + text[end:]
    lines = text.splitlines(keepends=True)
    del lines[key.start_mark.line : _last_line(value) + 1]
    return "".join(lines)


def with_hash(text: str, name: str, digest: str) -> str:
    """The text with another hash for a key that it has under ``router.keys``."""
    return with_scalar(text, (*_PATH, name, "hash"), digest)


def with_copy(text: str, path: Sequence[str], name: str, new_name: str) -> str:
    """The text with an entry of the mapping at ``path`` a second time, under another name, comments in it included.

    Raises:
        BadInputError: there is no such entry.
    """
    node = _mapping_at(text, path)
    key, value = next(((key, value) for key, value in node.value if key.value == name), (None, None))
    if key is None or value is None or value.start_mark.index < key.end_mark.index:
        raise _cannot_edit()  # what an anchor stands for is written elsewhere
    if node.flow_style:
        copied = text[key.end_mark.index : value.end_mark.index]
        return text[: value.end_mark.index] + f", {_word(new_name, flow=True)}{copied}" + text[value.end_mark.index :]
    last = _last_line(value)
    lines = text.splitlines(keepends=True)[key.start_mark.line : last + 1]
    lines[0] = lines[0][: key.start_mark.column] + _word(new_name, flow=False) + lines[0][key.end_mark.column :]
    return _after_line(text, last, "".join(lines))


def with_scalar(text: str, path: Sequence[str], value: str | float) -> str:
    """The text with another word in place of the one at ``path``.

    Raises:
        BadInputError: there is no single word.
    """
    parent = _mapping_at(text, path[:-1])
    node = _value(parent, path[-1])
    if not isinstance(node, ScalarNode):
        raise _cannot_edit()
    return text[: node.start_mark.index] + _word(value, flow=parent.flow_style) + text[node.end_mark.index :]


def with_renamed(text: str, path: Sequence[str], name: str, new_name: str) -> str:
    """The text with another name for an entry that the mapping at ``path`` has.

    Raises:
        BadInputError: there is no such entry.
    """
    mapping = _mapping_at(text, path)
    key = next((key for key, _ in mapping.value if key.value == name), None)
    if key is None:
        raise _cannot_edit()
    return text[: key.start_mark.index] + _word(new_name, flow=mapping.flow_style) + text[key.end_mark.index :]


def with_item(text: str, path: Sequence[str], item: str) -> str:
    """The text with a word more at the end of the list at ``path``.

    Raises:
        BadInputError: there is no list with words in it.
    """
    node = _value(_mapping_at(text, path[:-1]), path[-1])
    if not isinstance(node, SequenceNode) or not node.value:
        raise _cannot_edit()
    last: Node = node.value[-1]
    if node.flow_style:
        return text[: last.end_mark.index] + f", {_word(item, flow=True)}" + text[last.end_mark.index :]
    return _after_line(text, _last_line(last), f"{' ' * node.start_mark.column}- {_word(item, flow=False)}\n")


def without_item(text: str, path: Sequence[str], item: str) -> str:
    """The text without a word that the list at ``path`` has, beside others.

    Raises:
        BadInputError: the list has nothing else.
    """
    node = _value(_mapping_at(text, path[:-1]), path[-1])
    words: list[Node] = node.value if isinstance(node, SequenceNode) else []
    place = next((place for place, one in enumerate(words) if one.value == item), None)
    if node is None or place is None or len(words) == 1:
        raise _cannot_edit()
    if not cast("SequenceNode", node).flow_style:
        lines = text.splitlines(keepends=True)
        del lines[words[place].start_mark.line : _last_line(words[place]) + 1]
        return "".join(lines)
    if place:
        return text[: words[place - 1].end_mark.index] + text[words[place].end_mark.index :]
    return text[: words[0].start_mark.index] + text[words[1].start_mark.index :]


def as_yaml(data: Mapping[str, Any], column: int = 0) -> str:
    """Data as lines of YAML that begin at a column."""
    written = yaml.dump(dict(data), Dumper=_Dumper, default_flow_style=False, sort_keys=False, width=10_000)
    return "".join(" " * column + line for line in written.splitlines(keepends=True))


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all, with the mode it had."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        fresh_path = Path(fresh)
        fresh_path.chmod(path.stat().st_mode & 0o777)
        fresh_path.replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise


def _root(text: str) -> Node | None:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _value(node: Node | None, name: str) -> Node | None:
    """What a mapping has under a name, or None where it has none."""
    if node is None:
        return None
    if not isinstance(node, MappingNode):
        raise _cannot_edit()
    return next((value for key, value in node.value if key.value == name), None)


def _mapping_at(text: str, path: Sequence[str]) -> MappingNode:
    node = _root(text)
    for part in path:
        node = _value(node, part)
    if not isinstance(node, MappingNode):
        raise _cannot_edit()
    return node


def _into(text: str, node: Node | None, added: Mapping[str, Any]) -> str:
    """The text with entries more in a mapping; None stands for a text with nothing in it."""
    if node is None:
        return _ended(text) + as_yaml(added)
    if not isinstance(node, MappingNode):
        raise _cannot_edit()
    if node.flow_style:
        inner = yaml.safe_dump(dict(added), default_flow_style=True, sort_keys=False, width=10_000_000).strip()[1:-1]
        end = node.end_mark.index - 1
        return text[:end] + (", " if node.value else "") + inner + text[end:]
    column = node.value[0][0].start_mark.column
    return _after_line(text, _last_line(node), as_yaml(added, column))


def _below(text: str, parent: Node | None, name: str, added: Mapping[str, Any]) -> str:
    """The text with entries below a name that has nothing behind it."""
    if not isinstance(parent, MappingNode) or parent.flow_style:
        raise _cannot_edit()
    key = next(key for key, _ in parent.value if key.value == name)
    return _after_line(text, key.end_mark.line, as_yaml(added, key.start_mark.column + _STEP))


def _word(value: str | float, *, flow: bool | None) -> str:
    """A word as YAML writes it: in quotes where it needs them, which it does oftener inside of brackets (``flow``)."""
    if flow:
        return str(yaml.safe_dump([value], default_flow_style=True, width=10_000)).strip()[1:-1]
    return str(yaml.safe_dump(value, width=10_000)).removesuffix("...\n").strip()


def _only_entry_gone(text: str, keys: MappingNode, name: str) -> str:
    if keys.flow_style:
        return text[: keys.start_mark.index] + "{}" + text[keys.end_mark.index :]
    lines = text.splitlines(keepends=True)
    first, last = keys.start_mark.line, _last_line(keys)
    del lines[first : last + 1]
    # Blank lines and comments may stand between the name and its first entry.
    named = next(
        (number for number in range(first - 1, -1, -1) if lines[number].strip().partition("#")[0].strip()), None
    )
    if named is None or not lines[named].rstrip().endswith((f"{name}:", f'{name}":', f"{name}':")):
        raise _cannot_edit()
    lines[named] = lines[named].rstrip() + " {}\n"
    return "".join(lines)


def _last_line(node: Node) -> int:
    """The last line that a value stands on. A block's own end lies behind the comments that follow it."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1][1])
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1])
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return node.end_mark.line - 1
    return int(node.end_mark.line)


def _after_line(text: str, line: int, added: str) -> str:
    lines = text.splitlines(keepends=True)
    return _ended("".join(lines[: line + 1])) + added + "".join(lines[line + 1 :])


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _cannot_edit() -> BadInputError:
    return BadInputError(
        "the file is laid out in a way that this command does not change. fix: for a key, leave --write away and put "
        "the lines it prints below paddock:router by hand; else write the place in plain block style, without anchors"
    )
