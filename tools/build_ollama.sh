#!/usr/bin/env bash
# Builds the Ollama server that the behaviour tests talk to, into a cache outside the checkout, and prints its path.
#
#   tools/build_ollama.sh       builds it, unless it is there already: 6 to 8 minutes on two cores, once
#
# The version is the one that tools/ollama/go.mod pins. Needs go, a C++ compiler, and a Go module proxy and a Python
# package index within reach. PADDOCK_CACHE names another cache folder.
#
# Go leaves folders named "vendor" out of modules, so Ollama's module lacks three headers that it includes. Two come from
# Debian packages, the third from the source distribution of a Python package, checked against its hash.
#
# The result computes on the CPU, with one set of instructions (AVX2 where this machine has it) for all of Ollama, where
# the official one picks among many. It shows what Ollama does, not how fast it does it.
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

# --- what is there already ----------------------------------------------------------------------------------------

# instruction_set: what to compile for. Go's own default for C is plain x86-64, on which a model takes seconds a word.
instruction_set() {
    local flag
    if [ "$(uname -m)" != x86_64 ] || [ ! -r /proc/cpuinfo ]; then return; fi
    for flag in avx2 fma f16c bmi2 movbe; do
        grep -qw -m1 "$flag" /proc/cpuinfo || return 0
    done
    echo -march=x86-64-v3
}

is_built() {
    # A cache may have come from another machine. No server answers at port 1, so the program can only speak of itself.
    [ -x "$1/ollama" ] && [ "$(cat "$1/instruction-set" 2>/dev/null)" = "$march" ] &&
        OLLAMA_HOST=127.0.0.1:1 "$1/ollama" --version 2>&1 | grep -F "client version is $version" >/dev/null
}

# --- the headers that the module lacks ----------------------------------------------------------------------------

has_debian_headers() {
    printf '#include <nlohmann/json.hpp>\n#include <stb/stb_image.h>\n' | "${CXX:-c++}" -x c++ -E - >/dev/null 2>&1
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "$@" >&2
}

get_debian_headers() {
    local packages=(nlohmann-json3-dev libstb-dev)
    if has_debian_headers; then return; fi
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        die "nlohmann/json.hpp and stb/stb_image.h are missing. Install them first: sudo apt-get install ${packages[*]}"
    fi
    # The package lists may be old or absent; an update is tried only then, because it takes longer than the install.
    if ! timed "installing ${packages[*]}" apt_install "${packages[@]}"; then
        timed "updating the package lists" apt-get -qq update >&2
        timed "installing ${packages[*]}" apt_install "${packages[@]}"
    fi
    has_debian_headers || die "${packages[*]} are installed, but ${CXX:-c++} does not find their headers"
}

# find_pip: sets the array pip to the first of these that works. A virtual environment made by uv has none of its own.
find_pip() {
    local candidate
    for candidate in "$here/../.venv/bin/python -m pip" "python3 -m pip" "uvx pip"; do
        read -ra pip <<<"$candidate"
        if "${pip[@]}" --version >/dev/null 2>&1; then return; fi
    done
    die "no pip: neither .venv nor python3 has one, and uvx is not on PATH. Install one of them, such as python3-pip"
}

get_miniaudio() {
    local folder=$1 pip archives
    if [ -f "$folder/miniaudio/miniaudio.h" ]; then return; fi
    find_pip
    # pip asks a source distribution for its metadata, and gets what that takes by itself; nothing is compiled.
    timed "downloading miniaudio" "${pip[@]}" --quiet --disable-pip-version-check download --no-deps \
        --no-binary miniaudio --require-hashes --requirement "$here/ollama/miniaudio.txt" --dest "$scratch" >&2
    archives=("$scratch"/miniaudio-*.tar.gz)
    mkdir -p "$scratch/headers/miniaudio" "$(dirname -- "$folder")"
    tar -xzf "${archives[0]}" -C "$scratch/headers" --strip-components=1 --wildcards '*/miniaudio/miniaudio.h' '*/LICENSE'
    # Another build may have put it there meanwhile, and its copy is as good.
    mv -T -- "$scratch/headers" "$folder" 2>/dev/null || [ -f "$folder/miniaudio/miniaudio.h" ]
}

# --- the build ----------------------------------------------------------------------------------------------------

build() {
    # The folder of the header has a fixed name because Go's build cache takes it for part of the input.
    CGO_ENABLED=1 CGO_CPPFLAGS="-I$headers ${CGO_CPPFLAGS:-}" CGO_CFLAGS="-O3 $march" CGO_CXXFLAGS="-O3 $march" \
        go build -C "$here/ollama" -trimpath -o "$scratch/bin/ollama" \
        -ldflags "-s -w -X github.com/ollama/ollama/version.Version=$version" github.com/ollama/ollama >&2 || return
    printf '%s' "$march" >"$scratch/bin/instruction-set"
}

command -v go >/dev/null || die "go is not on PATH. Install Go 1.24 or later: https://go.dev/dl"
command -v "${CXX:-c++}" >/dev/null || die "there is no C++ compiler (${CXX:-c++}). Install one, such as g++"

version=$(sed -n 's#.*github.com/ollama/ollama v\([^ ]*\).*#\1#p' "$here/ollama/go.mod")
march=$(instruction_set)
home=$cache/engine/ollama-$version
headers=$cache/headers/$(sed -n 's/^\(miniaudio\)==\([^ ]*\).*/\1-\2/p' "$here/ollama/miniaudio.txt")

if is_built "$home/bin"; then
    say "Ollama $version is there already"
else
    mkdir -p "$home"
    # In the cache, so that the finished folder moves into place in one step.
    scratch=$(mktemp -d -- "$home/building.XXXXXX")
    get_debian_headers
    get_miniaudio "$headers"
    mkdir "$scratch/bin"
    timed "compiling Ollama $version, 6 to 8 minutes on two cores" build
    is_built "$scratch/bin" || die "what was built does not answer --version with $version"
    rm -rf -- "${home:?}/bin"
    mv -T -- "$scratch/bin" "$home/bin"
    say "Ollama $version is at $home/bin/ollama"
fi
printf '%s\n' "$home/bin/ollama"
