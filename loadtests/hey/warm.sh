#!/bin/sh
# How fast is an awake target, at a quick look? (`loadtests compare` is the
# laboratory.)
#
# WARM_UP requests wake it; then CONNECTIONS connections send for
# DURATION_SECONDS what they can. Fails on any error or answer other than 200,
# and when p95 is not below P95_MS.
set -eu
. "$(dirname "$0")/lib.sh"
whole CONNECTIONS 64 1 10000
whole DURATION_SECONDS 10 1 86400
whole WARM_UP 10 1 100000
whole P95_MS 500 1 600000
ready

load warm-up -n "$WARM_UP" -c 1
load report -z "${DURATION_SECONDS}s" -c "$CONNECTIONS"
cat "$dir/report"
below p95 "$(figure report 95%)" "$P95_MS"
verdict
