"""Models that share a machine: each may fit alone, and all of them not together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from cli.plan.model_plan import ModelPlan
from cli.plan.sizes import gpu_memory_bytes
from components.docker.gpus import GpuAllocation
from fleet_spec.errors import Problem
from fleet_spec.sizing.estimate import GIB
from fleet_spec.spec import FleetSpec


def in_main_memory(models: tuple[ModelPlan, ...], machine_memory_bytes: int) -> tuple[ModelPlan, ...]:
    """The models of one machine; none of those in its main memory fits where all of them together do not."""
    here = [model for model in models if model.gpu is None]
    taken_bytes = sum(
        model.size.memory.total_bytes * model.occupation.most_replicas
        for model in here
        if model.size.memory is not None
    )
    if taken_bytes <= machine_memory_bytes:
        return models
    reason = f"takes, with all replicas of the fleet, {taken_bytes / GIB:.1f} of {machine_memory_bytes / GIB:.1f} GiB"
    names = {model.name for model in here}
    return tuple(_misfit(model, reason) if model.name in names else model for model in models)


def on_gpus(models: tuple[ModelPlan, ...], spec: FleetSpec) -> tuple[ModelPlan, ...]:
    """The models of one Docker host; none fits of those that take turns over a GPU which does not hold them all.

    vLLM takes its share of a GPU whatever it needs (``vllm.gpuMemoryShare``), the others what they need.
    """
    allocation = GpuAllocation(spec.docker)
    loads: dict[str, float] = defaultdict(float)
    memory: dict[str, int] = {}
    users: dict[str, set[str]] = defaultdict(set)
    for model in models:
        asked = spec.models[model.name]
        one_gpu, needed = gpu_memory_bytes(asked), model.size.memory
        if model.fits is False or asked.gpu is None or one_gpu is None or needed is None:
            continue
        given = allocation.take(f"models.{model.name}", asked)
        if isinstance(given, Problem):
            continue
        vllm = model.size.engine == "vllm"
        load = asked.vllm.gpu_memory_share * one_gpu if vllm else needed.total_bytes / asked.gpu.count
        for gpu in (number for replica in given if replica is not None for number in replica.ids):
            loads[gpu] += load
            memory[gpu] = min(one_gpu, memory.get(gpu, one_gpu))
            users[gpu].add(model.name)
    reasons = {
        name: f"takes, with what else is on GPU {gpu}, {load / GIB:.1f} of {memory[gpu] / GIB:.1f} GiB"
        for gpu, load in loads.items()
        if load > memory[gpu]
        for name in users[gpu]
    }
    return tuple(_misfit(model, reasons[model.name]) if model.name in reasons else model for model in models)


def _misfit(model: ModelPlan, reason: str) -> ModelPlan:
    if model.fits is False:
        return model
    return replace(model, size=replace(model.size, fits=False, reason=reason))
