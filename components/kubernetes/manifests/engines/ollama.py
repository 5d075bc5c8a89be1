"""Ollama on a cluster: its server, and how its model comes into the store."""

from __future__ import annotations

from typing import Any

from components.engines.ollama import server_environment
from components.kubernetes.manifests.engines.engine import STORE, Engine, Loading
from components.kubernetes.manifests.pods import HOME
from components.kubernetes.model import KubernetesModel, KubernetesPlan

PORT = 11434
_LOOPBACK = f"127.0.0.1:{PORT}"

SAY = r"""set -euo pipefail
say() { echo "paddock: $*"; }
"""
UNLESS_IN_STORE = r"""ollama serve >"$HOME/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 120); do
  ollama list >/dev/null 2>&1 && break
  kill -0 "$server" 2>/dev/null || { say "the server ended:"; cat "$HOME/server.log"; exit 1; }
  sleep 0.5
done
if ollama show "$PADDOCK_MODEL" >/dev/null 2>&1; then
  say "$PADDOCK_MODEL is in the store already"
  exit 0
fi
"""
"""Starts a server for as long as the script runs, and ends the script where the model is whole already."""

# The server of the init container is its own: the pod's is not there yet. `show` answers only where the model is
# whole, so a store that has it is left alone and nothing is asked of the network. Progress comes with terminal
# sequences, one line over the other; they are taken out, and a line is written when its text changes.
LOAD_SCRIPT = (
    SAY
    + UNLESS_IN_STORE
    + r"""say "fetching $PADDOCK_MODEL"
ollama pull "$PADDOCK_MODEL" 2>&1 | tr '\r' '\n' | sed -u 's/\x1b\[[0-9;?]*[A-Za-z]//g' |
  awk '{ line = $1 " " $2 " " $3 } NF && line != last { print "paddock: " $0; fflush(); last = line }'
ollama show "$PADDOCK_MODEL" >/dev/null || { say "$PADDOCK_MODEL is not whole after the pull"; exit 1; }
say "$PADDOCK_MODEL is in the store, checked"
"""
)

_WAIT = r"""set -euo pipefail
manifest() { ollama show "$PADDOCK_MODEL" >/dev/null 2>&1; }
ollama serve >"$HOME/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
waited=0
until manifest; do
  if [ $((waited % 30)) -eq 0 ]; then echo "paddock: waiting for the Job that fetches $PADDOCK_MODEL ($waited s)"; fi
  if [ "$waited" -ge "$PADDOCK_WAIT_SECONDS" ]; then echo "paddock: it did not come in $waited s"; exit 1; fi
  sleep 5
  waited=$((waited + 5))
done
echo "paddock: $PADDOCK_MODEL is in the store"
"""


def _command(model: KubernetesModel) -> list[str]:
    del model
    return ["/bin/ollama", "serve"]


def _store_environment(model: KubernetesModel) -> dict[str, Any]:
    return {
        # Ollama writes a key under $HOME/.ollama, wherever its models are.
        "HOME": HOME,
        "OLLAMA_MODELS": STORE,
        # A start prunes blobs that it does not know: on a shared store, those of others.
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        "PADDOCK_MODEL": model.served_name,
    }


def _environment(plan: KubernetesPlan, model: KubernetesModel) -> dict[str, Any]:
    del plan
    return {
        **_store_environment(model),
        "OLLAMA_HOST": f"0.0.0.0:{PORT}",
        **server_environment(
            keep_alive=model.keep_alive,
            parallel=model.parallel,
            context_length=model.context_length,
            serving=model.serving,
        ),
    }


def _loading(plan: KubernetesPlan, model: KubernetesModel) -> Loading:
    del plan
    return Loading(["/bin/bash", "-c", LOAD_SCRIPT], {**_store_environment(model), "OLLAMA_HOST": _LOOPBACK})


def _waiting(plan: KubernetesPlan, model: KubernetesModel) -> Loading:
    environment = {**_store_environment(model), "OLLAMA_HOST": _LOOPBACK}
    environment["PADDOCK_WAIT_SECONDS"] = str(plan.spec.kubernetes.load_timeout_seconds)
    return Loading(["/bin/bash", "-c", _WAIT], environment)


def _probes(model: KubernetesModel, load_seconds: int) -> dict[str, Any]:
    # The server listens on every address, so the command line has to be pointed back at this one.
    here = f"OLLAMA_HOST={_LOOPBACK} ollama"
    has_model = f'{here} show "$PADDOCK_MODEL" >/dev/null'
    # An empty prompt loads the model into memory and answers when it is there. Embedding models take none.
    loaded = has_model if "embedding" in model.capabilities else f'{has_model} && {here} run "$PADDOCK_MODEL" ""'
    return {
        "startupProbe": {
            "exec": {"command": ["/bin/sh", "-c", loaded]},
            "timeoutSeconds": 300,
            "periodSeconds": 10,
            "failureThreshold": max(3, load_seconds // 10),
        },
        "readinessProbe": {
            "exec": {"command": ["/bin/sh", "-c", has_model]},
            "timeoutSeconds": 10,
            "periodSeconds": 10,
            "failureThreshold": 3,
        },
        # Answers while a model is loaded, too: only a server that hangs fails it.
        "livenessProbe": {
            "httpGet": {"path": "/api/version", "port": "http"},
            "timeoutSeconds": 10,
            "periodSeconds": 30,
            "failureThreshold": 4,
        },
    }


OLLAMA = Engine(
    port=PORT,
    serves_metrics=False,
    command=_command,
    environment=_environment,
    loading=_loading,
    waiting=_waiting,
    probes=_probes,
)
