# Read by the scripts beside it: parameters that all have, and hey itself.

. "$(dirname "$0")/../parameters.sh"

fitting BASE_URL http://127.0.0.1:8080 'https?://[^[:space:]/?#]+' \
    'http:// or https://, a host and maybe a port, and nothing behind it'
# "-" stands for BASE_URL's own host.
fitting HOST_HEADER - '[A-Za-z0-9._:{}*-]+' 'a host name'
fitting REQUEST_PATH / '/[^[:space:]#]*' 'a path that begins with "/"'
fitting METHOD GET '[A-Z]+' 'a method in upper case'
whole TIMEOUT_SECONDS 60 1 3600
HEY=${HEY:-hey}

# One target: "{n}" is 0.
first() { printf '%s' "$1" | sed 's/{n}/0/'; }

# ready: checks parameters and hey, makes a directory for reports, and sees to it
# that nothing is left behind.
ready() {
    checked
    if ! command -v "$HEY" >/dev/null; then
        echo "no hey: \`apt-get install hey\`, or give HEY" >&2
        exit 69
    fi
    dir=$(mktemp -d)
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

running=
stop() {
    status=$?
    trap - EXIT INT TERM
    for one in $running; do kill "$one" 2>/dev/null || true; done
    rm -rf "$dir"
    exit "$status"
}

# begin REPORT ARGUMENTS OF hey: starts it, with its report in that file of the
# directory; $begun is its process id.
begin() {
    report=$dir/$1
    shift
    [ "$HOST_HEADER" = - ] || set -- -host "$(first "$HOST_HEADER")" "$@"
    "$HEY" "$@" -m "$METHOD" -t "$TIMEOUT_SECONDS" "$(first "$BASE_URL")$REQUEST_PATH" >"$report" &
    begun=$!
    running="$running $begun"
}

# end REPORT PID: waits for it, and fails unless all answers were 200.
end() {
    status=0
    wait "$2" || status=$?
    running=$(printf '%s' "$running" | sed "s/ $2\$//; s/ $2 / /")
    # Lines like "  [200] 5000 responses".
    if [ "$status" -ne 0 ]; then
        why="hey ended with $status"
    elif grep -q 'Error distribution:' "$dir/$1"; then
        why='hey reports errors'
    elif grep -E '^ *\[[0-9]+\]' "$dir/$1" | grep -qv '\[200\]'; then
        why='answers other than 200'
    elif ! grep -q '\[200\]' "$dir/$1"; then
        why='no answer at all'
    else
        return 0
    fi
    cat "$dir/$1"
    echo "FAIL: $why" >&2
    return 1
}

# load REPORT ARGUMENTS OF hey: both.
load() {
    begin "$@"
    end "$1" "$begun"
}

# figure REPORT WHAT: milliseconds: slowest, fastest, or a percentile as hey
# has it ("99%"); and the number of answers.
figure() {
    case $2 in
    slowest) sed -n 's/^ *Slowest:[[:space:]]*\([0-9.]*\) secs.*/\1/p' "$dir/$1" ;;
    fastest) sed -n 's/^ *Fastest:[[:space:]]*\([0-9.]*\) secs.*/\1/p' "$dir/$1" ;;
    # hey 0.1.4 writes "99%%".
    *%) sed -n "s/^ *${2}%* in \([0-9.]*\) secs.*/\1/p" "$dir/$1" ;;
    esac | awk 'NR == 1 { printf "%.0f", 1000 * $1 }'
}

answers() { sed -n 's/^ *\[200\][[:space:]]*\([0-9]*\) responses.*/\1/p' "$dir/$1"; }

# below WHAT MILLISECONDS LIMIT: says whether, and remembers if not.
failed=
below() {
    if [ -n "$2" ] && [ "$2" -lt "$3" ]; then
        echo "$1: $2 ms, below $3: PASS"
    else
        echo "$1: ${2:-nothing} ms, below $3: FAIL"
        failed=1
    fi
}

# Ends with what was remembered.
verdict() {
    if [ -n "$failed" ]; then
        echo FAIL
        exit 1
    fi
    echo PASS
}
