"""vLLM on a cluster: its server, and how weights come from Hugging Face into the store."""

from __future__ import annotations

from typing import Any

from components.engines.vllm import serve_command
from components.kubernetes.manifests.engines.engine import STORE, Engine, Loading
from components.kubernetes.manifests.pods import HOME, secret_value
from components.kubernetes.model import KubernetesModel, KubernetesPlan

PORT = 8000
_MARKER = f"{STORE}/.paddock-complete"

# A file that is there and whole is not fetched again: the hub's library compares size and hash. The marker, written
# last, tells waiting replicas and later starts that everything is there, without a question to the hub.
LOAD_SCRIPT = f"""\
import fnmatch, os, pathlib
from huggingface_hub import HfApi, hf_hub_download
token = os.environ.get("HF_TOKEN") or None
def fetch(repository, config):
    marker = pathlib.Path("{_MARKER}-" + repository.replace("/", "--"))
    if marker.exists():
        print(f"paddock: {{repository}} is in the store already", flush=True)
        return
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
    hf_hub_download(repository, config, token=token)
    marker.write_text(info.sha)
    print(f"paddock: {{repository}} is in the store, checked", flush=True)
fetch(os.environ["PADDOCK_MODEL"], "config.json")
for adapter in os.environ.get("PADDOCK_ADAPTERS", "").split():
    fetch(adapter, "adapter_config.json")
"""

_WAIT = f"""\
import os, pathlib, sys, time
repositories = [os.environ["PADDOCK_MODEL"], *os.environ.get("PADDOCK_ADAPTERS", "").split()]
limit = int(os.environ["PADDOCK_WAIT_SECONDS"])
for waited in range(0, limit, 5):
    missing = [one for one in repositories
               if not pathlib.Path("{_MARKER}-" + one.replace("/", "--")).exists()]
    if not missing:
        print(f"paddock: {{', '.join(repositories)}} in the store", flush=True)
        sys.exit(0)
    if waited % 30 == 0:
        print(f"paddock: waiting for the Job that fetches {{', '.join(missing)}} ({{waited}} s)", flush=True)
    time.sleep(5)
sys.exit(f"paddock: it did not come in {{limit}} s")
"""


def _command(model: KubernetesModel) -> list[str]:
    return serve_command(
        source=STORE if model.storage.mode == "image" else model.source,
        served_name=model.served_name,
        port=PORT,
        context_length=model.context_length,
        quantization=model.quantization,
        gpus=model.gpu.count if model.gpu is not None else 1,
        vllm=model.vllm,
        serving=model.serving,
        adapters=model.adapters,
    )


def _store_environment(model: KubernetesModel) -> dict[str, Any]:
    baked = model.storage.mode == "image"
    sources = [] if baked else [adapter.source for adapter in model.adapters.values()]
    return {
        "HOME": HOME,
        # The user has no entry in /etc/passwd, and PyTorch asks for its name.
        "USER": "paddock",
        "HF_HOME": f"{STORE}/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PADDOCK_MODEL": model.source,
        **({"PADDOCK_ADAPTERS": " ".join(sources)} if sources else {}),
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
    return Loading(["python3", "-c", LOAD_SCRIPT], environment)


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
