"""vLLM on a cluster: its server, and how weights come from Hugging Face into the store."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.engines.engine import STORE, Engine, Loading
from components.kubernetes.manifests.pods import HOME, secret_value
from components.kubernetes.model import KubernetesModel, KubernetesPlan

PORT = 8000
_MARKER = f"{STORE}/.paddock-complete"

# A file that is there and whole is not fetched again: the hub's library compares size and hash. The marker, written
# last, tells waiting replicas and later starts that everything is there, without a question to the hub.
_LOAD = f"""\
import fnmatch, os, pathlib, sys
from huggingface_hub import HfApi, hf_hub_download
repository = os.environ["PADDOCK_MODEL"]
marker = pathlib.Path("{_MARKER}-" + repository.replace("/", "--"))
if marker.exists():
    print(f"paddock: {{repository}} is in the store already", flush=True)
    sys.exit(0)
token = os.environ.get("HF_TOKEN") or None
info = HfApi(token=token).model_info(repository, files_metadata=True)
files = [one for one in info.siblings if not any(
    fnmatch.fnmatch(one.rfilename, pattern) for pattern in ("original/*", "*.pth", "*.gguf", "*.onnx", "onnx/*"))]
if any(one.rfilename.endswith(".safetensors") for one in files):
    files = [one for one in files if not one.rfilename.endswith(".bin")]
total = sum(one.size or 0 for one in files)
print(f"paddock: fetching {{repository}} at {{info.sha}}: {{len(files)}} files, {{total / 1e9:.1f}} GB", flush=True)
done = 0
for number, one in enumerate(files, start=1):
    hf_hub_download(repository, one.rfilename, revision=info.sha, token=token)
    done += one.size or 0
    print(f"paddock: {{number}} of {{len(files)}} files, {{done / 1e9:.1f}} of {{total / 1e9:.1f}} GB, "
          f"{{one.rfilename}}", flush=True)
# The server runs offline and asks for the branch's name.
hf_hub_download(repository, "config.json", token=token)
marker.write_text(info.sha)
print(f"paddock: {{repository}} is in the store, checked", flush=True)
"""

_WAIT = f"""\
import os, pathlib, sys, time
repository = os.environ["PADDOCK_MODEL"]
marker = pathlib.Path("{_MARKER}-" + repository.replace("/", "--"))
limit = int(os.environ["PADDOCK_WAIT_SECONDS"])
for waited in range(0, limit, 5):
    if marker.exists():
        print(f"paddock: {{repository}} is in the store", flush=True)
        sys.exit(0)
    if waited % 30 == 0:
        print(f"paddock: waiting for the Job that fetches {{repository}} ({{waited}} s)", flush=True)
    time.sleep(5)
sys.exit(f"paddock: it did not come in {{limit}} s")
"""


def _command(model: KubernetesModel) -> list[str]:
    settings = model.vllm
    source = STORE if model.storage.mode == "image" else model.source
    count = settings["tensor_parallel"] or (model.gpu.count if model.gpu is not None else 1)
    command = [
        *("vllm", "serve", source),
        *("--served-model-name", model.served_name),
        *("--host", "0.0.0.0"),  # noqa: S104 - the pod's own address, behind its network policy
        *("--port", str(PORT)),
        *("--max-model-len", str(model.context_length)),
        *("--max-num-seqs", str(model.parallel)),
        *("--gpu-memory-utilization", str(settings["gpu_memory_share"])),
        *("--tensor-parallel-size", str(count)),
        *("--dtype", settings["data_type"]),
        "--enable-prefix-caching" if settings["prefix_cache"] else "--no-enable-prefix-caching",
    ]
    if model.quantization is not None:
        command += ["--quantization", model.quantization]
    level = settings["compile_level"]
    if level == 0:
        command.append("--enforce-eager")
    elif level is not None:
        command.append(f"-O{level}")
    return [*command, *settings["arguments"]]


def _store_environment(model: KubernetesModel) -> dict[str, Any]:
    return {
        "HOME": HOME,
        # The user has no entry in /etc/passwd, and PyTorch asks for its name.
        "USER": "paddock",
        "HF_HOME": f"{STORE}/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PADDOCK_MODEL": model.source,
    }


def _environment(plan: KubernetesPlan, model: KubernetesModel) -> dict[str, Any]:
    del plan
    # What was compiled once is kept beside the weights where that can be written to.
    cache = f"{HOME}/vllm" if model.storage.mode == "image" else f"{STORE}/vllm"
    return {
        **_store_environment(model),
        "HF_HUB_OFFLINE": "1",
        "VLLM_CACHE_ROOT": cache,
        "TRITON_CACHE_DIR": f"{HOME}/triton",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }


def _loading(plan: KubernetesPlan, model: KubernetesModel) -> Loading:
    environment = _store_environment(model)
    token = plan.spec.kubernetes.hugging_face_token
    if token is not None:
        environment["HF_TOKEN"] = secret_value(token.name, token.key)
    return Loading(["python3", "-c", _LOAD], environment)


def _waiting(plan: KubernetesPlan, model: KubernetesModel) -> Loading:
    environment = _store_environment(model)
    environment["PADDOCK_WAIT_SECONDS"] = str(plan.spec.kubernetes.load_timeout_seconds)
    return Loading(["python3", "-c", _WAIT], environment)


def _probes(model: KubernetesModel, load_seconds: int) -> dict[str, Any]:
    del model
    # vLLM listens when the model is loaded, and not before.
    health = {"httpGet": {"path": "/health", "port": "http"}}
    return {
        "startupProbe": {
            **health,
            "timeoutSeconds": 5,
            "periodSeconds": 10,
            "failureThreshold": max(3, load_seconds // 10),
        },
        "readinessProbe": {
            "httpGet": {"path": "/v1/models", "port": "http"},
            "timeoutSeconds": 5,
            "periodSeconds": 10,
            "failureThreshold": 3,
        },
        "livenessProbe": {**health, "timeoutSeconds": 10, "periodSeconds": 30, "failureThreshold": 4},
    }


VLLM = Engine(
    port=PORT,
    serves_metrics=True,
    command=_command,
    environment=_environment,
    loading=_loading,
    waiting=_waiting,
    probes=_probes,
)
