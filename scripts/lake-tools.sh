#!/usr/bin/env bash
# Installs programs of others that the lake's tests use, and prints their folder: an S3-compatible server, and readers of
# tables. They are Python wheels in an environment of their own below target/, and part of nothing that is shipped.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/target/lake-tools
# What the tests were written against.
packages=("moto[server]==5.2.5" "deltalake==1.6.6" "duckdb==2.0.0" "pyarrow==26.0.1")

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
