"""Searches and reads the documents of one folder, and never leaves it.

Ranking is Okapi BM25 (Robertson and Zaragoza, 2009) with k1 = 1.2 and b = 0.75, over passages of some lines, so that an
answer names the place and not only the file.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.agents.tools.errors import ToolError, ToolSetupError

K1, B = 1.2, 0.75
PASSAGE_LINES = 12
MOST_FILES = 2000
MOST_FILE_BYTES = 4 << 20
MOST_READ_LINES = 400
_TEXT_SUFFIXES = frozenset(
    {".c", ".cfg", ".cpp", ".cs", ".css", ".csv", ".go", ".h", ".hpp", ".html", ".ini", ".java", ".js", ".json"}
    | {".jsonl", ".jsx", ".kt", ".lua", ".md", ".php", ".py", ".r", ".rb", ".rs", ".rst", ".scala", ".sh", ".sql"}
    | {".swift", ".tex", ".toml", ".ts", ".tsx", ".txt", ".xml", ".yaml", ".yml"}
)
_PDF = ".pdf"
_COMMON = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how", "i", "in", "is"}
    | {"it", "many", "much", "of", "on", "or", "that", "the", "this", "to", "was", "were", "what", "when"}
    | {"where", "which", "who", "why", "will", "with"}
)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Passage:
    """Some lines of a file."""

    path: str
    """Relative to the folder."""
    first_line: int
    """Counted from 1. In a PDF, the page."""
    text: str


class FolderSearch:
    """``search_documents``, ``read_document`` and ``list_documents`` over one folder, for an agent.

    Hidden files, and links that lead out of the folder, are not there for it.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open a folder.

        Raises:
            ToolSetupError: there is no such folder.
        """
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise ToolSetupError(f"there is no folder {str(folder)!r}. fix: name one that exists")
        self._read: dict[str, tuple[tuple[int, int], list[Passage]]] = {}

    def search_documents(self, query: str, limit: int = 5) -> str:
        """Find the passages of the documents that fit the words best. Returns each with its path and line.

        Args:
            query: Words to look for.
            limit: How many passages, 1 to 20.
        """
        found = self.search(query, limit)
        if not found:
            return f"no document holds any word of {query!r}. Documents: {', '.join(self.paths()[:50]) or 'none'}"
        return "\n\n".join(f"[{passage.path}:{passage.first_line}]\n{passage.text}" for passage in found)

    def read_document(self, path: str, first_line: int = 1, lines: int = 200) -> str:
        """Read a document, or a part of it.

        Args:
            path: As search_documents and list_documents give it.
            first_line: The line to begin with, counted from 1; in a PDF the page.
            lines: How many lines, or pages.
        """
        target = self._inside(path)
        whole = _pages(target) if target.suffix.lower() == _PDF else _text_lines(target)
        count = max(1, min(lines, MOST_READ_LINES))
        start = max(1, first_line) - 1
        part = whole[start : start + count]
        if not part:
            raise ToolError(f"{path} has {len(whole)} lines. fix: begin with 1 to {max(1, len(whole))}")
        more = f"\n[lines {start + 1} to {start + len(part)} of {len(whole)}]" if len(part) < len(whole) else ""
        return "\n".join(part) + more

    def list_documents(self) -> str:
        """List the documents that can be searched and read."""
        return "\n".join(self.paths()) or "the folder holds no documents"

    def paths(self) -> list[str]:
        """The documents' paths, relative to the folder, sorted."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self._files())

    def search(self, query: str, limit: int = 5) -> list[Passage]:
        """The passages that fit best, best first."""
        passages = [passage for path in self.paths() for passage in self._passages(path)]
        ranked = rank(query, [passage.text for passage in passages])
        return [passages[index] for index in ranked[: max(1, min(limit, 20))]]

    def _files(self) -> Iterator[Path]:
        count = 0
        # os.walk follows no links to directories.
        for directory, directories, names in os.walk(self.folder):
            directories[:] = sorted(name for name in directories if not name.startswith("."))
            for name in sorted(names):
                path = Path(directory) / name
                readable = path.suffix.lower() in _TEXT_SUFFIXES or path.suffix.lower() == _PDF
                if name.startswith(".") or not readable or not self._is_inside(path):
                    continue
                if path.stat().st_size > MOST_FILE_BYTES:
                    continue
                count += 1
                if count > MOST_FILES:
                    return
                yield path

    def _is_inside(self, path: Path) -> bool:
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return False
        return real.is_relative_to(self.folder) and real.is_file()

    def _inside(self, path: str) -> Path:
        if "\0" in path or any(part.startswith(".") for part in Path(path).parts):
            raise ToolError(f"{path!r} is not in the folder. fix: a path that list_documents gives")
        # What is opened is the path without links, so that a link that changes now leads nowhere.
        target = self.folder / path
        if not self._is_inside(target):
            raise ToolError(f"{path!r} is not in the folder. fix: a path that list_documents gives")
        real = target.resolve()
        if real.stat().st_size > MOST_FILE_BYTES:
            raise ToolError(f"{path!r} is larger than {MOST_FILE_BYTES} bytes")
        return real

    def _passages(self, path: str) -> list[Passage]:
        target = self._inside(path)
        found = target.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        known = self._read.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        passages = _pdf_passages(path, target) if target.suffix.lower() == _PDF else _text_passages(path, target)
        self._read[path] = (stamp, passages)
        return passages


def rank(query: str, texts: Sequence[str]) -> list[int]:
    """The numbers of the texts that hold a word of the query, best first, by BM25."""
    documents = [Counter(words(text)) for text in texts]
    lengths = [sum(counts.values()) for counts in documents]
    average = sum(lengths) / len(lengths) if lengths else 0.0
    holding = Counter(word for counts in documents for word in counts)
    scores: dict[int, float] = {}
    asked = set(words(query))
    # In small folders even these are rare enough to count; a question made of nothing else is searched for as it is.
    for word in sorted(asked - _COMMON or asked):
        if not holding[word]:
            continue
        rarity = math.log(1 + (len(documents) - holding[word] + 0.5) / (holding[word] + 0.5))
        for index, counts in enumerate(documents):
            times = counts[word]
            if times:
                weight = times * (K1 + 1) / (times + K1 * (1 - B + B * lengths[index] / average))
                scores[index] = scores.get(index, 0.0) + rarity * weight
    return sorted(scores, key=lambda index: (-scores[index], index))


def words(text: str) -> list[str]:
    """The words of a text, in small letters, those of ``snake_case`` and ``camelCase`` apart; plurals as singulars."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [_stem(word.lower()) for word in _WORD.findall(apart)]


def _stem(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and word not in _COMMON and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _text_lines(path: Path) -> list[str]:
    data = path.read_bytes()
    if b"\0" in data[:8192]:
        raise ToolError(f"{path.name} is no text")
    return data.decode("utf-8", errors="replace").splitlines()


def _text_passages(name: str, path: Path) -> list[Passage]:
    """Pieces that end at an empty line where there is one near."""
    try:
        lines = _text_lines(path)
    except ToolError:
        return []
    passages: list[Passage] = []
    start = 0
    for index in range(len(lines)):
        long_enough = index - start + 1 >= PASSAGE_LINES
        if (long_enough and (not lines[index].strip() or index - start + 1 >= 2 * PASSAGE_LINES)) or (
            index == len(lines) - 1
        ):
            text = "\n".join(lines[start : index + 1]).strip("\n")
            if text.strip():
                passages.append(Passage(name, start + 1, text))
            start = index + 1
    return passages


def _pdf_passages(name: str, path: Path) -> list[Passage]:
    try:
        return [Passage(name, number, text) for number, text in enumerate(_pages(path), 1) if text.strip()]
    except ToolError:
        return []


def _pages(path: Path) -> list[str]:
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise ToolError("PDF files need pypdf. fix: pip install 'paddock[agents]'") from error
    try:
        return [page.extract_text() for page in PdfReader(path).pages]
    except (PyPdfError, ValueError, KeyError, RecursionError) as error:
        raise ToolError(f"{path.name} is no PDF file that can be read: {error}") from error
