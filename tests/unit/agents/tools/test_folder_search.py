"""Search and reading in one folder, which is never left."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runtime.agents.tools.errors import ToolError, ToolSetupError
from agent_runtime.agents.tools.folder_search import FolderSearch, rank, words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "docs"
    (inside / "deep").mkdir(parents=True)
    (inside / "bees.md").write_text("# Bees\n\nBees dance to tell each other where flowers are.\n")
    (inside / "deep" / "ants.txt").write_text("Ants leave scents.\n" * 40 + "\nThe queen lays eggs.\n")
    (inside / ".hidden.md").write_text("dance secretly")
    (inside / "picture.png").write_bytes(b"\x89PNG\0")
    (inside / "binary.txt").write_bytes(b"dance\0dance")
    outside = tmp_path / "outside.txt"
    outside.write_text("dance outside")
    (inside / "link.txt").symlink_to(outside)
    (inside / "linked").symlink_to(tmp_path)
    return inside


def test_the_best_passage_comes_first_with_its_place(folder: Path) -> None:
    search = FolderSearch(folder)
    assert search.search_documents("Where do bees dance?").startswith("[bees.md:1]\n# Bees")
    assert "[deep/ants.txt:42]" in search.search_documents("queen's eggs")


def test_what_is_not_found_is_told_with_what_there_is(folder: Path) -> None:
    assert FolderSearch(folder).search_documents("zeppelin") == (
        "no document holds any word of 'zeppelin'. Documents: bees.md, binary.txt, deep/ants.txt"
    )


def test_documents_are_read_in_parts(folder: Path) -> None:
    search = FolderSearch(folder)
    assert (
        search.read_document("deep/ants.txt", first_line=42, lines=1) == "The queen lays eggs.\n[lines 42 to 42 of 42]"
    )
    with pytest.raises(ToolError, match="has 3 lines"):
        search.read_document("bees.md", first_line=10)


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "deep/../../outside.txt",
        "link.txt",
        "linked/outside.txt",
        ".hidden.md",
        "/etc/passwd",
        "missing.md",
        "deep",
        "bad\0name",
    ],
)
def test_the_folder_is_never_left(folder: Path, path: str) -> None:
    with pytest.raises(ToolError, match="is not in the folder"):
        FolderSearch(folder).read_document(path)


def test_links_that_lead_out_are_not_searched(folder: Path) -> None:
    search = FolderSearch(folder)
    assert "outside" not in search.search_documents("dance outside")
    assert search.list_documents() == "bees.md\nbinary.txt\ndeep/ants.txt"


def test_a_document_that_changes_is_read_anew(folder: Path) -> None:
    search = FolderSearch(folder)
    assert "wasps" not in search.search_documents("bees")
    (folder / "bees.md").write_text("Bees are no wasps, whatever people say.\n")
    assert "wasps" in search.search_documents("bees")


def test_pages_of_a_pdf_are_found(folder: Path) -> None:
    (folder / "paper.pdf").write_bytes(one_page_pdf("Honey never spoils"))
    search = FolderSearch(folder)
    assert search.search_documents("honey") == "[paper.pdf:1]\nHoney never spoils"
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4 broken")
    with pytest.raises(ToolError, match="is no PDF"):
        search.read_document("paper.pdf")


def one_page_pdf(text: str) -> bytes:
    """The smallest PDF file with a line of text."""
    content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % table)


def test_rare_words_weigh_more_than_common_ones() -> None:
    texts = ["fleet fleet fleet", "fleet zebra", "fleet"]
    assert rank("fleet zebra", texts)[0] == 1
    assert rank("nothing", texts) == []


def test_words_are_taken_apart_and_singular() -> None:
    assert words("CostOptimized cost_reports, glass") == ["cost", "optimized", "cost", "report", "glass"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolSetupError, match="there is no folder"):
        FolderSearch(tmp_path / "missing")
