"""A log keeps its newest lines and never more than its files hold."""

import shutil
from pathlib import Path

import pytest

from components.local.rotated_log import RotatedLog, last_lines

pytestmark = pytest.mark.unit


def test_a_full_file_moves_aside_and_the_oldest_is_dropped(tmp_path: Path):
    path = tmp_path / "output.log"
    log = RotatedLog(path, max_bytes=10, files=3)

    for number in range(5):
        log.write(f"line {number}\n".encode())
    log.close()

    assert path.read_text() == "line 4\n"
    assert (tmp_path / "output.log.1").read_text() == "line 3\n"
    assert (tmp_path / "output.log.2").read_text() == "line 2\n"
    assert len(list(tmp_path.iterdir())) == 3


def test_no_file_outgrows_its_limit(tmp_path: Path):
    log = RotatedLog(tmp_path / "output.log", max_bytes=10, files=3)

    log.write(b"0123456789" * 2 + b"abc")
    log.write(b"def")
    log.close()

    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert files == {"output.log": "abcdef", "output.log.1": "0123456789", "output.log.2": "0123456789"}


def test_a_single_file_starts_over(tmp_path: Path):
    log = RotatedLog(tmp_path / "output.log", max_bytes=10, files=1)

    for number in range(3):
        log.write(f"line {number}\n".encode())
    log.close()

    assert [path.read_text() for path in tmp_path.iterdir()] == ["line 2\n"]


def test_an_existing_log_is_continued_and_only_its_owner_reads_it(tmp_path: Path):
    path = tmp_path / "output.log"
    for word in (b"one\n", b"two\n"):
        log = RotatedLog(path)
        log.write(word)
        log.close()

    assert path.read_text() == "one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_was_removed_loses_lines_and_nothing_else(tmp_path: Path):
    folder = tmp_path / "logs"
    folder.mkdir()
    log = RotatedLog(folder / "output.log", max_bytes=5)
    log.write(b"one\n")
    (folder / "output.log").unlink()
    folder.rmdir()

    log.write(b"two\n")
    log.write(b"three\n")
    log.close()

    assert not folder.exists()


def test_last_lines_come_from_the_end_and_after_the_offset(tmp_path: Path):
    path = tmp_path / "output.log"
    path.write_text("old\n" + "".join(f"line {number}\n" for number in range(50)))

    assert last_lines(path, 2) == ["line 48", "line 49"]
    assert last_lines(path, 100, from_byte=4)[0] == "line 0"
    assert last_lines(path, 100, from_byte=10**6)[0] == "old", "the file is shorter: it was rotated since"
    assert last_lines(tmp_path / "absent", 3) == []


def test_a_log_that_cannot_be_opened_anew_writes_to_no_other_file_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "process"
    folder.mkdir()
    log = RotatedLog(folder / "output.log", max_bytes=10)
    log.write(b"12345678\n")
    shutil.rmtree(folder)
    log.write(b"lost, as the folder is gone\n"[:9])

    with (tmp_path / "somebody's").open("wb") as other:  # gets the descriptor that the log gave up
        log.write(b"lost too\n")
        assert other.tell() == 0
    assert (tmp_path / "somebody's").read_bytes() == b""

    folder.mkdir()
    log.write(b"back\n")
    log.close()
    assert (folder / "output.log").read_bytes() == b"back\n"
