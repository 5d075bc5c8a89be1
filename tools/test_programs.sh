#!/usr/bin/env bash
# Gets the programs that the tests run against: the Pulumi engine and a real Ollama. Built once, kept in the cache.
# Where one cannot be had, its tests are skipped and say why; with PADDOCK_REQUIRE_TOOLS=1 that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

missing() { # what
    echo "test programs: no $1; its tests are skipped" >&2
    if [[ ${PADDOCK_REQUIRE_TOOLS:-0} == 1 ]]; then exit 1; fi
}

.venv/bin/paddock engine >/dev/null || missing "Pulumi engine"
if [[ -z ${PADDOCK_OLLAMA:-} ]] && ! command -v ollama >/dev/null; then
    tools/build_ollama.sh >/dev/null || missing "Ollama"
fi
tools/checkov.sh >/dev/null || missing "checkov"
