"""What tune found, in a stack's file: the rest of it stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cli.tuning.settings import Candidate
from cli.tuning.write import write_settings
from fleet_spec.errors import BadInputError
from fleet_spec.loading import load_spec
from fleet_spec.serving_spec import ServingSpec
from fleet_spec.stack_file import read_stack_file

pytestmark = pytest.mark.unit

STACK = """\
# My fleet.
config:
  paddock:models:
    assistant:
      model: gemma3:270m  # the small one
      parallel: 2
      contextLength: 2048
  paddock:aliases:
    default: assistant
"""


def written(directory: Path, text: str, best: Candidate, start: Candidate | None = None) -> str:
    path = directory / "Pulumi.dev.yaml"
    path.write_text(text, encoding="utf-8")
    write_settings(directory, "dev", "assistant", start or Candidate(2, ServingSpec()), best)
    return path.read_text(encoding="utf-8")


def test_what_was_found_is_what_the_stack_says_afterwards(tmp_path: Path) -> None:
    best = Candidate(4, ServingSpec()).changed("threads", 1).changed("kvCacheType", "q8_0")
    text = written(tmp_path, STACK, best)
    model = load_spec(read_stack_file(tmp_path, "dev").raw).models["assistant"]
    assert Candidate.of(model).document() == best.document()
    assert text.startswith("# My fleet.\n")
    assert "# the small one" in text
    assert model.context_length == 2048


def test_settings_that_are_there_are_kept_or_replaced(tmp_path: Path) -> None:
    text = STACK.replace("      contextLength: 2048\n", "      serving:\n        threads: 2\n        loadMode: copy\n")
    start = Candidate.of(load_spec({"models": yaml.safe_load(text)["config"]["paddock:models"]}).models["assistant"])
    written(tmp_path, text, start.changed("threads", 1), start)
    model = read_stack_file(tmp_path, "dev").raw["models"]["assistant"]
    assert model == {"model": "gemma3:270m", "parallel": 2, "serving": {"threads": 1, "loadMode": "copy"}}


def test_a_model_in_short_is_not_guessed_at(tmp_path: Path) -> None:
    text = "config:\n  paddock:models:\n    assistant: gemma3:270m\n"
    with pytest.raises(BadInputError, match="on a line of its own"):
        written(tmp_path, text, Candidate(4, ServingSpec()))
    assert (tmp_path / "Pulumi.dev.yaml").read_text(encoding="utf-8") == text
