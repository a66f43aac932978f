#!/usr/bin/env bash
# Fuzz targets. `check` compiles them where a nightly toolchain is there and says so where it is not; their
# corpora run in the ordinary tests in either case.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

if ! rustup run nightly cargo --version >/dev/null 2>&1; then
    echo "SKIPPED: no nightly toolchain; the corpora ran as ordinary tests" >&2
    exit 0
fi
case "${1:-run}" in
check)
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../target}/fuzz" rustup run nightly cargo check --quiet --bins
    ;;
run)
    cargo fuzz --version >/dev/null 2>&1 || { echo "missing: cargo-fuzz (cargo install cargo-fuzz)" >&2; exit 1; }
    for target in $(rustup run nightly cargo fuzz list); do
        rustup run nightly cargo fuzz run "$target" -- -max_total_time="${SECONDS_FUZZ:-60}"
    done
    ;;
esac
