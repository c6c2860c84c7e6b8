#!/bin/sh
# Do slow bodies stay whole, and do they leave others alone?
#
# CONNECTIONS connections get answers whose bodies take BODY_MS
# (SLOW_PATH/BODY_MS), and as many upload UPLOAD_BYTES, while 8 others send
# plain requests for DURATION_SECONDS. Fails on any error or answer other than
# 200, when a slow body ends too early, and when p95 of the plain ones is not
# below P95_MS.
set -eu
. "$(dirname "$0")/lib.sh"
whole CONNECTIONS 50 1 10000
whole DURATION_SECONDS 10 1 86400
whole BODY_MS 2000 100 60000
whole UPLOAD_BYTES 1000000 1 100000000
whole WARM_UP 10 1 100000
whole P95_MS 500 1 600000
fitting SLOW_PATH /drip '/[^[:space:]#]*' 'a path that begins with "/"'
ready
plain_path=$REQUEST_PATH
time=${DURATION_SECONDS}s

load warm-up -n "$WARM_UP" -c 1
head -c "$UPLOAD_BYTES" /dev/zero >"$dir/body"

# hey waits for answers that are under way when its time is over.
REQUEST_PATH=$SLOW_PATH/$BODY_MS
begin slow -z "$time" -c "$CONNECTIONS"
slow=$begun
REQUEST_PATH=$plain_path
METHOD=POST
begin uploads -z "$time" -c "$CONNECTIONS" -q 2 -D "$dir/body"
uploads=$begun
METHOD=GET
load plain -z "$time" -c 8
end slow "$slow"
end uploads "$uploads"

for one in slow uploads plain; do
    echo "== $one"
    cat "$dir/$one"
done
fastest=$(figure slow fastest)
if [ "${fastest:-0}" -lt $((BODY_MS * 9 / 10)) ]; then
    echo "the fastest slow body took $fastest ms, not $BODY_MS: FAIL"
    failed=1
fi
below 'p95 of plain requests' "$(figure plain 95%)" "$P95_MS"
verdict
