#!/usr/bin/env bash
# Lists the system calls per warm request (GET 1 KiB, keep-alive), by perf:
# strace would slow the proxy down and so change how much it does per wake-up.
# Needs root, perf, wrk and a release build.
#
#   loadtests/syscalls.sh [CONNECTIONS [SECONDS]]      default: 64 5
#
# Parameters, by environment: REVEILLE, LOADTESTS (the binaries).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}
REVEILLE=${REVEILLE:-$target/release/reveille}
LOADTESTS=${LOADTESTS:-$target/release/loadtests}
connections=${1:-64}
seconds=${2:-5}
for tool in perf wrk; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 69; }
done

dir=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" || true
    done
    rm -rf "$dir"
}
trap stop EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
taskset -c 1 "$LOADTESTS" backend --port "$port" &
pids+=($!)
cat >"$dir/fixed.yaml" <<YAML
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: fixed}
spec:
  target: {service: fixed, port: 80}
  rules: [{hosts: [fixed.localhost]}]
  scalingMetric: {concurrency: {targetValue: 100}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {name: fixed}
spec: {addresses: ["127.0.0.1:$port"]}
YAML
taskset -c 0 "$REVEILLE" local -f "$dir" --workers 1 --log-level warn \
    --proxy-addr 127.0.0.1:0 --grpc-addr 127.0.0.1:0 --admin-addr 127.0.0.1:0 \
    --addresses-file "$dir/addresses" >"$dir/log" 2>&1 &
reveille=$!
pids+=("$reveille")
for _ in $(seq 100); do
    [ -s "$dir/addresses" ] && break
    sleep 0.1
done
proxy=$(sed -n 's/.*"proxy" *: *"\([^"]*\)".*/\1/p' "$dir/addresses")
[ -n "$proxy" ] || { cat "$dir/log" >&2; exit 1; }

load() { taskset -c 1 wrk -t1 "-c$connections" "-d$1s" -H "Host: fixed.localhost" "http://$proxy/"; }
load 1 >/dev/null # connections and caches become warm
perf stat -x, -e 'syscalls:sys_enter_*' -p "$reveille" -o "$dir/perf" &
perf=$!
sleep 1 # perf opens some hundred events
load "$seconds" >"$dir/wrk"
kill -INT "$perf"
wait "$perf" || true

requests=$(sed -n 's/ *\([0-9]*\) requests in.*/\1/p' "$dir/wrk")
echo "$requests requests over $connections connections"
echo "| system call | per request |"
echo "|---|---|"
# Less than one in ten thousand requests is housekeeping.
awk -F, -v n="$requests" '
    $3 ~ /^syscalls:sys_enter_/ && $1 / n >= 0.0001 {
        sub(/^syscalls:sys_enter_/, "", $3); printf "%.4f %s\n", $1 / n, $3
    }' "$dir/perf" | sort -rn |
    awk '{ sum += $1; printf "| %s | %.3f |\n", $2, $1 } END { printf "| all | %.2f |\n", sum }'
