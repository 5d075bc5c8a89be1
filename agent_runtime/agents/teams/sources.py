"""What members found, with the places where they found it, and what an answer says about those places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from agent_runtime.agents.teams.records import Source, ToolUse

EXCERPT_CHARACTERS = 600
_PASSAGE = re.compile(r"^\[([^\]\n]+:\d+)\]\n", re.MULTILINE)
_PAGE = re.compile(r"^\[(https?://[^\]\s]+)\]\n")
_HIT = re.compile(r"^\d+\. (?P<title>.*)\n(?P<url>https?://\S+)(?:\n(?P<text>.*))?", re.MULTILINE)
_CITED = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")


def sources_of(uses: Iterable[ToolUse]) -> tuple[Source, ...]:
    """The places that tools found something at, each once, in the order in which they were found."""
    found: dict[str, Source] = {}
    for use in uses:
        if not use.is_error:
            for source in _sources_in(use):
                found.setdefault(source.location, source)
    return tuple(found.values())


def _sources_in(use: ToolUse) -> Iterator[Source]:
    if use.name == "search_documents":
        heads = list(_PASSAGE.finditer(use.result))
        ends = [head.start() for head in heads[1:]]
        for head, end in zip_longest(heads, ends):
            text = use.result[head.end() : end]
            yield Source(head[1], text.strip()[:EXCERPT_CHARACTERS], use.name)
    elif use.name == "read_document":
        line = use.arguments.get("first_line", 1)
        yield Source(f"{use.arguments.get('path', '')}:{line}", use.result.strip()[:EXCERPT_CHARACTERS], use.name)
    elif use.name == "http_fetch":
        page = _PAGE.match(use.result)
        if page:
            yield Source(page[1], use.result[page.end() :].strip()[:EXCERPT_CHARACTERS], use.name)
    elif use.name == "web_search":
        for hit in _HIT.finditer(use.result):
            text = f"{hit['title']}\n{hit['text'] or ''}".strip()
            yield Source(hit["url"], text[:EXCERPT_CHARACTERS], use.name)


def numbered(sources: Sequence[Source]) -> str:
    """The sources as members read them: numbered from 1, as they are to be cited."""
    return "\n\n".join(f"[{number}] {source.location}\n{source.excerpt}" for number, source in enumerate(sources, 1))


def cited(text: str) -> list[int]:
    """The numbers that a text cites, each once, in order."""
    return sorted({int(number) for group in _CITED.findall(text) for number in re.split(r"\s*[,;]\s*", group)})


def with_list(text: str, sources: Sequence[Source]) -> str:
    """The text with a list of its sources below it. Citations of sources that do not exist are taken out."""

    def real(match: re.Match[str]) -> str:
        numbers = [number for number in re.split(r"\s*[,;]\s*", match[1]) if 1 <= int(number) <= len(sources)]
        return f"[{', '.join(numbers)}]" if numbers else ""

    body = _CITED.sub(real, text).strip()
    if not sources:
        return f"{body}\n\nSources: none. This rests on what the models know alone."
    used = [number for number in cited(body) if number <= len(sources)]
    named = used or range(1, len(sources) + 1)
    title = "Sources" if used else "Sources that were found (the text cites none of them)"
    return "\n".join([body, "", f"{title}:", *(f"[{number}] {sources[number - 1].location}" for number in named)])
