//! Debian's mosquitto: its clients against our listener, and its broker as our front. Skipped loudly where it is absent.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use outrider_server::vehicle::TlsFiles;
use outrider_server::vehicle::broker::BrokerConfig;
use tokio::process::{Child, Command};

use crate::harness::{Running, SeededRandom, TestVehicle, running, running_with};
use crate::uplink::acknowledged;

const SERVER: &str = "/usr/sbin/mosquitto";
const PUB: &str = "/usr/bin/mosquitto_pub";
const SUB: &str = "/usr/bin/mosquitto_sub";

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn is_installed() -> bool {
    let missing = [SERVER, PUB, SUB].into_iter().find(|path| !Path::new(path).exists());
    if let Some(path) = missing {
        eprintln!("SKIPPED: {path} is missing; `bash scripts/setup.sh --test` installs it");
    }
    missing.is_none()
}

/// Files of a TLS party in a folder that every user may read, for tests only.
fn write(folder: &Path, name: &str, files: &TlsFiles) -> [PathBuf; 3] {
    let texts = [("ca", &files.ca), ("cert", &files.certificate), ("key", &files.key)];
    texts.map(|(kind, text)| {
        let path = folder.join(format!("{name}-{kind}.pem"));
        std::fs::write(&path, text).expect("it writes");
        path
    })
}

/// A client command that connects to an address with a vehicle's certificate.
fn client(
    program: &str,
    address: SocketAddr,
    vehicle: &TestVehicle,
    files: &[PathBuf; 3],
    version: &str,
) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "localhost", "-p", &address.port().to_string(), "-V", version, "-q", "1"]);
    command.args(["-i", &vehicle.id.to_string(), "--tls-version", "tlsv1.3", "--tls-alpn", "mqtt"]);
    command.arg("--cafile").arg(&files[0]).arg("--cert").arg(&files[1]).arg("--key").arg(&files[2]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn files_of(running: &Running, vehicle: &TestVehicle) -> [PathBuf; 3] {
    let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate is issued");
    write(running.folder.path(), &vehicle.id.to_string(), &files)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_clients_publish_frames_and_get_replies() {
    if !is_installed() {
        return;
    }
    for version in ["mqttv311", "mqttv5"] {
        let running = running().await;
        let vehicle = running.vehicle(1).await;
        let files = files_of(&running, &vehicle);
        let frame = running.folder.path().join("frame");
        std::fs::write(&frame, vehicle.batch(1..=3)).expect("it writes");
        let mut command =
            client(PUB, running.server.mqtt_addr.expect("it takes frames"), &vehicle, &files, version);
        let output = command.args(["-t", "v1/up", "-f"]).arg(&frame).output().await.expect("it runs");
        assert!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stderr));
        // mosquitto_pub ends when its PUBACK came: the frame is durable.
        running.settle().await;
        assert_eq!(running.world.lake.ids().len(), 3, "{version}");
        // One that is only subscribed gets the command that begins to wait meanwhile.
        let mut command =
            client(SUB, running.server.mqtt_addr.expect("it takes frames"), &vehicle, &files, version);
        let listening =
            command.args(["-t", "v1/down", "-C", "1", "-N", "-W", "20"]).spawn().expect("it runs");
        let links = running.server.app().exchange.links();
        for _ in 0..500 {
            if links.status().packets.contains_key("subscribe") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        crate::uplink::request_evidence(&running, &vehicle, 2).await;
        let output = listening.wait_with_output().await.expect("it runs");
        assert!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stderr));
        let reply = outrider_wire::Reply::parse(&output.stdout).expect("a reply");
        assert_eq!((reply.ack.len(), reply.commands().count()), (0, 1), "{version}");
        running.server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_clients_are_told_what_is_refused() {
    if !is_installed() {
        return;
    }
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let files = files_of(&running, &vehicle);
    let address = running.server.mqtt_addr.expect("it takes frames");
    let cases: [(&str, &[&str]); 2] = [
        ("a will", &["-t", "v1/up", "-m", "x", "--will-topic", "v1/up", "--will-payload", "x"]),
        ("another client id", &["-t", "v1/up", "-m", "x", "-i", "somebody"]),
    ];
    for (name, arguments) in cases {
        let output =
            client(PUB, address, &vehicle, &files, "mqttv5").args(arguments).output().await.expect("it runs");
        assert!(!output.status.success(), "{name} went through: {output:?}");
    }
    let mut bare = Command::new(PUB);
    bare.args(["-h", "localhost", "-p", &address.port().to_string(), "-t", "v1/up", "-m", "x", "-q", "1"]);
    let output = bare.arg("--cafile").arg(&files[0]).output().await.expect("it runs");
    assert!(!output.status.success(), "without a certificate");
    assert_eq!(running.server.app().exchange.frames().received(), 0);
    // QoS 2 and retained messages were announced as not possible: the client says so, or sends without the flag; that
    // frame is refused for what it is.
    let options: [(&[&str], &str); 2] = [(&["-q", "2"], "QoS not supported"), (&["-r"], "Publish 1 failed")];
    for (option, message) in options {
        let mut command = client(PUB, address, &vehicle, &files, "mqttv5");
        let output = command.args(["-t", "v1/up", "-m", "x"]).args(option).output().await.expect("it runs");
        assert!(String::from_utf8_lossy(&output.stderr).contains(message), "{output:?}");
    }
    assert_eq!(running.server.app().exchange.frames().dropped().get("frame.unknown"), Some(&1));
    running.server.shutdown().await;
}

/// A broker on loopback; ends with this value.
struct Broker {
    port: u16,
    _process: Child,
}

/// Starts a broker with or without TLS. Its files are readable by the user that Debian's broker changes to.
async fn broker(folder: &Path, tls: Option<&TlsFiles>) -> Broker {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let mut config =
        format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n");
    if let Some(files) = tls {
        let [ca, cert, key] = write(folder, "broker", files);
        config.push_str(&format!("cafile {}\ncertfile {}\n", ca.display(), cert.display()));
        config.push_str(&format!("keyfile {}\nrequire_certificate true\n", key.display()));
    }
    let path = folder.join("mosquitto.conf");
    std::fs::write(&path, config).expect("it writes");
    let process = Command::new(SERVER).arg("-c").arg(&path).stderr(Stdio::null()).kill_on_drop(true).spawn();
    let process = process.expect("it runs");
    for _ in 0..400 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Broker { port, _process: process };
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the broker does not listen");
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_front_it_brings_frames_whose_signature_names_their_vehicle() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let front = broker(folder.path(), None).await;
    let url = format!("mqtt://127.0.0.1:{}", front.port).parse().expect("an address");
    let running = running_with(|config| config.broker = Some(BrokerConfig { url, tls: None })).await;
    let (vehicle, other) = (running.vehicle(1).await, running.vehicle(2).await);
    let (up, down) = (format!("v1/{}/up", vehicle.id), format!("v1/{}/down", vehicle.id));
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(["-h", "127.0.0.1", "-p", &front.port.to_string(), "-V", "mqttv5", "-q", "1"])
            .args(arguments);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        command
    };
    let file = |name: &str, bytes: Vec<u8>| {
        let path = running.folder.path().join(name);
        std::fs::write(&path, bytes).expect("it writes");
        path.to_string_lossy().into_owned()
    };
    let links = running.server.app().exchange.links().clone();
    // The subscription is there when a frame comes through; until then the broker drops what nobody wants.
    let refused = file("refused", b"ORTS and no signature".to_vec());
    for _ in 0..200 {
        assert!(command(PUB, &["-t", &up, "-f", &refused]).status().await.expect("it runs").success());
        if links.status().broker_frames > Some(0) {
            break;
        }
    }
    assert_eq!(links.status().refusals.get("broker.frame").copied(), links.status().broker_frames);
    // A true frame, and the reply.
    let listening = command(SUB, &["-t", &down, "-C", "1", "-N", "-W", "20"]).spawn().expect("it runs");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let good = file("good", vehicle.batch(1..=3));
    assert!(command(PUB, &["-t", &up, "-f", &good]).status().await.expect("it runs").success());
    let output = listening.wait_with_output().await.expect("it runs");
    assert_eq!(acknowledged(&running, &vehicle, &output.stdout), 3);
    running.settle().await;
    assert_eq!(running.world.lake.ids().len(), 3);
    // Another vehicle's frame under this vehicle's topic, and a topic without a vehicle.
    let stolen = file("stolen", other.batch(1..=2));
    assert!(command(PUB, &["-t", &up, "-f", &stolen]).status().await.expect("it runs").success());
    assert!(command(PUB, &["-t", "v1/somebody/up", "-f", &good]).status().await.expect("it runs").success());
    until("both are refused", || {
        let refusals = links.status().refusals;
        refusals.contains_key("batch.wrong_vehicle") && refusals.contains_key("broker.topic")
    })
    .await;
    assert_eq!(running.world.lake.ids().len(), 3);
    // Messages that we cannot read are acknowledged and counted: what comes after them is taken by the same session.
    let long = "x".repeat(2000);
    let far = format!("v1/{}/up", &long[..300]);
    let property = ["-t", &up, "-D", "publish", "user-property", "name", &long, "-f", &good];
    for unfit in [&["-t", &far, "-f", &good][..], &property] {
        assert!(command(PUB, unfit).status().await.expect("it runs").success());
    }
    let more = file("more", vehicle.batch(4..=5));
    assert!(command(PUB, &["-t", &up, "-f", &more]).status().await.expect("it runs").success());
    until("the frame after them is in the lake", || running.world.lake.ids().len() == 5).await;
    let refusals = links.status().refusals;
    assert_eq!((refusals.get("packet.too_large"), refusals.get("broker.lost")), (Some(&2), None));
    running.server.shutdown().await;
}

/// The machine's clock.
struct Today;

impl outrider_types::Clock for Today {
    fn now(&self) -> outrider_types::UnixMicros {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = since.expect("after 1970").as_micros();
        outrider_types::UnixMicros(i64::try_from(micros).expect("before the year 294,000"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_the_broker_is_tls_with_a_certificate_and_comes_back_after_a_loss() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secrets = tempfile::tempdir().expect("a temporary folder");
    // Mosquitto judges certificates by the machine's clock.
    let random = SeededRandom(std::sync::Mutex::new(outrider_types::Seed::new(8)));
    let ca = outrider_server::vehicle::VehicleCa::open(secrets.path(), Arc::new(Today), Arc::new(random));
    let ca = ca.expect("it is created");
    let front = broker(folder.path(), Some(&ca.issue_listener(&[]).expect("it is issued"))).await;
    let url = format!("mqtts://localhost:{}", front.port).parse().expect("an address");
    let ours = ca.issue_vehicle(outrider_types::VehicleId([0xee; 16])).expect("it is issued");
    let running =
        running_with(|config| config.broker = Some(BrokerConfig { url, tls: Some(ours.clone()) })).await;
    let vehicle = running.vehicle(1).await;
    let files = write(folder.path(), "sender", &ours);
    let frame = folder.path().join("frame");
    std::fs::write(&frame, vehicle.batch(1..=3)).expect("it writes");
    let address = SocketAddr::from(([127, 0, 0, 1], front.port));
    let links = running.server.app().exchange.links().clone();
    for _ in 0..200 {
        let mut command = client(PUB, address, &vehicle, &files, "mqttv5");
        let up = format!("v1/{}/up", vehicle.id);
        let output = command.args(["-t", &up, "-f"]).arg(&frame).output().await.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if links.status().broker_frames > Some(0) {
            break;
        }
    }
    until("the frame is in the lake", || running.world.lake.ids().len() == 3).await;
    drop(front);
    until("the loss is noticed", || links.status().refusals.contains_key("broker.lost")).await;
    running.server.shutdown().await;
}
