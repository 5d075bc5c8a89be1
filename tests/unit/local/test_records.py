"""What a supervisor writes down: read back whole, or refused with the file's name."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from components.local.identity import ProcessId, identify
from components.local.processes import is_alive, list_records, stop
from components.local.records import CorruptRecordError, LastExit, ProcessRecord, read_record, set_aside

pytestmark = pytest.mark.unit


def record_in(directory: Path) -> ProcessRecord:
    return ProcessRecord(
        name="assistant-0",
        directory=directory,
        spec_hash="5" * 64,
        token="token",
        port=18101,
        supervisor=ProcessId(4_000_001, "boot:1"),
        started_at="2030-01-01T00:00:00+00:00",
        child=ProcessId(4_000_002, "boot:2"),
        state="running",
        restarts=3,
        last_exit=LastExit(None, 9, "2030-01-01T00:01:00+00:00"),
    )


def test_a_record_reads_back_as_it_was_written(tmp_path: Path):
    for record in (record_in(tmp_path), replace(record_in(tmp_path), child=None, last_exit=None, state="backoff")):
        record.write()

        assert read_record(tmp_path) == record
    assert (tmp_path / "record.json").stat().st_mode & 0o777 == 0o600


def test_no_record_is_none(tmp_path: Path):
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "absent") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("port"),
        lambda data: data.update(version=2),
        lambda data: data.update(state="dreaming"),
        lambda data: data.update(supervisor=17),
        lambda data: data["supervisor"].update(pid="many"),
        lambda data: data["child"].update(pid=-1),
        lambda data: data["supervisor"].update(pid=1),
    ],
    ids=["missing", "version", "state", "shape", "type", "a group for kill(2)", "init"],
)
def test_a_damaged_record_is_refused_by_name(tmp_path: Path, damage):
    record_in(tmp_path).write()
    path = tmp_path / "record.json"
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))

    with pytest.raises(CorruptRecordError, match=r"record\.json cannot be read"):
        read_record(tmp_path)


def test_a_record_cut_short_is_refused_and_set_aside_under_a_free_name(tmp_path: Path):
    path = tmp_path / "record.json"
    kept = []
    for text in ('{"version": 1, "na', ""):
        path.write_text(text)
        with pytest.raises(CorruptRecordError) as caught:
            read_record(tmp_path)
        kept.append(set_aside(caught.value.path).name)

    assert kept == ["record.json.corrupt-1", "record.json.corrupt-2"]
    assert read_record(tmp_path) is None


def test_all_records_of_a_stack_are_listed_damaged_ones_among_them(tmp_path: Path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        record_in(tmp_path / name).write()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "record.json").write_text("{")

    found = list_records(tmp_path)

    assert [one.directory.name for one in found if isinstance(one, ProcessRecord)] == ["a", "b"]
    assert [one.path.parent.name for one in found if isinstance(one, CorruptRecordError)] == ["c"]


def test_a_process_is_known_by_its_start_time_too(tmp_path: Path):
    me = identify(os.getpid())
    assert me is not None
    assert me.is_alive
    stranger = ProcessId(me.pid, me.start_time + "0")
    record = replace(record_in(tmp_path), supervisor=stranger, child=stranger)

    assert not stranger.is_alive
    assert not is_alive(record)
    assert stop(record, timeout_seconds=1) is False, "this test's own process would be signalled"
