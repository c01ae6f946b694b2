# Read by the scripts of the pair; does nothing by itself. Expects bash with -euo pipefail.

PAIR_DIR=${PAIR_DIR:-./pair}

if [ -z "${FEDSX:-}" ]; then
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    FEDSX=fedsx
    for built in "$root/target/debug/fedsx" "$root/target/release/fedsx"; do
        if [ -x "$built" ]; then
            FEDSX=$built
            break
        fi
    done
fi
# Settings of the caller's own instances are none of these two. FEDSX itself names no section, so serve leaves it.
export FEDSX

fail() {
    echo "$*" >&2
    exit 1
}

# Whether a process runs; one that has ended and is not yet collected does not.
alive() { # pid
    local state
    kill -0 "$1" 2>/dev/null || return 1
    state=$(ps -o stat= -p "$1" 2>/dev/null || sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null || echo R)
    [ "${state:0:1}" != Z ]
}

# A port nobody listens on, below the range that systems give to those who name none.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((10000 + (RANDOM * 32768 + RANDOM) % 22000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no port is free"
}

# The first string member of that name in the JSON on stdin.
member() { # name
    grep -Eo "\"$1\": *\"[^\"]*\"" | sed -n '1s/^[^:]*: *"\(.*\)"$/\1/p'
}
