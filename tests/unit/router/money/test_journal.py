"""The journal: what is in it is there, whatever becomes of its owner."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.money.charges import Series
from agent_runtime.router.money.journal import Journal, leftovers, living

OWN = Series("bob", "local", 'a model "of" ours\nand more')


def append(journal: Journal, tokens: int, series: Series = OWN, hold: bytes | None = None) -> bool:
    return journal.append(series, hold, False, 1000.0, tokens, 0, 2, 3, 0.5, 0.25)


def tokens(journal: Journal, most: int = 100) -> list[int]:
    return [record.prompt_tokens for record in journal.read(most)]


@pytest.fixture(params=["file", "memory"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "file" else None


def test_records_wait_in_order_until_they_are_taken(directory: Path | None) -> None:
    journal = Journal(directory, records=10)
    for number in range(5):
        assert append(journal, number)
    assert tokens(journal, most=3) == [0, 1, 2]
    journal.taken(3)
    assert (tokens(journal), journal.waiting, journal.head) == ([3, 4], 2, 3)
    assert journal.series_of(journal.read(1)[0]) == OWN
    journal.close()


def test_the_ring_goes_round_and_is_never_overfull(directory: Path | None) -> None:
    journal = Journal(directory, records=4)
    taken = 0
    for number in range(50):
        assert append(journal, number)
        if journal.waiting == 4:
            assert not append(journal, 999)
            assert tokens(journal) == list(range(taken, taken + 4))
            taken += 3
            journal.taken(taken)
    journal.close()


def test_a_journal_that_was_all_taken_leaves_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    append(journal, 1)
    journal.taken(1)
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_worker_left_is_found_once_it_is_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path, records=4)
    for number in range(6):
        append(journal, number, Series("k", "cloud", f"m{number % 2}"))
        if number < 3:
            journal.taken(number + 1)
    assert list(leftovers(tmp_path)) == []
    assert living(tmp_path) == {journal.name}
    journal.close()
    assert living(tmp_path) == set()
    (left,) = [found.read() for found in leftovers(tmp_path)]
    assert (left.name, left.head) == (journal.name, 3)
    assert [(series.model, record.prompt_tokens) for series, record in left.records] == [
        ("m1", 3),
        ("m0", 4),
        ("m1", 5),
    ]
    for found in leftovers(tmp_path):
        found.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    append(journal, 1)
    journal.close()
    first = leftovers(tmp_path)
    next(first)
    assert list(leftovers(tmp_path)) == []
    first.close()
    assert len(list(leftovers(tmp_path))) == 1


def test_a_name_that_was_half_written_is_no_name(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    append(journal, 1)
    journal.close()
    with (tmp_path / f"{journal.name}.names").open("a") as names:
        names.write('["half a na')
    (left,) = [found.read() for found in leftovers(tmp_path)]
    assert [series for series, _ in left.records] == [OWN]


def test_a_full_disk_shows_when_the_journal_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Journal(tmp_path)
    assert list(tmp_path.iterdir()) == []
