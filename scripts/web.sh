#!/usr/bin/env bash
# Builds or checks the dashboard. `build` is quick when nothing changed since the last build.
set -euo pipefail
cd "$(dirname "$0")/../web"

install() {
    # npm leaves this file behind; it is as new as the installation.
    if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
        npm ci --no-audit --no-fund --loglevel=error
    fi
}

case "${1:-build}" in
build)
    if [ -f dist/index.html ] && [ -z "$(find src index.html package-lock.json vite.config.ts -newer dist/index.html 2>/dev/null | head -1)" ]; then
        exit 0
    fi
    install
    npm run --silent build
    ;;
check)
    install
    npm run --silent check
    npm run --silent test
    npm run --silent build
    npm run --silent size
    ;;
*)
    echo "usage: scripts/web.sh build|check" >&2
    exit 2
    ;;
esac
