"""What is wrong with a model on vLLM, in containers of any kind."""

from __future__ import annotations

from collections.abc import Iterator

from fleet_spec.errors import Problem
from fleet_spec.model_spec import ModelSpec


def vllm_problems(key: str, model: ModelSpec) -> Iterator[Problem]:
    """How a model's batches and GPUs disagree with what vLLM does with them.

    Args:
        key: The model's place in the config, such as ``models.assistant``.
        model: One whose engine is vLLM.
    """
    if model.parallel != 1:
        yield Problem(
            f"{key}.parallel",
            f"{model.parallel}: vLLM makes its batches itself",
            "write it as vllm.maxSequences, and remove this one",
        )
    split = model.vllm.tensor_parallel
    count = model.gpu.count if model.gpu is not None else 1
    if split is not None and split != count:
        yield Problem(
            f"{key}.vllm.tensorParallel",
            f"{split} is not the number of GPUs of one replica, {count}",
            f"write gpu.count: {split}, or leave it out",
        )
