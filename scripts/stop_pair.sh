#!/usr/bin/env bash
# Stops what start_pair.sh started, by pid file: SIGTERM, then a wait until it is gone; SIGKILL, and a complaint, for
# what is still there after 20 s. What is not running is left as it is. The data stay. With `a` or `b` only that one is
# stopped.
#
#   PAIR_DIR  where start_pair.sh keeps everything [./pair]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/pair.sh"

[ $# -gt 0 ] || set -- a b
hung=0
for side in "$@"; do
    if [ -f "$PAIR_DIR/$side.pid" ]; then
        kill -TERM "$(cat "$PAIR_DIR/$side.pid")" 2>/dev/null || true
    fi
done
for side in "$@"; do
    [ -f "$PAIR_DIR/$side.pid" ] || continue
    pid=$(cat "$PAIR_DIR/$side.pid")
    for _ in $(seq 200); do
        alive "$pid" || break
        sleep 0.1
    done
    if alive "$pid"; then
        echo "$side (process $pid) did not stop and is killed; its log is $PAIR_DIR/$side.log" >&2
        kill -KILL "$pid" 2>/dev/null || true
        hung=1
    fi
    rm -f "$PAIR_DIR/$side.pid"
done
exit "$hung"
