#!/usr/bin/env bash
# Writes the lock files anew from pyproject.toml, keeping the versions they hold where those still fit.
#   tools/lock.sh            write them
#   tools/lock.sh --check    fail where they are not what pyproject.toml asks for
#   tools/lock.sh --upgrade  take the newest versions that fit
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-write}
uv=.venv/bin/uv
common=(--quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate)
extras=(--extra llamacpp --extra gemma3-270m)
[[ $mode == --upgrade ]] && common+=(--upgrade)

compile() { # output, arguments...
    local output=$1 target=$1
    shift
    if [[ $mode == --check ]]; then
        target=$(mktemp)
        cp "$output" "$target"
    fi
    "$uv" pip compile "${common[@]}" "$@" --output-file "$target" >/dev/null
    if [[ $mode == --check ]]; then
        if ! diff -u "$output" "$target" >&2; then
            echo "lock: $output is not what pyproject.toml asks for. fix: make lock" >&2
            exit 1
        fi
        rm -f "$target"
    fi
}

compile requirements.lock pyproject.toml "${extras[@]}" --group run
compile requirements-dev.lock pyproject.toml "${extras[@]}" \
    --extra kubernetes --extra docker --extra build --extra valkey --extra otel --extra agents --extra adapters --extra policy --group run --group dev
compile docker/router.lock docker/router.in --constraint requirements-dev.lock
compile docker/sbom.lock docker/sbom.in
