"""From a FleetSpec to a plan for a cluster, or to every problem that stands in its way. Pure."""

from __future__ import annotations

import hashlib
import json

from components.kubernetes.images import VALKEY_IMAGE, WEB_UI_IMAGE, engine_image
from components.kubernetes.model import (
    EngineName,
    GpuPool,
    GpuRequest,
    KubernetesModel,
    KubernetesPlan,
    Replicas,
    Storage,
)
from components.kubernetes.placement import place, plan_pool
from components.kubernetes.quantities import larger, smaller
from components.kubernetes.sizes import gpu_problems, memory_needed, memory_problems
from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.errors import Problem, SpecError
from fleet_spec.model_spec import ModelSpec
from fleet_spec.names import safe_name
from fleet_spec.quantization import ollama_source
from fleet_spec.spec import FleetSpec

DEFAULT_CONTEXT_LENGTH_TOKENS = 8192
"""What a request may use where the config names no context, or less where the model was made for less."""
DEFAULT_REQUESTS = {"cpu": "2", "memory": "8Gi"}
DEFAULT_LIMITS = {"cpu": "4", "memory": "16Gi"}
RESERVED_NAMES = frozenset({"router", "web-ui", "valkey", "fleet", "paddock", "loader", "default-deny", "allow-dns"})
RESERVED_ENDINGS = ("-endpoints", "-loader")
"""What the fleet's own objects are called; a model of such a name would take one of them."""
MAX_NAME_LENGTH = 45
"""A StatefulSet's name may have 52 characters, since labels are made from it, and the generation takes seven."""


def plan_fleet(spec: FleetSpec, stack: str, catalogue: Catalogue) -> KubernetesPlan:
    """Decide a whole fleet.

    Raises:
        SpecError: with everything that keeps the fleet from the cluster.
    """
    problems: list[Problem] = []
    router_image = spec.router.image or (spec.router.build.name if spec.router.build is not None else None)
    if router_image is None:
        problems.append(
            Problem(
                "router.image",
                "is missing: a cluster runs the router from an image",
                "name one, or say in router.build where the stack is to push one that it builds",
            )
        )
    pools = tuple(plan_pool(name, pool, spec.namespace) for name, pool in spec.gpu_pools.items())
    problems += _pool_name_problems(pools)
    models: list[KubernetesModel] = []
    for name, model in spec.models.items():
        outcome = _plan_model(name, model, spec, pools, catalogue)
        if isinstance(outcome, KubernetesModel):
            models.append(outcome)
        else:
            problems += outcome
    if problems or router_image is None:
        raise SpecError(problems)
    return KubernetesPlan(
        spec=spec,
        stack=stack,
        namespace=spec.namespace,
        models=tuple(models),
        pools=pools,
        router_image=router_image,
        web_ui_image=spec.web_ui.image or WEB_UI_IMAGE,
        valkey_image=spec.valkey.image or VALKEY_IMAGE,
    )


def _plan_model(
    name: str, model: ModelSpec, spec: FleetSpec, pools: tuple[GpuPool, ...], catalogue: Catalogue
) -> KubernetesModel | list[Problem]:
    key = f"models.{name}"
    problems: list[Problem] = []
    problems += [*_resource_problems(key, model), *_name_problems(key, safe_name(name))]
    label = safe_name(name)
    engine: EngineName = "vllm" if model.engine == "vllm" else "ollama"
    entry = _entry(catalogue, model.model)
    source = _source(model, engine, entry)
    if source is None:
        other = "ollama" if engine == "vllm" else "vllm"
        problems.append(
            Problem(
                f"{key}.engine", f"{engine!r}: the catalogue knows no source of {model.model} for it", f"write {other}"
            )
        )
    gpu = _gpu_request(model, pools)
    chosen = spec.kubernetes.images.vllm if engine == "vllm" else spec.kubernetes.images.ollama
    image = engine_image(engine, gpu.vendor if gpu is not None else None, chosen)
    if image is None:
        problems.append(
            Problem(
                f"kubernetes.images.{engine}",
                f"{key} wants AMD GPUs, and Paddock knows no image of {engine} for them",
                "name its repository and its tag or digest",
            )
        )
    trained_tokens = entry.architecture.context_length if entry is not None else DEFAULT_CONTEXT_LENGTH_TOKENS
    context_length = model.context_length or min(DEFAULT_CONTEXT_LENGTH_TOKENS, trained_tokens)
    needed_memory = memory_needed(model, engine, entry, context_length)
    problems += memory_problems(key, model, needed_memory)
    if entry is not None:
        problems += gpu_problems(key, model, engine, entry, context_length, gpu)
    if problems or source is None or image is None:
        return problems
    storage = Storage(
        mode=model.storage.mode or spec.storage.mode,
        size=model.storage.size or spec.storage.size,
        storage_class=model.storage.storage_class or spec.storage.storage_class,
        image=model.storage.image,
    )
    scaling = None if model.replicas.fixed else model.autoscaling or spec.autoscaling
    requests, limits = _resources(model, needed_memory)
    pods, fleet_pods = model.pods, spec.kubernetes.pods
    return KubernetesModel(
        name=name,
        safe_name=label,
        generation=_generation(engine, source, storage, [one.source for one in model.adapters.values()]),
        engine=engine,
        image=image,
        source=source,
        served_name=source if engine == "ollama" else (entry.name if entry is not None else model.model),
        context_length=context_length,
        parallel=model.vllm.max_sequences if engine == "vllm" else model.parallel,
        capabilities=entry.capabilities if entry is not None else ("chat", "completion"),
        gpu=gpu,
        placement=place(model, spec, pools),
        storage=storage,
        replicas=Replicas(model.replicas.min, model.replicas.max, scaling),
        surge=model.rollout == "surge" or (model.rollout is None and storage.mode != "perReplica"),
        requests=requests,
        limits=limits,
        environment={**fleet_pods.env, **pods.env},
        annotations={**fleet_pods.annotations, **pods.annotations},
        priority_class=pods.priority_class or fleet_pods.priority_class,
        runtime_class=pods.runtime_class or fleet_pods.runtime_class,
        keep_alive=model.keep_alive,
        quantization=model.quantization,
        serving=model.serving,
        vllm=model.vllm,
        usd_per_hour=model.usd_per_hour,
        adapters=model.adapters,
    )


def _pool_name_problems(pools: tuple[GpuPool, ...]) -> list[Problem]:
    made = [pool for pool in pools if pool.spec.provisioner != "existing"]
    found: list[Problem] = []
    for index, pool in enumerate(made):
        twin = next((one for one in made[:index] if one.object_name == pool.object_name), None)
        if twin is not None:
            found.append(
                Problem(
                    f"gpuPools.{pool.name}",
                    f"{twin.name!r} and {pool.name!r} both become {pool.object_name!r} in the cluster",
                    "rename one of them",
                )
            )
        if pool.spec.provisioner == "gkeComputeClass" and pool.object_name.startswith(("gke", "autopilot")):
            found.append(
                Problem(
                    f"gpuPools.{pool.name}",
                    f"its compute class would be {pool.object_name!r}, and GKE keeps names that begin so for itself",
                    "write a namespace that does not begin with gke or autopilot",
                )
            )
    return found


def _name_problems(key: str, label: str) -> list[Problem]:
    if label in RESERVED_NAMES or label.endswith(RESERVED_ENDINGS):
        return [Problem(key, f"{label!r} is the name of a part of the fleet", "give the model another name")]
    if not label[:1].isalpha():
        return [Problem(key, f"{label!r} begins with no letter, as a Service's name must", "give it another name")]
    if len(label) > MAX_NAME_LENGTH:
        return [Problem(key, f"{label!r} is longer than {MAX_NAME_LENGTH} characters", "give it a shorter name")]
    return []


def _entry(catalogue: Catalogue, name: str) -> CatalogueModel | None:
    """The catalogue's entry; None for weights in an image, under a name of the user's own."""
    try:
        return catalogue.get(name)
    except UnknownModelError:
        return None


def _source(model: ModelSpec, engine: EngineName, entry: CatalogueModel | None) -> str | None:
    if entry is None:
        return model.model
    if engine == "vllm":
        return entry.sources.vllm
    return ollama_source(entry.sources.ollama, model.quantization)[0] if entry.sources.ollama is not None else None


def _generation(engine: str, source: str, storage: Storage, adapters: list[str]) -> str:
    """Five letters and digits that stand for what no workload can change while it keeps its name.

    What is fetched is part of it: a Job, once made, fetches nothing else.
    """
    claims = (storage.size, storage.storage_class) if storage.mode in ("perReplica", "shared") else None
    text = json.dumps([engine, source, storage.mode, claims, *([adapters] if adapters else [])])
    return "g" + hashlib.sha256(text.encode()).hexdigest()[:5]


def _gpu_request(model: ModelSpec, pools: tuple[GpuPool, ...]) -> GpuRequest | None:
    if model.gpu is None:
        return None
    pool = next(pool.spec for pool in pools if pool.spec.gpu_type == model.gpu.type)
    vendor = pool.gpu_vendor
    if pool.access == "dra":
        device_class = pool.device_class or f"gpu.{vendor}.com"
        return GpuRequest(vendor, model.gpu.count, None, device_class, whole=True)
    resource = f"{vendor}.com/gpu"
    if model.gpu.mig_profile is not None:
        resource = f"nvidia.com/mig-{model.gpu.mig_profile}"
    elif pool.sharing == "timeSliced":
        resource = "nvidia.com/gpu.shared"
    return GpuRequest(vendor, model.gpu.count, resource, None, whole=resource.endswith("/gpu"))


def _resources(model: ModelSpec, needed_memory: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Requests and limits. What nobody named gives way to what somebody did: no request is over its limit."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    defaults = dict(DEFAULT_REQUESTS)
    if needed_memory is not None:
        defaults["memory"] = larger(defaults["memory"], needed_memory)
    for name, default in defaults.items():
        asked: str | None = getattr(model.resources.requests, name)
        most: str | None = getattr(model.resources.limits, name)
        requests[name] = asked or (smaller(default, most) if most is not None else default)
        limits[name] = most or larger(DEFAULT_LIMITS[name], requests[name])
    return requests, limits


def _resource_problems(key: str, model: ModelSpec) -> list[Problem]:
    found: list[Problem] = []
    for name in DEFAULT_REQUESTS:
        asked: str | None = getattr(model.resources.requests, name)
        most: str | None = getattr(model.resources.limits, name)
        if asked is not None and most is not None and larger(most, asked) != most:
            found.append(
                Problem(f"{key}.resources.requests.{name}", f"{asked!r} is over the limit, {most!r}", "raise the limit")
            )
    return found
