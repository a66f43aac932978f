#!/usr/bin/env bash
# Everything that CI runs, in the order of what fails fastest. Servers and browsers run on loopback and are
# stopped by pid. Prints one line a step and closes with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
failures=()
started=$(date +%s)

step() { # name, command…
    local name=$1 from to
    shift
    from=$(date +%s)
    echo "=== $name" >&2
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        failures+=("$name")
    fi
    to=$(date +%s)
    echo "=== $name: $((to - from)) s" >&2
}

# Clippy compiles as it checks: one pass over the dependencies serves lints, tests and programs.
linted() {
    RUSTC_WORKSPACE_WRAPPER="$(rustup which clippy-driver)" \
        CLIPPY_ARGS="-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__" "$@"
}

bash scripts/setup.sh --browser || exit 1
# They are installed now: a test that would skip without them fails.
export OUTRIDER_NEED_EMULATORS=1
OUTRIDER_LAKE_TOOLS=$(bash scripts/lake-tools.sh) || exit 1
export OUTRIDER_LAKE_TOOLS OUTRIDER_NEED_LAKE_TOOLS=1
# Cases of a public MQTT suite, which are not part of this project. OUTRIDER_NEED_MQTT_SUITE=1 fails without them.
if [ -z "${OUTRIDER_MQTT_SUITE:-}" ] && suite=$(bash scripts/mqtt-suite.sh); then
    export OUTRIDER_MQTT_SUITE=$suite
fi
step "format" cargo fmt --all --check
step "dashboard" bash scripts/web.sh check
step "lint and test" linted cargo test --release --locked --workspace
step "case database on PostgreSQL" linted bash scripts/postgres.sh test
step "edge without std, allocator and panics" bash scripts/no-std.sh
step "dlt-daemon" bash scripts/dlt.sh
step "programs" linted cargo build --release --locked -p outrider -p outrider-agent
step "fuzz targets compile" bash scripts/fuzz.sh check
step "dashboard in a browser" bash scripts/browser.sh
step "demo without a screen" bash scripts/headless.sh
step "kill -9 loop" bash scripts/crash.sh

echo "took $(($(date +%s) - started)) s" >&2
for name in "${failures[@]}"; do echo "failed: $name" >&2; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
