#!/usr/bin/env bash
# Installs Tenzir, the program of others that `outrider bench ingest` measures beside, and prints its folder. It is a Python
# wheel with the engine in it, in an environment of its own below target/ (about 1.1 GB), and part of nothing that is shipped.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/target/tenzir
# What the pipelines of the bench were written against.
packages=("tenzir==6.20.0")

if [ "$(cat "$folder/installed" 2>/dev/null)" != "${packages[*]}" ]; then
    command -v python3 >/dev/null 2>&1 || {
        echo "python3 is missing" >&2
        exit 1
    }
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
    echo "${packages[*]}" >"$folder/installed"
fi
echo "$folder"
