"""What must hold between GPU pools and the models that ask them for GPUs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from fleet_spec.checks_versions import too_old
from fleet_spec.errors import Problem
from fleet_spec.model_spec import ModelSpec
from fleet_spec.platform_spec import GpuPoolSpec
from fleet_spec.spec import FleetSpec


def pool_problems(key: str, pool: GpuPoolSpec, rest: FleetSpec) -> Iterator[Problem]:
    """What is wrong with one pool."""
    if pool.provisioner == "karpenter":
        ways = [way for way in (pool.aws, pool.azure, pool.node_class) if way is not None]
        if len(ways) != 1:
            yield Problem(
                f"{key}.provisioner",
                f"'karpenter' needs exactly one of aws, azure and nodeClass, and {len(ways)} are given",
                "say with one of them what the nodes are made of",
            )
        if not pool.instance_types:
            yield Problem(
                f"{key}.instanceTypes",
                f"Karpenter cannot know which machines have {pool.gpu_type!r}",
                "name them, such as [g4dn.xlarge]",
            )
    elif pool.aws is not None or pool.azure is not None or pool.node_class is not None:
        yield Problem(
            f"{key}.provisioner",
            f"{pool.provisioner!r} makes no use of aws, azure and nodeClass",
            "remove them, or write karpenter",
        )
    if pool.provisioner == "gkeComputeClass" and pool.node_labels:
        yield Problem(f"{key}.nodeLabels", "GKE labels the nodes of a class itself", "remove them")
    if pool.provisioner == "existing" and pool.spot:
        yield Problem(f"{key}.spot", "nodes that exist are what they are", "remove it, or use a provisioner")
    if pool.sharing == "timeSliced" and (pool.gpu_vendor == "amd" or pool.access == "dra"):
        yield Problem(
            f"{key}.sharing", "'timeSliced' is the NVIDIA device plugin's", "write none, or use that device plugin"
        )
    if pool.access == "dra":
        yield from too_old(f"{key}.access", "GPU claims (dynamic resource allocation)", rest, "or access: devicePlugin")


def gpu_problems(key: str, model: ModelSpec, rest: FleetSpec) -> Iterator[Problem]:
    """What keeps a model from its GPUs."""
    if model.gpu is None:
        if model.engine == "vllm":
            yield Problem(
                f"{key}.gpu", "is missing: vLLM's image is for GPUs", "name a GPU type, or write engine: ollama"
            )
        return
    offering = [pool for pool in rest.gpu_pools.values() if pool.gpu_type == model.gpu.type]
    if not offering:
        offered = sorted({pool.gpu_type for pool in rest.gpu_pools.values()})
        near = difflib.get_close_matches(model.gpu.type, offered, n=1)
        fix = f"write one of the GPU types of gpuPools: {', '.join(offered)}" if offered else "add it to gpuPools"
        yield Problem(
            f"{key}.gpu.type",
            f"no pool offers {model.gpu.type!r}",
            f"did you mean {near[0]!r}?" if near else fix,
        )
        return
    if len({(pool.gpu_vendor, pool.sharing, pool.access, pool.device_class) for pool in offering}) > 1:
        yield Problem(
            f"{key}.gpu.type",
            f"the pools that offer {model.gpu.type!r} hand GPUs out in different ways, and a pod can ask in one only",
            "give them the same vendor, sharing, access and deviceClass, or GPU types of their own",
        )
        return
    pool = offering[0]
    if model.gpu.mig_profile is not None and (pool.gpu_vendor == "amd" or pool.access == "dra" or _sliced(pool)):
        yield Problem(
            f"{key}.gpu.migProfile",
            f"{model.gpu.mig_profile!r}: slices of this kind come from NVIDIA's device plugin alone",
            "remove it, or use a pool with access: devicePlugin and sharing: none",
        )
    if (model.gpu.mig_profile is not None or _sliced(pool)) and model.gpu.count > 1:
        yield Problem(f"{key}.gpu.count", f"{model.gpu.count} slices do not work as one GPU", "write 1")
    elif model.gpu.count > max(one.gpus_per_node for one in offering) and not _divided(pool, model):
        most = max(one.gpus_per_node for one in offering)
        yield Problem(
            f"{key}.gpu.count",
            f"one replica takes {model.gpu.count} GPUs of one node, and no node of the pools has more than {most}",
            f"write gpuPools.<pool>.gpusPerNode: {model.gpu.count} if the nodes have them, or {most} or less here",
        )


def _sliced(pool: GpuPoolSpec) -> bool:
    return pool.sharing == "timeSliced"


def _divided(pool: GpuPoolSpec, model: ModelSpec) -> bool:
    """Whether the model takes a part of a GPU, so that counting whole ones says nothing."""
    return _sliced(pool) or (model.gpu is not None and model.gpu.mig_profile is not None)


def capacity_problems(rest: FleetSpec, models: Mapping[str, ModelSpec]) -> Iterator[Problem]:
    """What the pools of one GPU type cannot hold: promised replicas, one model's maximum, a surge."""
    for gpu_type in sorted({pool.gpu_type for pool in rest.gpu_pools.values()}):
        pools = [pool for pool in rest.gpu_pools.values() if pool.gpu_type == gpu_type]
        takers = {
            name: model
            for name, model in models.items()
            if model.gpu is not None and model.gpu.type == gpu_type and not _divided(pools[0], model)
        }
        capacity = sum(pool.gpu_capacity for pool in pools)
        promised = sum(_gpus(model, model.replicas.min) for model in takers.values())
        if promised > capacity:
            yield Problem(
                "gpuPools",
                f"the models' least replicas take {promised} GPUs of type {gpu_type!r}, and its pools have {capacity}",
                "raise maxNodes or gpusPerNode, or lower replicas.min",
            )
        for name, model in takers.items():
            if _gpus(model, model.replicas.max) > capacity:
                yield Problem(
                    f"models.{name}.replicas",
                    f"max {model.replicas.max} takes {_gpus(model, model.replicas.max)} GPUs of type {gpu_type!r}, "
                    f"and its pools have {capacity}: the last replicas would wait for ever",
                    "raise maxNodes or gpusPerNode of the pool, or lower max",
                )
            elif _surges(model, rest) and promised <= capacity < promised + _gpus(model, 1):
                yield Problem(
                    f"models.{name}.rollout",
                    f"a roll-out starts one replica more first, and all {capacity} GPUs of type {gpu_type!r} are "
                    "promised: it would wait for ever",
                    "write rollout: replace, or give the pool a spare GPU",
                )


def _gpus(model: ModelSpec, replicas: int) -> int:
    return replicas * (model.gpu.count if model.gpu is not None else 0)


def _surges(model: ModelSpec, rest: FleetSpec) -> bool:
    mode = model.storage.mode or rest.storage.mode
    return mode != "perReplica" and model.rollout != "replace"
