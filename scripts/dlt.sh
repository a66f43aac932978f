#!/usr/bin/env bash
# The log reader against a real dlt-daemon. Installs the daemon as root; says SKIPPED where that is not possible.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v dlt-daemon >/dev/null 2>&1 || ! command -v dlt-adaptor-stdin >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing: dlt-daemon dlt-tools" >&2
        apt-get update -qq >&2 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends dlt-daemon dlt-tools >&2 || true
    fi
fi
if ! command -v dlt-daemon >/dev/null 2>&1 || ! command -v dlt-adaptor-stdin >/dev/null 2>&1; then
    echo "SKIPPED: dlt-daemon is not installed; run 'sudo apt-get install dlt-daemon dlt-tools'" >&2
    exit 0
fi
RUSTC_WORKSPACE_WRAPPER="$(rustup which clippy-driver)" \
    CLIPPY_ARGS="-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__" \
    cargo test --release --locked -p outrider-host --test dlt -- --nocapture
