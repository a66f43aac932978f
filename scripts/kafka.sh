#!/usr/bin/env bash
# A real Apache Kafka for tests: its jars by Maven, KRaft, three brokers on loopback, each stopped by its pid.
#
#   kafka.sh test                     start three brokers, run the tests of the event log against them, stop them
#   kafka.sh start FOLDER [BROKERS]   start; prints the addresses; pids, settings and logs are below FOLDER
#   kafka.sh restart FOLDER BROKER    start a broker that was killed
#   kafka.sh stop FOLDER              stop all that still run
#
# FOLDER/addresses: host:port of every broker. FOLDER/addresses.tls: the same brokers with TLS and SCRAM-SHA-512, user
# and password in FOLDER/user and FOLDER/password, the brokers' CA in FOLDER/tls/ca.pem.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.1.0
jars="${OUTRIDER_KAFKA_JARS:-${CARGO_TARGET_DIR:-target}/kafka-$version}"
# Names that only the tests know; the brokers listen on loopback.
cluster=MkU3OEVBNTcwNTJENDM2Qg

fetch() {
    [ -f "$jars/complete-2" ] && return
    mkdir -p "$jars"
    cat >"$jars/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>outrider</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency></dependencies></project>
POM
    mvn -q -B -f "$jars/pom.xml" dependency:copy-dependencies -DoutputDirectory="$(realpath "$jars")/lib" >&2
    touch "$jars/complete-2"
}

# Errors go to the broker's `out`, by log4j's default settings. Little memory and a quick start matter more here than throughput.
kafka() { # class, arguments…
    exec java -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true -cp "$jars/lib/*" "$@"
}

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below 32768, where Linux begins to hand out ports to outgoing connections: the port of a killed broker must not go to a
# client before the broker is back.
free_base() { # ports that are wanted in a row
    local base port
    for _ in $(seq 50); do
        base=$((20000 + RANDOM % 12000))
        for port in $(seq "$base" $((base + $1 - 1))); do is_free "$port" || continue 2; done
        echo "$base"
        return
    done
    echo "no free ports on loopback" >&2
    return 1
}

# A CA of its own and one certificate for 127.0.0.1, for the time of the test.
certificates() { # folder
    mkdir -p "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=kafka-test-ca \
        -keyout "$1/ca.key" -out "$1/ca.pem" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -keyout "$1/broker.key" -out "$1/broker.csr" 2>/dev/null
    openssl x509 -req -in "$1/broker.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -days 2 -out "$1/broker.crt" \
        -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost') 2>/dev/null
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=another-ca \
        -keyout "$1/other.key" -out "$1/other.pem" 2>/dev/null
    cat "$1/broker.key" "$1/broker.crt" >"$1/broker.pem"
}

settings() { # folder, broker, brokers, base port
    local folder=$1 node=$2 count=$3 base=$4 voters="" other
    for other in $(seq "$count"); do voters+="${voters:+,}$other@127.0.0.1:$((base + 100 + other))"; done
    cat <<SETTINGS
process.roles=broker,controller
node.id=$node
listeners=PLAINTEXT://127.0.0.1:$((base + node)),SASL_SSL://127.0.0.1:$((base + 50 + node)),CONTROLLER://127.0.0.1:$((base + 100 + node))
advertised.listeners=PLAINTEXT://127.0.0.1:$((base + node)),SASL_SSL://127.0.0.1:$((base + 50 + node))
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
controller.quorum.voters=$voters
log.dirs=$folder/$node/records
num.partitions=1
default.replication.factor=$count
min.insync.replicas=$((count > 2 ? 2 : 1))
offsets.topic.replication.factor=$count
offsets.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
unclean.leader.election.enable=false
broker.session.timeout.ms=6000
log.retention.check.interval.ms=1000
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$folder/tls/broker.pem
SETTINGS
}

launch() { # folder, broker
    local folder=$1 node=$2
    (kafka kafka.Kafka "$folder/$node/server.properties" >>"$folder/$node/out" 2>&1 </dev/null &
        echo $! >"$folder/$node/pid")
}

await() { # folder, broker
    local port deadline=$((SECONDS + 120))
    port=$(sed -n 's/^advertised.listeners=PLAINTEXT:..127.0.0.1:\([0-9]*\),.*/\1/p' "$1/$2/server.properties")
    while is_free "$port"; do
        if [ $SECONDS -gt $deadline ] || ! kill -0 "$(cat "$1/$2/pid")" 2>/dev/null; then
            tail -40 "$1/$2/out" >&2
            echo "broker $2 does not come up on port $port" >&2
            return 1
        fi
        sleep 0.2
    done
}

start() { # folder, brokers
    local folder count=${2:-3} base node password
    mkdir -p "$1"
    folder=$(realpath "$1")
    fetch
    base=$(free_base 160)
    certificates "$folder/tls"
    password=$(openssl rand -hex 16)
    (umask 077 && echo "$password" >"$folder/password" && echo outrider >"$folder/user")
    : >"$folder/addresses"
    : >"$folder/addresses.tls"
    for node in $(seq "$count"); do
        mkdir -p "$folder/$node"
        settings "$folder" "$node" "$count" "$base" >"$folder/$node/server.properties"
        (kafka kafka.tools.StorageTool format -t $cluster -c "$folder/$node/server.properties" \
            --add-scram "SCRAM-SHA-512=[name=outrider,password=$password]" >"$folder/$node/out" 2>&1) ||
            { cat "$folder/$node/out" >&2; return 1; }
        launch "$folder" "$node"
        echo "127.0.0.1:$((base + node))" >>"$folder/addresses"
        echo "127.0.0.1:$((base + 50 + node))" >>"$folder/addresses.tls"
    done
    for node in $(seq "$count"); do await "$folder" "$node"; done
    paste -sd, "$folder/addresses"
}

stop() { # folder
    local file pid
    for file in "$1"/*/pid; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        kill -9 "$pid" 2>/dev/null || true
        rm -f "$file"
    done
}

case "${1:-}" in
fetch) fetch ;;
start) start "$2" "${3:-3}" ;;
restart) launch "$(realpath "$2")" "$3" && await "$(realpath "$2")" "$3" ;;
stop) stop "$2" ;;
test)
    bash scripts/setup.sh --kafka
    folder=$(mktemp -d)
    trap 'stop "$folder"; rm -rf "$folder"' EXIT
    start "$folder" 3 >&2
    OUTRIDER_KAFKA="$folder" OUTRIDER_KAFKA_SCRIPT="$(realpath scripts/kafka.sh)" OUTRIDER_KAFKA_JARS="$(realpath "$jars")" \
        cargo test --locked ${KAFKA_PROFILE---release} -p outrider-log --features kafka -- --nocapture "${@:2}"
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
