#!/usr/bin/env bash
# Starts two instances, A and B, in the background and waits until both are ready. Data, logs, addresses and process
# ids are kept in PAIR_DIR, so that stop_pair.sh finds them, and a pair that is started again is the same pair. With
# `a` or `b` only that one is started.
#
#   FEDSX          the program                       [target/debug/fedsx, else target/release/fedsx, else fedsx]
#   PAIR_DIR       where everything is kept          [./pair]
#   A_PORT B_PORT  the ports of the public listeners [free ones]
#   A_ADMIN_PORT B_ADMIN_PORT   of the admin ones    [free ones]
#   PAIR_SETTINGS  further settings, by spaces       [none; e.g. "delivery.retry=1s log.level=debug"]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/pair.sh"

start() { # side port admin-port
    local side=$1 port=$2 admin_port=$3 dir="$PAIR_DIR/$1" settings=() setting pid url
    if [ -f "$PAIR_DIR/$side.pid" ] && alive "$(cat "$PAIR_DIR/$side.pid")"; then
        fail "$side runs already; scripts/stop_pair.sh stops it"
    fi
    # The port is a part of every URL of the instance: chosen once, kept for good.
    if [ -f "$PAIR_DIR/$side.url" ]; then
        url=$(cat "$PAIR_DIR/$side.url")
    else
        url="http://127.0.0.1:${port:-$(free_port)}"
    fi
    for setting in ${PAIR_SETTINGS:-}; do
        settings+=(--set "$setting")
    done
    "$FEDSX" serve --data-dir "$dir" --listen "${url#http://}" --admin-listen "127.0.0.1:${admin_port:-0}" \
        ${settings[@]+"${settings[@]}"} >>"$PAIR_DIR/$side.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$PAIR_DIR/$side.pid"
    echo "$url" >"$PAIR_DIR/$side.url"
}

ready() { # side
    local side=$1 pid admin
    pid=$(cat "$PAIR_DIR/$side.pid")
    for _ in $(seq 300); do
        alive "$pid" || break
        # The file of a process that was killed names that process.
        if grep -Eqs "\"pid\": *$pid\b" "$PAIR_DIR/$side/admin.json"; then
            admin=$(member url <"$PAIR_DIR/$side/admin.json")
            if curl --silent --fail --max-time 5 --output /dev/null "$admin/readyz"; then
                echo "$side  $(cat "$PAIR_DIR/$side.url")  (process $pid, data $PAIR_DIR/$side)"
                return
            fi
        fi
        sleep 0.1
    done
    tail -n 20 "$PAIR_DIR/$side.log" >&2
    fail "$side did not get ready; its log is $PAIR_DIR/$side.log"
}

[ $# -gt 0 ] || set -- a b
mkdir -p "$PAIR_DIR"
for side in "$@"; do
    case $side in
    a) start a "${A_PORT:-}" "${A_ADMIN_PORT:-}" ;;
    b) start b "${B_PORT:-}" "${B_ADMIN_PORT:-}" ;;
    *) fail "a pair is a and b, and $side is neither" ;;
    esac
done
for side in "$@"; do
    ready "$side"
done
