#!/usr/bin/env bash
# Longer proofs than `make test` has time for; figures go to docs/book/measurements.md by hand, with commit and host.
set -euo pipefail
cd "$(dirname "$0")/.."
outrider="${CARGO_TARGET_DIR:-target}/release/outrider"

SECONDS_CRASH=600 bash scripts/crash.sh
SECONDS_DEMO=60 bash scripts/headless.sh
bash scripts/qemu-can.sh
"$outrider" bench spine --json
"$outrider" bench edge --json
