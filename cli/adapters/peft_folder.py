"""An adapter as peft, and the libraries built on it, save it: adapter_config.json and adapter_model.safetensors.

The layout is that of https://huggingface.co/docs/peft/developer_guides/checkpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from fleet_spec.adapters import AdapterError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float32]]

_REFUSED: Final = {"use_dora": "DoRA", "alora_invocation_tokens": "activated LoRA", "fan_in_fan_out": "Conv1D"}
"""What a GGUF adapter cannot express, by the field that turns it on."""
CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
_MOST_CONFIG_BYTES: Final = 4 * 2**20
_KEY: Final = re.compile(r"^(?:base_model\.model\.)?(?P<module>.+?)\.lora_(?P<half>[AB])(?:\.default)?\.weight$")


@dataclass(frozen=True)
class LoraMatrix:
    """What an adapter adds to one matrix: ``scale * second @ first``."""

    first: Array
    """rank x inputs."""
    second: Array
    """outputs x rank."""
    scale: float

    @property
    def rank(self) -> int:
        """The inner dimension of the product."""
        return int(self.first.shape[0])


@dataclass(frozen=True)
class PeftAdapter:
    """A whole adapter."""

    folder: Path
    base_name: str
    """What the base was called where it was trained: a repository, or a path; empty where nobody wrote it."""
    alpha: float
    matrices: Mapping[str, LoraMatrix]
    """By the module's name in the base, as Hugging Face has it."""


def read_peft(path: Path) -> PeftAdapter:
    """Read an adapter from its folder, or from the file of its weights.

    Raises:
        AdapterError: it is not there, damaged, or of a kind that GGUF adapters cannot express; with the reason.
    """
    folder = path if path.is_dir() else path.parent
    weights = folder / WEIGHTS if path.is_dir() else path
    config = _config(folder / CONFIG)
    if str(config.get("peft_type", "LORA")).upper() != "LORA":
        raise AdapterError(f"{folder} holds a {config['peft_type']} adapter. fix: train a LoRA adapter")
    for name, what in _REFUSED.items():
        if config.get(name):
            raise AdapterError(f"{folder} is an adapter with {what} ({name}). fix: train a plain LoRA adapter")
    alpha = _number(config, "lora_alpha", folder)
    halves = _halves(weights)
    matrices = {
        module: LoraMatrix(pair["A"], pair["B"], _scale(config, module, int(pair["A"].shape[0]), folder))
        for module, pair in halves.items()
    }
    return PeftAdapter(folder, str(config.get("base_model_name_or_path") or ""), alpha, matrices)


def _config(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_CONFIG_BYTES:
            raise AdapterError(f"{path} is too large for an {CONFIG}. fix: name a folder that peft saved")
        data: object = json.loads(path.read_bytes())
    except OSError as error:
        raise AdapterError(f"cannot read {path}: {error.strerror}. fix: name a folder that peft saved") from error
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{path} is no JSON. fix: save the adapter again") from error
    if not isinstance(data, dict):
        raise AdapterError(f"{path} holds no object. fix: save the adapter again")
    return cast("dict[str, Any]", data)


def _number(config: Mapping[str, Any], name: str, folder: Path) -> float:
    value = config.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise AdapterError(f"{folder / CONFIG}: {name} is {value!r}. fix: save the adapter again")
    return float(value)


def _halves(path: Path) -> dict[str, dict[str, Array]]:
    """Both halves of every matrix, by module."""
    # Heavy, and needed by this command alone.
    import safetensors

    try:
        # The package has no types for it: pairs of a name and what is stored under it.
        stored: list[tuple[str, dict[str, Any]]] = cast("Any", safetensors).deserialize(path.read_bytes())
    except OSError as error:
        raise AdapterError(f"cannot read {path}: {error.strerror}. fix: name a folder that peft saved") from error
    except safetensors.SafetensorError as error:
        raise AdapterError(f"{path} is no whole safetensors file: {error}. fix: save or fetch it again") from error
    found: dict[str, dict[str, Array]] = {}
    strange: list[str] = []
    for key, described in stored:
        match = _KEY.match(key)
        if match is None:
            strange.append(key)
        else:
            found.setdefault(match["module"], {})[match["half"]] = _array(path, key, described)
    if strange:
        raise AdapterError(
            f"{path} holds {len(strange)} tensors that are no part of a LoRA of matrices, such as {strange[0]}. "
            "fix: train without modules_to_save, biases and embeddings"
        )
    halved = sorted(module for module, pair in found.items() if len(pair) < 2)
    if halved or not found:
        raise AdapterError(f"{path} lacks a half of {halved[0] if halved else 'everything'}. fix: save it again")
    for module, pair in found.items():
        a, b = pair["A"].shape, pair["B"].shape
        if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
            raise AdapterError(f"{path}: {module}: {a} and {b} are no halves of a LoRA matrix. fix: save it again")
    return found


def _array(path: Path, key: str, described: Mapping[str, Any]) -> Array:
    import numpy as np

    data, shape, kind = described["data"], described["shape"], described["dtype"]
    if kind == "BF16":
        # The upper half of a float of 32 bits.
        widened = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return widened.view(np.float32).reshape(shape)
    known = {"F16": np.float16, "F32": np.float32, "F64": np.float64}.get(kind)
    if known is None:
        raise AdapterError(f"{path}: {key} is of the type {kind}. fix: save it in 16 or 32 bits")
    return np.frombuffer(data, known).reshape(shape).astype(np.float32)


def _scale(config: Mapping[str, Any], module: str, rank: int, folder: Path) -> float:
    """What the product of a module's halves is multiplied by: alpha / rank, or alpha / sqrt(rank) with rsLoRA."""
    alpha = _number(config, "lora_alpha", folder)
    patterns: object = config.get("alpha_pattern")
    for pattern, own in cast("dict[str, Any]", patterns).items() if isinstance(patterns, dict) else ():
        # As peft does: the pattern is the end of the module's name.
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = float(own)
            break
    return alpha / sqrt(rank) if config.get("use_rslora") else alpha / rank
