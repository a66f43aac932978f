#!/usr/bin/env bash
# All roles as processes of their own on this machine: three Kafka brokers, an S3-compatible server, PostgreSQL, two edges,
# three workers, two correlators and an API, all but the S3 server killed in a loop under load and compared with one process.
# (The S3 server of the tests keeps its objects in memory: killed, it would forget them.)
#
#   cluster.sh PROGRAM [ARGUMENTS]    PROGRAM is built with the feature `kafka`; ARGUMENTS are those of `outrider cluster`
set -euo pipefail
cd "$(dirname "$0")/.."

program=$(realpath "$1")
bash scripts/setup.sh --kafka
bash scripts/setup.sh --postgres
tools=$(bash scripts/lake-tools.sh)
# The shared memory of PostgreSQL's user must be able to reach it.
folder=$(mktemp -d)
chmod 711 "$folder"
store=""
finish() {
    [ -z "$store" ] || kill "$store" 2>/dev/null || true
    bash scripts/kafka.sh stop "$folder/kafka" || true
    bash scripts/postgres.sh stop "$folder/postgres" || true
    if [ "${CLUSTER_KEEP:-}" ]; then echo "kept: $folder" >&2; else rm -rf "$folder"; fi
}
trap finish EXIT

bash scripts/kafka.sh start "$folder/kafka" 3 >&2
bash scripts/postgres.sh start "$folder/postgres" durable >&2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$tools/bin/moto_server" -H 127.0.0.1 -p "$port" >"$folder/s3.log" 2>&1 &
store=$!
for _ in $(seq 300); do
    if curl -sf -X PUT "http://127.0.0.1:$port/fleet" >/dev/null 2>&1; then made=1 && break; fi
    sleep 0.1
done
[ "${made:-}" ] || { cat "$folder/s3.log" >&2; echo "the object store does not come up" >&2; exit 1; }
# The store asks for a key and takes any.
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
"$program" cluster --folder "$folder/cluster" --cases-url-file "$folder/postgres/url" --event-log kafka \
    --kafka-brokers "$(paste -sd, "$folder/kafka/addresses")" --kill-brokers "$folder/kafka" --kill-database "$folder/postgres" \
    --lake-url s3://fleet/lake --s3-endpoint "http://127.0.0.1:$port" --s3-region us-east-1 "${@:2}"
