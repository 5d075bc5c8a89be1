"""What the harness itself promises: a program that does not come up is explained, and none is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.processes import Programs, StartError

pytestmark = pytest.mark.cluster


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    running = Programs(tmp_path)
    yield running
    running.end()


@pytest.fixture
def shell() -> Path:
    found = shutil.which("sh")
    assert found is not None
    return Path(found)


def test_a_program_that_ends_while_it_is_awaited_is_named_with_its_last_words(programs: Programs, shell: Path) -> None:
    programs.start(shell, ["-c", "echo unknown flag: --colour >&2; exit 3"])
    with pytest.raises(StartError, match=r"(?s)while the answer was awaited.*sh \(pid \d+, exit code 3\).*--colour"):
        programs.wait_for("the answer", lambda: False, seconds=30)


def test_a_program_that_takes_too_long_is_named_with_its_last_words(programs: Programs, shell: Path) -> None:
    programs.start(shell, ["-c", "echo still loading; exec sleep 60"])
    with pytest.raises(StartError, match=r"(?s)the answer: not after 1 s.*still loading"):
        programs.wait_for("the answer", lambda: False, seconds=1)


def test_no_program_is_left_and_the_last_started_ends_first(programs: Programs, shell: Path, tmp_path: Path) -> None:
    order = tmp_path / "order"
    started = [
        programs.start(
            shell, ["-c", f"trap 'echo {name} >>{order}; exit' TERM; touch {name}; while :; do sleep 0.05; done"]
        )
        for name in ("etcd", "server")
    ]
    programs.wait_for("both", lambda: (tmp_path / "etcd").exists() and (tmp_path / "server").exists(), seconds=30)
    programs.end()
    assert order.read_text().split() == ["server", "etcd"]
    assert not any(psutil.pid_exists(one.process.pid) for one in started)
