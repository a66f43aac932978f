#!/usr/bin/env bash
# Links the edge's crates into a program without `std` and allocator whose panic handler does not exist: a proof that no
# panic can be reached. `--locked` as everywhere; a workspace of its own, because its profile differs.
set -euo pipefail
cd "$(dirname "$0")/../tools/no-std"
cargo build --release --locked
