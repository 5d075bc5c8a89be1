#!/usr/bin/env bash
# Gets checkov, which looks for mistakes in manifests, into an environment of its own in the cache (200 MB: its
# dependencies, of exact versions, would not go with Paddock's), and prints the path of its program.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
version=3.3.30
home=${PADDOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/paddock}/engine/checkov-$version
uv=$here/../.venv/bin/uv
python=$here/../.venv/bin/python

if [[ ! -x $home/bin/checkov ]]; then
    unfinished=$home.$$
    trap 'rm -rf -- "$unfinished"' EXIT
    "$uv" venv --quiet --relocatable --python "$python" "$unfinished"
    "$uv" pip install --quiet --python "$unfinished/bin/python" "checkov==$version"
    # Another run may have put it there meanwhile, and that one is as good.
    mv -T -- "$unfinished" "$home" 2>/dev/null || [[ -x $home/bin/checkov ]]
fi
echo "$home/bin/checkov"
