#!/usr/bin/env bash
# Installs what the build and the tests need, or says exactly what is missing. Nothing is downloaded from
# anywhere but the package registries of the system, of cargo and of npm.
set -euo pipefail

missing=()
packages=()
need() { # command, Debian package
    command -v "$1" >/dev/null 2>&1 || packages+=("$2")
}

command -v cargo >/dev/null 2>&1 || missing+=("cargo: install Rust with rustup, version 1.95 or later")
if command -v node >/dev/null 2>&1; then
    node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>22||(a===22&&b>=12)||(a===20&&b>=19)?0:1)' ||
        missing+=("node $(node --version): version 20.19, 22.12 or later is needed")
else
    missing+=("node: install Node.js 20.19, 22.12 or later")
fi
command -v npm >/dev/null 2>&1 || missing+=("npm: comes with Node.js")
if command -v cargo >/dev/null 2>&1; then
    for component in clippy rustfmt; do
        cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component" >/dev/null 2>&1 ||
            missing+=("$component: run 'rustup component add $component'")
    done
fi
need cc build-essential
need git git
case "${1:-}" in
--test | --browser)
    # Its clients and its broker are peers of the MQTT tests. Debian starts the broker as a service on loopback; the
    # tests start their own and stop it by pid.
    [ -x /usr/sbin/mosquitto ] || packages+=(mosquitto)
    need mosquitto_pub mosquitto-clients
    ;;
esac
if [ "${1:-}" = "--kafka" ]; then
    # Apache Kafka runs on Java and comes by Maven; its C client is built with make and linked with OpenSSL.
    need java openjdk-17-jre-headless
    need mvn maven
    need openssl openssl
    need make make
    need pkg-config pkg-config
    [ -f /usr/include/openssl/ssl.h ] || packages+=(libssl-dev)
fi
case "${1:-}" in
--test | --browser | --postgres)
    # Debian starts a server as a service on loopback; the tests start their own with its programs and stop it by pid.
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
    need openssl openssl
    ;;
esac
if [ "${1:-}" = "--browser" ]; then
    # Emulators of TPM and token, for the tests of keys and anchors.
    need swtpm swtpm
    need softhsm2-util softhsm2
    # An S3-compatible server and readers of tables come as Python wheels: see lake-tools.sh.
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
        command -v google-chrome >/dev/null 2>&1 || packages+=(chromium fonts-dejavu-core)
fi

if [ "${#packages[@]}" -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing: ${packages[*]}" >&2
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
    else
        missing+=("packages: run 'sudo apt-get install --no-install-recommends ${packages[*]}'")
    fi
fi

if [ "${#missing[@]}" -gt 0 ]; then
    printf 'missing: %s\n' "${missing[@]}" >&2
    exit 1
fi
