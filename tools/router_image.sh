#!/usr/bin/env bash
# Builds the router's image from the Dockerfile, and prints its name and its id.
#
#   tools/router_image.sh [--base IMAGE] [--tag NAME] [--sbom FILE] [--no-cache]
#
#   --base IMAGE   the image to build on. Default: the release that the Dockerfile names
#   --tag NAME     what to call it. Default: localhost/paddock-router:1, as rendered compose files do
#   --sbom FILE    where to write the list of what is in it (CycloneDX, JSON), which is also inside the image
#   --no-cache     build every layer anew
#
# SOURCE_DATE_EPOCH is the time that the image and its files carry, in seconds since 1970; default: that of the last
# commit, or 0. With podman, the same checkout, base and time give the same layers, byte for byte, and the same config;
# the image's id differs by the history, where podman names its own steps at random. docker keeps the times of files as
# they come unless buildx is told otherwise (docs/image.md).
#
# PADDOCK_BUILDER names the program with its global options: podman or docker. Default: the first that is on PATH.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname -- "$here")
tag=localhost/paddock-router:1
base=
sbom=
options=()
# shellcheck source=tools/steps.sh
. "$here/steps.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --base) base=${2:?--base takes an image} && shift 2 ;;
    --tag) tag=${2:?--tag takes a name} && shift 2 ;;
    --sbom) sbom=${2:?--sbom takes a file} && shift 2 ;;
    --no-cache) options+=(--no-cache) && shift ;;
    *) die "what is $1? It takes --base IMAGE, --tag NAME, --sbom FILE and --no-cache" ;;
    esac
done

# A checkout without its history has no commit to name.
commit() { git -C "$checkout" log -1 --format="$1" 2>/dev/null || true; }

if [ -n "${PADDOCK_BUILDER:-}" ]; then
    read -ra builder <<<"$PADDOCK_BUILDER"
elif command -v podman >/dev/null; then
    builder=(podman)
elif command -v docker >/dev/null; then
    builder=(docker)
else
    die "neither podman nor docker is on PATH. Install one of them, or name it in PADDOCK_BUILDER"
fi
epoch=${SOURCE_DATE_EPOCH:-$(commit %ct)}
epoch=${epoch:-0}
revision=$(commit %H)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/pyproject.toml")
options+=(
    --build-arg "SOURCE_DATE_EPOCH=$epoch" --build-arg "VERSION=$version" --build-arg "REVISION=${revision:-unknown}"
)
if [ -n "$base" ]; then options+=(--build-arg "BASE=$base"); fi
if [[ ${builder[0]##*/} == podman* ]]; then
    # `--format docker`: the OCI's own form has no place for a health check.
    # The build fetches packages by the host's own way, whatever podman's networks are on this machine.
    options+=(--format docker --timestamp "$epoch" --network host --ulimit nofile=1024:1024 --ulimit nproc=512:512)
    # Behind a proxy with a certificate of its own, the build trusts what this machine trusts. Nothing of it stays.
    bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    if [ -f "$bundle" ]; then
        options+=(--volume "$bundle:/run/ca.crt:ro" --build-arg PIP_CERT=/run/ca.crt)
        options+=(--build-arg SSL_CERT_FILE=/run/ca.crt)
    fi
fi

timed "building $tag" "${builder[@]}" build "${options[@]}" --tag "$tag" "$checkout" >&2
if [ -n "$sbom" ]; then
    container=$("${builder[@]}" create "$tag")
    "${builder[@]}" cp "$container:/opt/paddock/sbom.cdx.json" "$sbom" >&2
    "${builder[@]}" rm "$container" >/dev/null
fi
printf '%s %s\n' "$tag" "$("${builder[@]}" image inspect --format '{{.Id}}' "$tag")"
