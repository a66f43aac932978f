#!/usr/bin/env bash
# A real PostgreSQL for tests: own data, loopback, a free port, stopped by its pid. Needs the package `postgresql`.
#
#   postgres.sh test [ARGUMENTS]          start a server, run the tests of the outrider server with it, stop it
#   postgres.sh start FOLDER [durable]    start; FOLDER/url is its address; without `durable` it forgoes fsync
#   postgres.sh crash FOLDER              kill -9 of all its processes
#   postgres.sh restart FOLDER            start it again, after a crash
#   postgres.sh stop FOLDER               stop it
#
# FOLDER/tls/ca.pem: CA of the server's certificate for 127.0.0.1; FOLDER/tls/other.pem: another CA.
set -euo pipefail
cd "$(dirname "$0")/.."

programs() {
    local folder
    for folder in /usr/lib/postgresql/*/bin "$(pg_config --bindir 2>/dev/null || true)"; do
        [ -x "$folder/initdb" ] && found=$folder
    done
    [ -n "${found:-}" ] || { echo "no PostgreSQL; run scripts/setup.sh --postgres" >&2; return 1; }
    echo "$found"
}

# The server refuses to run as root.
as_server() {
    if [ "$(id -u)" != 0 ]; then
        "$@"
    elif id postgres >/dev/null 2>&1; then
        runuser -u postgres -- "$@"
    else
        runuser -u nobody -- "$@"
    fi
}

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below 32768, where Linux begins to hand out ports to outgoing connections: it must be free after a crash.
free_port() {
    local port
    for _ in $(seq 50); do
        port=$((20000 + RANDOM % 12000))
        is_free "$port" && { echo "$port"; return; }
    done
    echo "no free port on loopback" >&2
    return 1
}

certificates() { # folder
    mkdir -p "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=postgres-test-ca \
        -keyout "$1/ca.key" -out "$1/ca.pem" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -keyout "$1/server.key" -out "$1/server.csr" 2>/dev/null
    openssl x509 -req -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -days 2 -out "$1/server.pem" \
        -extfile <(printf 'subjectAltName=IP:127.0.0.1') 2>/dev/null
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=another-ca \
        -keyout "$1/other.key" -out "$1/other.pem" 2>/dev/null
}

launch() { # folder
    local bin
    bin=$(programs)
    if ! as_server "$bin/pg_ctl" -D "$1/server/data" -l "$1/server/log" -w -t 60 start >"$1/server/started"; then
        tail -20 "$1/server/log" >&2
        return 1
    fi
}

start() { # folder, durable
    local bin folder port password name
    bin=$(programs)
    mkdir -p "$1"
    folder=$(realpath "$1")
    chmod 711 "$folder"
    port=$(free_port)
    password=$(openssl rand -hex 16)
    mkdir -p "$folder/server"
    certificates "$folder/tls"
    (umask 077 && echo "$password" >"$folder/server/password")
    cp "$folder/tls/server.pem" "$folder/tls/server.key" "$folder/server/"
    chmod 600 "$folder/server/server.key"
    if [ "$(id -u)" = 0 ]; then
        name=$(id -un postgres 2>/dev/null || echo nobody)
        chown -R "$name" "$folder/server"
    fi
    as_server "$bin/initdb" -D "$folder/server/data" -U outrider --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --pwfile="$folder/server/password" --no-sync >/dev/null
    as_server tee -a "$folder/server/data/postgresql.conf" >/dev/null <<SETTINGS
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 200
shared_buffers = 32MB
ssl = on
ssl_cert_file = '$folder/server/server.pem'
ssl_key_file = '$folder/server/server.key'
$([ "${2:-}" = durable ] || printf 'fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n')
SETTINGS
    launch "$folder"
    (umask 077 && echo "postgres://outrider:$password@127.0.0.1:$port/postgres" >"$folder/url")
    cat "$folder/url"
}

crash() { # folder
    local pid
    pid=$(head -1 "$1/server/data/postmaster.pid")
    # Its processes end with it, but only after what they are at: all of them at once is what a power cut does.
    # shellcheck disable=SC2046  # a list of pids
    kill -9 "$pid" $(cat "/proc/$pid/task/$pid/children") 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

stop() { # folder
    [ -f "$1/server/data/postmaster.pid" ] || return 0
    as_server "$(programs)/pg_ctl" -D "$1/server/data" -m immediate -w stop >/dev/null || true
}

case "${1:-}" in
start) start "$2" "${3:-}" ;;
restart) launch "$(realpath "$2")" ;;
crash) crash "$(realpath "$2")" ;;
stop) stop "$(realpath "$2")" ;;
test)
    bash scripts/setup.sh --postgres
    folder=$(mktemp -d)
    trap 'stop "$folder"; rm -rf "$folder"' EXIT
    start "$folder" >/dev/null
    OUTRIDER_POSTGRES="$folder" OUTRIDER_POSTGRES_SCRIPT="$(realpath scripts/postgres.sh)" OUTRIDER_NEED_POSTGRES=1 \
        cargo test --locked ${POSTGRES_PROFILE---release} --workspace --test server -- "${@:2}"
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
