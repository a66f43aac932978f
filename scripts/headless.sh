#!/usr/bin/env bash
# The demo without a screen: nothing lost, nothing duplicated, every attack detected, same seed same findings.
set -euo pipefail
cd "$(dirname "$0")/.."
outrider="${CARGO_TARGET_DIR:-target}/release/outrider"

first=$("$outrider" demo --headless --seconds "${SECONDS_DEMO:-20}" --seed 7 --json | tail -n 1)
second=$("$outrider" demo --headless --seconds "${SECONDS_DEMO:-20}" --seed 7 --json | tail -n 1)
node -e '
const [a, b] = process.argv.slice(1).map((text) => JSON.parse(text));
const wrong = [];
if (a.lost !== 0 || a.duplicated !== 0) wrong.push(`lost ${a.lost}, duplicated ${a.duplicated}`);
if (a.events_stored !== a.events_in || a.events_in < 100) wrong.push(`stored ${a.events_stored} of ${a.events_in}`);
if (a.detected_attacks !== a.expected_attacks || a.expected_attacks < 3) wrong.push(`detected ${a.detected_attacks} of ${a.expected_attacks}`);
if (a.findings < 3 || a.findings_digest !== b.findings_digest) wrong.push(`digests ${a.findings_digest} and ${b.findings_digest}`);
console.error(JSON.stringify(a));
if (wrong.length > 0) { console.error("demo: " + wrong.join("; ")); process.exit(1); }
' "$first" "$second"
