#!/usr/bin/env bash
# The dashboard in a real browser: against canned answers, then against the real server with its demo fleet.
set -euo pipefail
cd "$(dirname "$0")/.."
outrider="${CARGO_TARGET_DIR:-target}/release/outrider"
for name in chromium chromium-browser google-chrome; do
    CHROMIUM="${CHROMIUM:-$(command -v "$name" || true)}"
done
export CHROMIUM
[ -n "$CHROMIUM" ] || { echo "missing: chromium" >&2; exit 1; }

(cd web && npm run --silent e2e)

folder=$(mktemp -d)
"$outrider" demo --folder "$folder/demo" --api-port 0 --ready-file "$folder/ready.json" >"$folder/out" 2>"$folder/err" &
pid=$!
stop() {
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
for _ in $(seq 1 120); do
    [ -s "$folder/ready.json" ] && break
    kill -0 "$pid" 2>/dev/null || { cat "$folder/err" >&2; exit 1; }
    read -r -t 0.5 <> <(:) || true
done
[ -s "$folder/ready.json" ] || { echo "the demo did not become ready in a minute" >&2; tail -n 50 "$folder/err" >&2; exit 1; }
read_ready() { node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"))[process.argv[2]]' "$folder/ready.json" "$1"; }
node web/e2e/live.mjs "$(read_ready api)" "$(read_ready user)" "$(read_ready password)" || { tail -n 50 "$folder/err" >&2; exit 1; }
