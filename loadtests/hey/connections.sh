#!/bin/sh
# Do many connections at once get their share?
#
# CONNECTIONS connections stay open for DURATION_SECONDS, each with RATE
# requests per second. Fails on any error or answer other than 200, and when p99
# is not below P99_MS. It takes twice as many open files.
set -eu
. "$(dirname "$0")/lib.sh"
whole CONNECTIONS 1000 1 50000
whole RATE 1 1 1000
whole DURATION_SECONDS 10 1 86400
whole WARM_UP 10 1 100000
whole P99_MS 1000 1 600000
ready
ulimit -n "$(ulimit -H -n)"

load warm-up -n "$WARM_UP" -c 1
load report -z "${DURATION_SECONDS}s" -c "$CONNECTIONS" -q "$RATE"
cat "$dir/report"
below p99 "$(figure report 99%)" "$P99_MS"
verdict
