#!/bin/sh
# Starts `reveille local` with sleeping targets on free loopback ports, runs a
# script against it, and stops it.
#
#   loadtests/run-local.sh k6/cold_start.js
#   TARGETS=1 loadtests/run-local.sh hey/warm.sh
#
# The script finds BASE_URL, HOST_HEADER and TARGETS in its environment.
# Parameters, by environment: REVEILLE (the binary), TARGETS, WORKERS, K6.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
REVEILLE=${REVEILLE:-$here/../target/release/reveille}
TARGETS=${TARGETS:-1}
WORKERS=${WORKERS:-1}
K6=${K6:-k6}

if [ $# -lt 1 ]; then
    echo "usage: $0 SCRIPT [ARGUMENTS]" >&2
    exit 64
fi
script=$1
shift
[ -e "$script" ] || script=$here/$script
if [ ! -e "$script" ]; then
    echo "no such script: $script" >&2
    exit 66
fi
if [ ! -x "$REVEILLE" ]; then
    echo "no reveille at $REVEILLE: cargo build --release, or set REVEILLE" >&2
    exit 66
fi

dir=$(mktemp -d)
pid=
stop() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
        wait "$pid" || true
    fi
    if [ "$status" -ne 0 ] && [ -s "$dir/log" ]; then
        echo "reveille's log ends:" >&2
        tail -n 20 "$dir/log" >&2
    fi
    rm -rf "$dir"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT TERM

mkdir "$dir/manifests"
n=0
while [ "$n" -lt "$TARGETS" ]; do
    cat >"$dir/manifests/cold-$n.yaml" <<YAML
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: cold-$n}
spec:
  target: {service: cold-$n, port: 80}
  rules: [{hosts: [cold-$n.localhost]}]
  scalingMetric: {concurrency: {targetValue: 100}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: cold-$n}
spec: {command: ["$REVEILLE", hello, --addr, "127.0.0.1:{port}"]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: cold-$n}
spec:
  scaleTargetRef: {name: cold-$n}
  minReplicaCount: 0
  maxReplicaCount: 1
  pollingInterval: 5
  cooldownPeriod: 600
  triggers:
    - type: external-push
      metadata: {scalerAddress: "reveille-scaler.keda:9090", interceptorRoute: cold-$n}
YAML
    n=$((n + 1))
done

"$REVEILLE" local -f "$dir/manifests" --workers "$WORKERS" --log-level warn \
    --proxy-addr 127.0.0.1:0 --grpc-addr 127.0.0.1:0 --admin-addr 127.0.0.1:0 \
    --addresses-file "$dir/addresses.json" >"$dir/log" 2>&1 &
pid=$!

# Ready when it has written where it listens; at most 20 s.
tries=200
proxy=
while [ -z "$proxy" ]; do
    if ! kill -0 "$pid" 2>/dev/null || [ "$tries" -eq 0 ]; then
        echo "reveille did not become ready" >&2
        exit 1
    fi
    tries=$((tries - 1))
    sleep 0.1
    if [ -s "$dir/addresses.json" ]; then
        proxy=$(sed -n 's/.*"proxy" *: *"\([^"]*\)".*/\1/p' "$dir/addresses.json")
    fi
done

BASE_URL=http://$proxy
HOST_HEADER='cold-{n}.localhost'
export BASE_URL HOST_HEADER TARGETS
case $script in
*.js) "$K6" run --quiet --no-usage-report "$@" "$script" ;;
*) "$script" "$@" ;;
esac
