#!/usr/bin/env bash
# Makes a base for images where no registry can be reached, loads it into podman, and prints its name.
#
#   tools/image_base.sh       makes it, unless it is there already: two minutes and 60 MB of packages, once
#
# It stands in for the python:...-slim that the Dockerfile names: Debian's smallest system with its own Python and pip,
# `python` on PATH, and no compiler. Needs root, debootstrap, podman, and a Debian mirror within reach.
# PADDOCK_DEBIAN_MIRROR names the mirror; PADDOCK_CACHE another cache folder.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${PADDOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/paddock}
# debootstrap knows a mirror of its own.
mirror=${PADDOCK_DEBIAN_MIRROR:-}
suite=trixie
# Counts up with what this script does to the system, so that a base of an older script is not taken for this one's.
recipe=1
image=localhost/paddock-base:$suite-$recipe
archive=$cache/containers/base-$suite-$recipe.tar
scratch=
# shellcheck source=tools/steps.sh
. "$here/steps.sh"

clean_up() {
    stop_heartbeat
    if [ -n "$scratch" ]; then rm -rf -- "$scratch"; fi
}
trap clean_up EXIT

bootstrap() {
    debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates "$suite" "$1" ${mirror:+"$mirror"} >"$scratch/log" 2>&1 ||
        { tail -n 20 "$scratch/log" >&2; return 1; }
}

# What no program in a container reads, and what differs from one run to the next.
trim() {
    local root=${1:?}
    rm -rf -- "${root:?}"/usr/share/{doc,man,info,locale,lintian} "${root:?}"/var/lib/apt/lists/* "${root:?}"/var/cache/apt/* \
        "${root:?}"/var/cache/{debconf,ldconfig}/* "${root:?}"/var/log/*.log "${root:?}"/var/log/apt "${root:?}"/dev/* "${root:?}"/tmp/*
    find "$root" -name __pycache__ -type d -prune -exec rm -rf {} +
    # As in the official images: `python`, and a pip that may install into the system.
    ln -s /usr/bin/python3 "$root/usr/local/bin/python"
    rm -f -- "${root:?}"/usr/lib/python3*/EXTERNALLY-MANAGED
    : >"$root/etc/machine-id"
    rm -f -- "$root/etc/hostname" "$root/etc/resolv.conf"
}

pack() {
    tar --create --file "$2" --directory "$1" --sort=name --mtime=@0 --numeric-owner .
}

if podman image exists "$image"; then
    say "$image is there already"
else
    if [ ! -f "$archive" ]; then
        command -v debootstrap >/dev/null || die "there is no debootstrap. Install it (Debian: apt install debootstrap)"
        [ "$(id -u)" = 0 ] || die "debootstrap makes a system with owners and devices, which takes root: run it as root"
        mkdir -p "$cache/containers"
        # In the cache, so that the finished file moves into place in one step.
        scratch=$(mktemp -d -- "$cache/containers/building.XXXXXX")
        chmod 755 "$scratch"
        timed "making Debian $suite with debootstrap" bootstrap "$scratch/root"
        trim "$scratch/root"
        pack "$scratch/root" "$scratch/base.tar"
        mv -T -- "$scratch/base.tar" "$archive"
    fi
    timed "loading $image" podman import --change "CMD [\"/bin/bash\"]" "$archive" "$image" >/dev/null
fi
printf '%s\n' "$image"
