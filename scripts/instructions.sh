#!/usr/bin/env bash
# Processor instructions of the edge for a frame: the same figure on a busy machine and on a quiet one. Installs valgrind as
# root; says SKIPPED where that is not possible. AGENT names a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

# About twice what a frame took when this was written (1,606): the number may move with the compiler and the traffic, but not
# double unnoticed. The budget that counts is the time of a frame.
INSTRUCTIONS_MAX="${INSTRUCTIONS_MAX:-3200}"

if ! command -v valgrind >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing: valgrind" >&2
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind >&2 || true
fi
command -v valgrind >/dev/null 2>&1 || {
    echo "SKIPPED: valgrind is not installed; run 'sudo apt-get install valgrind'" >&2
    exit 0
}
agent=${AGENT:-}
if [ -z "$agent" ]; then
    cargo build --release --locked -p outrider-agent
    agent="${CARGO_TARGET_DIR:-target}/release/outrider-agent"
fi
said=$("$agent" bench edge --instructions --json)
echo "$said"
count=$(printf '%s' "$said" | sed -n 's/.*"instructions_per_frame":\([0-9]*\).*/\1/p')
[ -n "$count" ] || { echo "failed: no instructions were counted" >&2; exit 1; }
[ "$count" -le "$INSTRUCTIONS_MAX" ] || { echo "failed: $count instructions a frame, at most $INSTRUCTIONS_MAX" >&2; exit 1; }
case "$said" in
*'"allocations":0'*) ;;
*) echo "failed: the detectors allocated, or nobody counted" >&2; exit 1 ;;
esac
