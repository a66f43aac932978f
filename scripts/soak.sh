#!/usr/bin/env bash
# Longer proofs than `make test` has time for; figures go to docs/book/measurements.md by hand, with commit and host.
set -euo pipefail
cd "$(dirname "$0")/.."
outrider="${CARGO_TARGET_DIR:-target}/release/outrider"

SECONDS_CRASH=600 bash scripts/crash.sh
SECONDS_DEMO=60 bash scripts/headless.sh
bash scripts/kafka.sh test
bash scripts/static.sh
# The guest runs the static program, if there is one: it has SocketCAN.
static="${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-musl/release/outrider-agent"
AGENT=$([ -x "$static" ] && echo "$static" || true) bash scripts/qemu-can.sh
"$outrider" bench spine --json
"$outrider" bench edge --json
bash scripts/instructions.sh
# Every scenario: full size once, then many seeds small.
for scenario in scenarios/*.toml; do
    "$outrider" sim run "$scenario" --seed 1 --json
    "$outrider" sim run "$scenario" --seed 100 --seeds "${SEEDS:-50}" --scale 10 --json > /dev/null
done
