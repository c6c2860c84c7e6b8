#!/bin/sh
# Is everybody served who comes at the same moment to a target that sleeps?
#
# REQUESTS requests at once, each on a connection of its own. Fails on any error
# or answer other than 200, when one is missing, and when the slowest, which
# waited for the start, is not below SLOWEST_MS.
set -eu
. "$(dirname "$0")/lib.sh"
whole REQUESTS 200 1 10000
whole SLOWEST_MS 10000 1 600000
ready

load report -n "$REQUESTS" -c "$REQUESTS"
cat "$dir/report"
if [ "$(answers report)" -ne "$REQUESTS" ]; then
    echo "$(answers report) of $REQUESTS answered: FAIL"
    failed=1
fi
below slowest "$(figure report slowest)" "$SLOWEST_MS"
verdict
