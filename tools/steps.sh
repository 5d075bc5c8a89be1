# shellcheck shell=bash
# What the scripts beside it share: saying what they do, for how long so far, and how long it took. To be sourced.
# Each line goes to stderr and begins with the script's name. `heartbeat_seconds` says how often a long step speaks.
#
# It stops its heartbeat at the script's exit. A script with a trap of its own calls stop_heartbeat there.
heartbeat_seconds=${heartbeat_seconds:-30}
heartbeat=
script=${0##*/}
script=${script%.sh}

say() { printf '%s: %s\n' "$script" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

stop_heartbeat() {
    if [ -n "$heartbeat" ]; then
        kill "$heartbeat" 2>/dev/null || true
        heartbeat=
    fi
}
trap stop_heartbeat EXIT

# timed WHAT COMMAND...: runs the command, and says what is waited for, for how long so far, and how long it took.
timed() {
    local what=$1 start=$SECONDS
    shift
    say "$what ..."
    # The sleep outlives the script by a little. Without the redirection it would hold a caller's pipe open.
    while sleep "$heartbeat_seconds" >/dev/null 2>&1; do
        say "$what: $((SECONDS - start)) s so far"
    done &
    heartbeat=$!
    # Written out, because bash turns "set -e" off in a function whose caller looks at its status.
    "$@" || {
        local status=$?
        stop_heartbeat
        say "$what: failed after $((SECONDS - start)) s"
        return "$status"
    }
    stop_heartbeat
    say "$what: done after $((SECONDS - start)) s"
}
