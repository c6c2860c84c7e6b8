#!/bin/sh
# hey against a warm target: a quick look, no laboratory (`loadtests warm` is).
#
# Fails when hey reports an error or an answer other than 200. Parameters, by
# environment: BASE_URL, HOST_HEADER, REQUEST_PATH, DURATION (hey's -z),
# CONNECTIONS, METHOD, WARM_UP (requests sent before, which wake the target).
set -eu

BASE_URL=${BASE_URL:-http://127.0.0.1:8080}
HOST_HEADER=${HOST_HEADER:-cold-0.localhost}
REQUEST_PATH=${REQUEST_PATH:-/}
DURATION=${DURATION:-10s}
CONNECTIONS=${CONNECTIONS:-64}
METHOD=${METHOD:-GET}
WARM_UP=${WARM_UP:-10}
HEY=${HEY:-hey}

# run-local.sh tells a pattern for many targets: the first one is ours.
host=$(printf '%s' "$HOST_HEADER" | sed 's/{n}/0/')
url=$BASE_URL$REQUEST_PATH

report=$(mktemp)
trap 'rm -f "$report"' EXIT
trap 'exit 130' INT TERM

# Prints hey's report; fails unless all of its answers were 200.
run() {
    "$HEY" "$@" -m "$METHOD" -host "$host" "$url" >"$report"
    if grep -q 'Error distribution:' "$report"; then
        cat "$report"
        echo "FAIL: hey reports errors" >&2
        return 1
    fi
    # Lines like "  [200] 5000 responses".
    if grep -E '^ *\[[0-9]+\]' "$report" | grep -qv '\[200\]'; then
        cat "$report"
        echo "FAIL: answers other than 200" >&2
        return 1
    fi
    if ! grep -q '\[200\]' "$report"; then
        cat "$report"
        echo "FAIL: no answer at all" >&2
        return 1
    fi
}

run -n "$WARM_UP" -c 1 -t 60
run -z "$DURATION" -c "$CONNECTIONS" -t 20
cat "$report"
