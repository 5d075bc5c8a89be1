#!/usr/bin/env bash
# Gets what podman makes networks with where the system's own has no names for containers, and prints the folder.
#
#   tools/image_network.sh      unpacks Debian's netavark and aardvark-dns into the cache, unless they are there
#
# Debian's podman comes with CNI, whose internal networks have no DNS: `http://assistant-0:11434` leads nowhere there.
# These two programs are taken out of their packages and not installed: the machine's own podman stays as it is.
# A containers.conf names the folder in helper_binaries_dir, with network_backend = "netavark".
# Needs apt-get, dpkg and a Debian mirror within reach. PADDOCK_CACHE names another cache folder.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${PADDOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/paddock}
home=$cache/containers/netavark
scratch=
# shellcheck source=tools/steps.sh
. "$here/steps.sh"

clean_up() {
    stop_heartbeat
    if [ -n "$scratch" ]; then rm -rf -- "$scratch"; fi
}
trap clean_up EXIT

download() {
    cd "$scratch"
    # As root: apt's own user may not write into this folder.
    apt-get -qq -o APT::Sandbox::User=root download netavark aardvark-dns >&2
}

if [ ! -x "$home/netavark" ]; then
    command -v apt-get >/dev/null || die "there is no apt-get. Install netavark and aardvark-dns by other means"
    mkdir -p "$cache/containers"
    scratch=$(mktemp -d -- "$cache/containers/building.XXXXXX")
    (timed "downloading netavark and aardvark-dns" download)
    for package in "$scratch"/*.deb; do dpkg-deb --extract "$package" "$scratch/unpacked"; done
    mv -T -- "$scratch/unpacked/usr/lib/podman" "$home"
fi
printf '%s\n' "$home"
