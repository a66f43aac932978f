#!/usr/bin/env bash
# kill -9 of server and agent in a loop under load; nothing lost, nothing duplicated.
set -euo pipefail
cd "$(dirname "$0")/.."
outrider="${CARGO_TARGET_DIR:-target}/release/outrider"

result=$("$outrider" crash --seconds "${SECONDS_CRASH:-20}" --json | tail -n 1)
node -e '
const result = JSON.parse(process.argv[1]);
console.error(JSON.stringify(result));
const good = result.lost === 0 && result.duplicated === 0 && result.kills >= 2 && result.events_in > 0;
process.exit(good ? 0 : 1);
' "$result"
