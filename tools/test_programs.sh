#!/usr/bin/env bash
# Gets the programs that the tests run against. What is built is built once, and kept in the cache.
#   tools/test_programs.sh        the Pulumi engine, a real Ollama, checkov
#   tools/test_programs.sh slow   those, and what the slow tests need of Debian: a browser, containers, Prometheus
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

if [[ ${1:-} == slow ]]; then
    lacking=()
    for program in chromium podman runc debootstrap prometheus; do
        command -v "$program" >/dev/null || lacking+=("$program")
    done
    if ((${#lacking[@]})) && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "test programs: installing ${lacking[*]}" >&2
        if apt-get update -q >/dev/null && apt-get install -q -y --no-install-recommends "${lacking[@]}" >/dev/null; then
            lacking=()
        fi
    fi
    for one in ${lacking[@]+"${lacking[@]}"}; do missing "$one (Debian: apt install $one)"; done
fi
