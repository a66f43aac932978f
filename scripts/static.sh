#!/usr/bin/env bash
# The vehicle program as one file that needs nothing of the system it runs on: built against musl, with SocketCAN. Proves
# that it is static, runs it and says how large it is. Says SKIPPED where the target or a C compiler for it is not to be had.
# STATIC_TARGET=aarch64-unknown-linux-musl builds for another processor, and then only runs it where qemu-user can.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${STATIC_TARGET:-x86_64-unknown-linux-musl}"

skip() {
    echo "SKIPPED: $1" >&2
    exit 0
}
install() { # command, Debian packages
    local command=$1
    shift
    command -v "$command" >/dev/null 2>&1 && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing: $*" >&2
        apt-get update -qq >&2 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 || true
    fi
    command -v "$command" >/dev/null 2>&1 || skip "$command is not installed; run 'sudo apt-get install $*'"
}

rustup target list --installed | grep -qx "$target" || rustup target add "$target" >&2 || skip "rustup has no $target"
# The cryptography and the compression are C and assembler: they need a compiler whose headers are musl's.
case "$target" in
x86_64-*) install musl-gcc musl-tools ;;
aarch64-*)
    # Of the C library these two use only what every one has, so a compiler for glibc does; Rust brings musl and the linker.
    install aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    export CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc CFLAGS_aarch64_unknown_linux_musl="-U_FORTIFY_SOURCE"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
    ;;
*) skip "no C compiler is known for $target" ;;
esac

cargo build --release --locked --target "$target" -p outrider-agent --features outrider-agent/socketcan
agent="${CARGO_TARGET_DIR:-target}/$target/release/outrider-agent"

# Static: no loader is asked for and no library is needed. `ldd` would have to run the program to say so.
command -v readelf >/dev/null 2>&1 || skip "readelf is not installed; run 'sudo apt-get install binutils'"
if readelf --program-headers "$agent" | grep -q INTERP || readelf --dynamic "$agent" | grep -q NEEDED; then
    echo "failed: $agent is not static" >&2
    exit 1
fi
if command -v file >/dev/null 2>&1; then file --brief "$agent" >&2; fi

run=()
case "$target" in
"$(uname -m)"-*) ;;
*)
    command -v "qemu-${target%%-*}" >/dev/null 2>&1 || {
        echo "static: $target, $(stat --format %s "$agent") bytes; not run, qemu-${target%%-*} is not installed"
        exit 0
    }
    run=("qemu-${target%%-*}")
    ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
expect() { # text, command…: the command succeeds and says the text
    local text=$1 said
    shift
    said=$("${run[@]}" "$@") || { echo "failed: $*" >&2; exit 1; }
    case "$said" in
    *"$text"*) ;;
    *) echo "failed: $* said: $said" >&2; exit 1 ;;
    esac
}
expect "outrider-agent " "$agent" --version
expect '"frames":2' "$agent" learn fuzz/corpus/capture_trc/v21.trc --output "$work/model.bin" --json
expect '"frames":5' "$agent" replay --model "$work/model.bin" fuzz/corpus/capture_candump/log.log --json
expect '"allocations":0' "$agent" bench edge --seconds 5 --json
# The file sensor asks the kernel for fanotify, which is root's.
if [ "$(id -u)" = 0 ] && [ "${#run[@]}" = 0 ]; then
    expect '"deletes_reported":5000' "$agent" bench host --files 5000 --folder "$work" --json
fi
echo "static: $target, $(stat --format %s "$agent") bytes"
