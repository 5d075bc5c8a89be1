#!/usr/bin/env bash
# Builds the Kubernetes control plane that the cluster tests run on, into a cache outside the checkout, and prints the
# folders that its programs are in.
#
#   tools/build_control_plane.sh    builds what is not there yet: 12 minutes on two cores, once
#
# etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real ones; kwok stands in for the kubelets of
# nodes that do not exist. The versions are those that go.mod in tools/etcd, tools/kubernetes and tools/kwok pin. Needs
# go and a Go module proxy within reach. PADDOCK_CACHE names another cache folder.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${PADDOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/paddock}
scratch=
# shellcheck source=tools/steps.sh
. "$here/steps.sh"

clean_up() {
    stop_heartbeat
    if [ -n "$scratch" ]; then rm -rf -- "$scratch"; fi
}
trap clean_up EXIT

# pinned MODULE FOLDER: the version, without its v, that tools/FOLDER/go.mod pins.
pinned() {
    sed -n "s#^[[:space:]]*$1 v\([^ ]*\).*#\1#p" "$here/$2/go.mod"
}

# answers PROGRAM VERSION: whether it runs here and says that it is this version. A cache may have come from elsewhere.
# grep reads to the end, without -q: a program whose words are cut off fails.
answers() {
    [ -x "$1" ] && "$1" --version 2>/dev/null | grep -E "[ v]${2//./\\.}( |\$)" >/dev/null
}

# build FOLDER PACKAGE PROGRAM VERSION [LDFLAGS]: a program of the module in tools/FOLDER, unless it is there already.
build() {
    local folder=$1 package=$2 program=$3 version=$4 flags=${5:-}
    local home=$cache/engine/$folder-$version
    if answers "$home/bin/$program" "$version"; then return; fi
    command -v go >/dev/null || die "go is not on PATH. Install Go 1.26 or later: https://go.dev/dl"
    mkdir -p "$home/bin"
    # In the cache, so that the finished program moves into place in one step.
    scratch=$(mktemp -d -- "$home/building.XXXXXX")
    timed "compiling $program $version" env CGO_ENABLED=0 \
        go build -C "$here/$folder" -trimpath -ldflags "-s -w $flags" -o "$scratch/$program" "$package" >&2
    answers "$scratch/$program" "$version" || die "what was built does not answer --version with $version"
    mv -T -- "$scratch/$program" "$home/bin/$program"
    rm -rf -- "$scratch"
    scratch=
}

# copy_stages VERSION: how simulated nodes and pods live, which kwok has to be told. Its module carries the files.
copy_stages() {
    local home=$cache/engine/kwok-$1 module part
    if [ -d "$home/stages" ]; then return; fi
    module=$(cd -- "$here/kwok" && go mod download -json sigs.k8s.io/kwok | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    scratch=$(mktemp -d -- "$home/building.XXXXXX")
    mkdir "$scratch/stages"
    for part in node/fast/node-initialize node/heartbeat/node-heartbeat pod/fast/pod-ready pod/fast/pod-complete \
        pod/fast/pod-delete; do
        # Go makes its modules read-only; copies must not be, or nobody could clean the cache.
        install -m 644 -- "$module/kustomize/stage/$part.yaml" "$scratch/stages/"
    done
    # Another build may have put them there meanwhile, and they are as good.
    mv -T -- "$scratch/stages" "$home/stages" 2>/dev/null || [ -d "$home/stages" ]
    rm -rf -- "$scratch"
    scratch=
}

kubernetes=$(pinned k8s.io/kubernetes kubernetes)
etcd=$(pinned go.etcd.io/etcd/server/v3 etcd)
kwok=$(pinned sigs.k8s.io/kwok kwok)
component=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"$kubernetes"

build etcd go.etcd.io/etcd/server/v3 etcd "$etcd"
build kwok sigs.k8s.io/kwok/cmd/kwok kwok "$kwok"
copy_stages "$kwok"
for program in kube-apiserver kube-controller-manager kube-scheduler; do
    build kubernetes "k8s.io/kubernetes/cmd/$program" "$program" "$kubernetes" \
        "-X $component.gitVersion=v$kubernetes -X $component.gitMajor=$major -X $component.gitMinor=$minor"
done
printf '%s\n' "$cache/engine/etcd-$etcd/bin" "$cache/engine/kubernetes-$kubernetes/bin" "$cache/engine/kwok-$kwok/bin"
