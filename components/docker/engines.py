"""A model's containers: the one-shot that brings and checks its weights, and a server for each replica."""

from __future__ import annotations

from collections.abc import Mapping

from components.docker.description import Condition, Container, HealthCheck, HostMount, VolumeMount
from components.docker.model import PORTS, DockerModel, DockerPlan, WeightsFile
from components.docker.scripts import CHECK_FILE, FETCH_GGUF, OLLAMA_FROM_FILE
from components.docker.sizes import whole_mib
from components.engines.llamacpp import setting_arguments
from components.engines.ollama import server_environment
from components.engines.vllm import serve_command
from components.kubernetes.manifests.engines.ollama import LOAD_SCRIPT as OLLAMA_PULL
from components.kubernetes.manifests.engines.vllm import LOAD_SCRIPT as HUGGING_FACE_FETCH
from fleet_spec.catalogue_entry import GgufSource
from fleet_spec.quantities import amount
from fleet_spec.sizing.estimate import GIB

HOME = "/tmp"  # noqa: S108 - of the container
STORE = "/models"
LOADER_KEYS = "/etc/paddock/loader"
TOKEN_FILE = "hugging-face-token"  # noqa: S105 - a file's name
LOADER_KEYS_VOLUME = "loader-keys"
INNER, OUTER = "inner", "outer"
"""The network of the fleet itself, which leads nowhere else, and the one that leads out."""
SETUP = "setup"

_LOADER_MEMORY_BYTES = 4 * GIB
_SERVER_PIDS = {"llamacpp": 1024, "ollama": 1024, "vllm": 8192}
_READ_BYTES_PER_SECOND = 50_000_000
"""The slowest disk that a start is meant to end in time on."""
_START_SECONDS = {"llamacpp": 120, "ollama": 120, "vllm": 900}
"""What a start takes besides reading the weights; vLLM compiles."""


def scratch(*, executable: bool = False) -> dict[str, str]:
    """Where a container with a read-only root may write: /tmp, its home, in memory, gone with it.

    A folder that the image has: of one that runc makes at the first start it forgets the mode, so that nobody but root
    could write there when the container starts again.
    """
    return {HOME: f"rw,nosuid,nodev,{'exec' if executable else 'noexec'},size=2g,mode=1777"}


def model_containers(plan: DockerPlan, model: DockerModel) -> list[Container]:
    """A model's containers, in the order in which they come up.

    Each replica waits for the one before it, so that a change goes through them one by one.
    """
    loader = _loader(plan, model)
    servers: list[Container] = []
    for replica in range(len(model.gpus)):
        before: dict[str, Condition] = {servers[-1].name: "healthy"} if servers else {loader.name: "completed"}
        servers.append(_server(model, replica, before))
    return [loader, *servers]


def _loader(plan: DockerPlan, model: DockerModel) -> Container:
    token = plan.spec.docker.hugging_face_token is not None and model.downloads and model.engine != "ollama"
    environment, image, entrypoint = _loading(plan, model)
    if token:
        environment["HF_TOKEN_PATH"] = f"{LOADER_KEYS}/{TOKEN_FILE}"
    mounts = [*_weights_mounts(model, read_only=False)]
    if token:
        mounts.append(VolumeMount(LOADER_KEYS_VOLUME, LOADER_KEYS, read_only=True))
    return Container(
        name=f"{model.safe_name}-load",
        image=image,
        entrypoint=entrypoint,
        environment={"HOME": HOME, **environment},
        memory_bytes=_LOADER_MEMORY_BYTES,
        pids=1024,
        networks=(OUTER,) if model.downloads else (),
        mounts=tuple(mounts),
        scratch=scratch(),
        after={SETUP: "completed"},
        time_limit_seconds=plan.spec.docker.load_timeout_seconds,
    )


def _loading(plan: DockerPlan, model: DockerModel) -> tuple[dict[str, str], str, tuple[str, ...]]:
    """Environment, image and program of what brings the weights."""
    source = model.source
    if isinstance(source, WeightsFile):
        given = {"PADDOCK_WEIGHTS": _own_file(source), "PADDOCK_SHA256": source.sha256}
        if model.engine == "ollama":
            given |= {**_ollama_store(model), "PADDOCK_MODELFILE": _modelfile(source)}
            return given, model.image, ("/bin/bash", "-c", OLLAMA_FROM_FILE)
        return given, plan.router_image, ("python", "-c", CHECK_FILE)
    if isinstance(source, GgufSource):
        given = {"PADDOCK_REPOSITORY": source.repo, "PADDOCK_FILE": source.file, "PADDOCK_WEIGHTS": _gguf_path(model)}
        return given, plan.router_image, ("python", "-c", FETCH_GGUF)
    if model.engine == "ollama":
        return _ollama_store(model), model.image, ("/bin/bash", "-c", OLLAMA_PULL)
    return _vllm_store(source), model.image, ("python3", "-c", HUGGING_FACE_FETCH)


def _server(model: DockerModel, replica: int, after: Mapping[str, Condition]) -> Container:
    port = PORTS[model.engine]
    build = {"llamacpp": _llamacpp, "ollama": _ollama, "vllm": _vllm}[model.engine]
    environment, command, health = build(model, port)
    gpus = model.gpus[replica]
    if gpus is not None and gpus.vendor == "amd":
        # The device files are those of all GPUs: the runtime is told which ones are meant.
        environment["ROCR_VISIBLE_DEVICES"] = ",".join(gpus.ids)
    vllm = model.engine == "vllm"
    return Container(
        name=model.host(replica),
        image=model.image,
        entrypoint=command,
        environment={"HOME": HOME, **environment},
        memory_bytes=model.memory_bytes,
        pids=_SERVER_PIDS[model.engine],
        networks=(INNER,),
        mounts=_weights_mounts(model, read_only=model.engine == "llamacpp"),
        scratch=scratch(executable=vllm),
        health=HealthCheck(
            command=("CMD-SHELL", health),
            interval_seconds=10,
            # The first check may be what loads the model.
            timeout_seconds=_start_seconds(model) if model.engine == "ollama" else 10,
            retries=3,
            start_seconds=_start_seconds(model),
        ),
        after=after,
        cpus=model.cpus,
        shared_memory_bytes=whole_mib(amount(model.spec.vllm.shared_memory)) if vllm else None,
        gpus=gpus,
        stop_seconds=30,
    )


def _start_seconds(model: DockerModel) -> int:
    reading = (model.weights_bytes or 8 * GIB) // _READ_BYTES_PER_SECOND
    return _START_SECONDS[model.engine] + reading


def _weights_mounts(model: DockerModel, *, read_only: bool) -> tuple[VolumeMount | HostMount, ...]:
    volume = VolumeMount(model.volume, STORE, read_only=read_only)
    if not isinstance(model.source, WeightsFile):
        return (volume,)
    own = HostMount(model.source.path, _own_file(model.source))
    return (volume, own) if model.engine == "ollama" else (own,)


def uses_volume(model: DockerModel) -> bool:
    """Whether its weights are in a volume; a file of the host is served from where it is, but for Ollama."""
    return any(isinstance(one, VolumeMount) for one in _weights_mounts(model, read_only=False))


def _own_file(source: WeightsFile) -> str:
    return f"/weights/{source.sha256[:16]}.gguf"


def _gguf_path(model: DockerModel) -> str:
    if isinstance(model.source, WeightsFile):
        return _own_file(model.source)
    assert isinstance(model.source, GgufSource), "llama.cpp serves GGUF files alone"  # noqa: S101
    return f"{STORE}/{model.source.file.rpartition('/')[2]}"


def _ollama_store(model: DockerModel) -> dict[str, str]:
    return {
        "OLLAMA_MODELS": STORE,
        "OLLAMA_HOST": f"127.0.0.1:{PORTS['ollama']}",
        # A start prunes blobs that it does not know: here, those that another replica has just begun.
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        "PADDOCK_MODEL": model.served_name,
    }


def _modelfile(source: WeightsFile) -> str:
    lines = [f"FROM {_own_file(source)}"]
    if source.prompting is not None:
        lines.append(f'TEMPLATE """{source.prompting.ollama}"""')
        lines += [f'PARAMETER stop "{stop}"' for stop in source.prompting.stop]
    return "\n".join(lines)


def _ollama(model: DockerModel, port: int) -> tuple[dict[str, str], tuple[str, ...], str]:
    environment = {
        **_ollama_store(model),
        "OLLAMA_HOST": f"0.0.0.0:{port}",
        **server_environment(
            keep_alive=model.spec.keep_alive,
            parallel=model.parallel,
            context_length=model.context_length,
            serving=model.spec.serving,
        ),
    }
    # The server listens on every address, so the command line has to be pointed back at this one.
    here = f"OLLAMA_HOST=127.0.0.1:{port} ollama"
    health = f'{here} show "$PADDOCK_MODEL" >/dev/null'
    if "embedding" not in model.capabilities:
        # An empty prompt loads the model and answers when it is there. Once: an idle model is to leave the memory.
        health += f' && {{ [ -e /tmp/loaded ] || {{ {here} run "$PADDOCK_MODEL" "" && touch /tmp/loaded; }}; }}'
    return environment, ("/bin/ollama", "serve"), health


def _llamacpp(model: DockerModel, port: int) -> tuple[dict[str, str], tuple[str, ...], str]:
    prompting = model.source.prompting if isinstance(model.source, WeightsFile) else None
    serving = model.spec.serving
    command = [
        "/app/llama-server",
        *("--model", _gguf_path(model)),
        *("--alias", model.served_name),
        *("--host", "0.0.0.0"),  # noqa: S104 - the container's own address, in a network of the fleet's
        *("--port", str(port)),
        *("--ctx-size", str(model.context_length * model.parallel)),
        *("--parallel", str(model.parallel)),
        "--jinja",
        "--metrics",
        "--no-webui",
        *(("--embeddings",) if "embedding" in model.capabilities else ()),
        *(("--chat-template", prompting.jinja) if prompting is not None else ()),
        *(("--n-gpu-layers", "999") if model.gpus[0] is not None and serving.gpu_layers is None else ()),
        *setting_arguments(serving),
    ]
    return {}, tuple(command), f"curl --silent --fail --max-time 5 http://127.0.0.1:{port}/health >/dev/null"


def _vllm_store(source: str) -> dict[str, str]:
    return {
        # The user has no entry in /etc/passwd, and PyTorch asks for its name.
        "USER": "paddock",
        "HF_HOME": f"{STORE}/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PADDOCK_MODEL": source,
    }


def _vllm(model: DockerModel, port: int) -> tuple[dict[str, str], tuple[str, ...], str]:
    assert isinstance(model.source, str), "vLLM serves repositories alone"  # noqa: S101
    environment = {
        **_vllm_store(model.source),
        "HF_HUB_OFFLINE": "1",
        # What was compiled once is kept beside the weights.
        "VLLM_CACHE_ROOT": f"{STORE}/vllm",
        "TRITON_CACHE_DIR": f"{HOME}/triton",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    command = serve_command(
        source=model.source,
        served_name=model.served_name,
        port=port,
        context_length=model.context_length,
        quantization=model.spec.quantization,
        gpus=model.spec.gpu.count if model.spec.gpu is not None else 1,
        vllm=model.spec.vllm,
        serving=model.spec.serving,
    )
    return environment, tuple(command), http_check("python3", port, "/health")


def http_check(python: str, port: int, path: str) -> str:
    """A health check by HTTP in an image that has Python and perhaps no curl."""
    call = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}{path}', timeout=4)"
    return f'{python} -c "{call}"'
