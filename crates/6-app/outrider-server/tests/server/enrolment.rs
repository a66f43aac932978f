//! How vehicles get certificates, and how they lose them; against `openssl` and `curl` where those are there.

use std::path::Path;
use std::process::{Command, Output};

use ed25519_dalek::{Signer as _, SigningKey};
use outrider_server::store::{EnrolmentPermit, PermitKind, Transfer};
use outrider_server::vehicle::est::{factory_hash, token_hash};
use outrider_server::vehicle::{TlsFiles, pem};
use outrider_types::{BootEpoch, TenantId, VehicleId};
use outrider_wire::{KEY_BYTES, KeyChange, SignerError};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Answer, exchange, vehicle_stream};
use crate::harness::{Running, TENANT, TestVehicle, running};

const DAY_S: i64 = 86_400;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Key of a vehicle to be, with its request in base64.
struct Request {
    key: String,
    body: String,
}

fn request() -> Request {
    use base64::Engine as _;
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "WVWZZZ1JZXW000001");
    let der = parameters.serialize_request(&key).expect("it signs").der().to_vec();
    Request { key: key.serialize_pem(), body: base64::engine::general_purpose::STANDARD.encode(der) }
}

/// First certificate of a certificates-only answer.
fn certificate_of(answer: &Answer) -> Vec<u8> {
    use base64::Engine as _;
    let der = base64::engine::general_purpose::STANDARD.decode(&answer.body).expect("base64");
    // The one X.509 certificate in it begins with a SEQUENCE of which the rest parses.
    let certificate = (0..der.len()).find_map(|at| {
        let (_, parsed) = x509_parser::parse_x509_certificate(&der[at..]).ok()?;
        Some(parsed.as_ref().to_vec())
    });
    certificate.expect("an answer holds a certificate")
}

impl Running {
    async fn permit(&self, vehicle: VehicleId, kind: PermitKind, name: &str) {
        let secret = match kind {
            PermitKind::Token => token_hash(name),
            PermitKind::Factory => factory_hash(name),
        };
        let scope = self.server.app().scope();
        let expires = scope.now.saturating_add(3_600_000_000);
        let permit = EnrolmentPermit { secret, kind, vehicle, expires, used_for: None };
        self.server.app().store.permit_enrolment(scope, &permit, "cli").await.expect("it is permitted");
    }

    /// One request to the listener for enrolment.
    async fn est(&self, files: Option<&TlsFiles>, head: &str, body: &str) -> Answer {
        let address = self.server.enrolment_addr.expect("enrolment is on");
        let stream = vehicle_stream(address, files, self.server.ca().certificate()).await;
        exchange(stream.expect("it connects"), head, body.as_bytes()).await
    }

    async fn enrol(&self, token: &str, body: &str) -> Answer {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("vehicle:{token}"));
        let head = format!("POST /.well-known/est/simpleenroll HTTP/1.1\r\nAuthorization: Basic {basic}\r\n");
        self.est(None, &head, body).await
    }

    async fn renew(&self, files: &TlsFiles, body: &str) -> Answer {
        self.est(Some(files), "POST /.well-known/est/simplereenroll HTTP/1.1\r\n", body).await
    }

    fn files(&self, request: &Request, certificate: &[u8]) -> TlsFiles {
        TlsFiles {
            ca: self.server.ca().certificate().to_owned(),
            certificate: pem("CERTIFICATE", certificate),
            key: request.key.clone(),
        }
    }

    async fn change(&self, vehicle: VehicleId, verb: &str) -> Answer {
        self.admin.post(&format!("/api/v1/vehicles/{vehicle}/{verb}"), json!({"reason": "a test"})).await
    }

    async fn log(&self, vehicle: VehicleId) -> Vec<(String, String)> {
        let identity = self.admin.get(&format!("/api/v1/vehicles/{vehicle}/identity")).await.json();
        let word = |line: &serde_json::Value, name: &str| line[name].as_str().expect("a word").to_owned();
        let lines = identity["log"].as_array().expect("a list").iter();
        lines.map(|line| (word(line, "action"), word(line, "outcome"))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_gives_one_key_a_certificate_with_the_pseudonym_as_its_only_name() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    running.permit(vehicle.id, PermitKind::Token, TOKEN).await;
    let request = request();
    let first = running.enrol(TOKEN, &request.body).await;
    assert_eq!(first.status, 200, "{}", String::from_utf8_lossy(&first.body));
    let der = certificate_of(&first);
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).expect("it parses");
    assert_eq!(parsed.subject().to_string(), format!("CN={}", vehicle.id));
    // The answer may be lost: the same key may ask again, another one may not.
    assert_eq!(running.enrol(TOKEN, &request.body).await.status, 200);
    let other = running.enrol(TOKEN, &self::request().body).await;
    assert_eq!((other.status, other.code().as_str()), (403, "est.refused"));
    // The certificate opens a session.
    let files = running.files(&request, &der);
    let stream =
        vehicle_stream(running.server.vehicle_addr.expect("it takes frames"), Some(&files), &files.ca)
            .await
            .expect("TLS");
    let sent = exchange(stream, "POST /v1/uplink HTTP/1.1\r\n", &vehicle.batch(1..=2)).await;
    assert_eq!(sent.status, 200);
    let log = running.log(vehicle.id).await;
    let expected =
        [("enrol", "est.refused"), ("enrol", "done"), ("enrol", "done"), ("permit_enrolment", "done")];
    assert_eq!(log, expected.map(|(action, outcome)| (action.to_owned(), outcome.to_owned())));
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_enrol_is_refused_with_a_code_and_a_line_in_the_log() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let request = request();
    let simple = "POST /.well-known/est/simpleenroll HTTP/1.1\r\n";
    let nothing = running.est(None, simple, &request.body).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (401, "est.no_proof"));
    assert!(nothing.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Basic")));
    let wrong = running.enrol("f".repeat(32).as_str(), &request.body).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "est.not_permitted"));
    let own = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate");
    let with_own = running.est(Some(&own), simple, &request.body).await;
    assert_eq!(
        with_own.code(),
        "est.no_proof",
        "a certificate of today is for the next one, not for a first"
    );
    running.permit(vehicle.id, PermitKind::Token, TOKEN).await;
    for (name, body, code) in [("garbage", "!!!", "est.base64"), ("no request", "MAA=", "est.structure")] {
        assert_eq!(running.enrol(TOKEN, body).await.code(), code, "{name}");
    }
    let long = "A".repeat(9 << 10);
    assert_eq!(running.enrol(TOKEN, &long).await.status, 413);
    for (head, status) in [
        ("GET /.well-known/est/simpleenroll HTTP/1.1\r\n", 405),
        ("POST /.well-known/est/fullcmc HTTP/1.1\r\n", 501),
        ("GET /.well-known/est/label/cacerts HTTP/1.1\r\n", 404),
        ("GET /v1/crl/9 HTTP/1.1\r\n", 404),
    ] {
        assert_eq!(running.est(None, head, "").await.status, status, "{head}");
    }
    assert_eq!(running.change(vehicle.id, "suspend").await.status, 200);
    assert_eq!(running.enrol(TOKEN, &request.body).await.code(), "est.refused", "suspended");
    assert_eq!(running.change(vehicle.id, "resume").await.status, 200);
    let all = running.admin.get("/api/v1/identity-log").await.json();
    let outcomes: Vec<_> =
        all.as_array().expect("a list").iter().filter_map(|line| line["outcome"].as_str()).collect();
    for code in ["est.no_proof", "est.not_permitted", "est.base64", "est.structure", "est.refused"] {
        assert!(outcomes.contains(&code), "{code} in {outcomes:?}");
    }
    running.world.wait_seconds(2 * 3600);
    assert_eq!(running.enrol(TOKEN, &request.body).await.code(), "est.not_permitted", "the token has lapsed");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_and_certificates_are_limited() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    running.permit(vehicle.id, PermitKind::Token, TOKEN).await;
    let request = request();
    let mut codes = Vec::new();
    for _ in 0..12 {
        let answer = running.enrol(TOKEN, &request.body).await;
        codes.push(if answer.status == 200 { "good".to_owned() } else { answer.code() });
    }
    assert_eq!(codes.iter().filter(|code| *code == "good").count(), 10);
    assert_eq!(codes.last().map(String::as_str), Some("est.too_many"));
    for _ in 0..9 {
        running.enrol(TOKEN, &request.body).await;
    }
    assert_eq!(running.enrol(TOKEN, &request.body).await.code(), "est.too_often");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_certificate_needs_the_one_before_within_its_grace() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    running.permit(vehicle.id, PermitKind::Token, TOKEN).await;
    let old = request();
    let der = certificate_of(&running.enrol(TOKEN, &old.body).await);
    let files = running.files(&old, &der);
    let next = request();
    assert_eq!(running.renew(&files, &next.body).await.status, 200);
    let token_only = running.est(None, "POST /.well-known/est/simplereenroll HTTP/1.1\r\n", &next.body).await;
    assert_eq!(token_only.code(), "est.no_certificate");
    // 100 days after its end it opens no session, but gets the next certificate.
    running.world.wait_seconds((365 + 100) * DAY_S);
    let late = running.renew(&files, &next.body).await;
    assert_eq!(late.status, 200, "{}", String::from_utf8_lossy(&late.body));
    assert!(!is_let_in(&running, &files).await, "the data listener knows no grace");
    let files = running.files(&next, &certificate_of(&late));
    assert!(is_let_in(&running, &files).await);
    // 181 days after its end it is good for nothing.
    running.world.wait_seconds((365 + 181) * DAY_S);
    assert!(!est_takes(&running, &files, &next.body).await);
    running.server.shutdown().await;
}

/// Whether the data listener answers a session with this certificate.
async fn is_let_in(running: &Running, files: &TlsFiles) -> bool {
    read(
        running.server.vehicle_addr.expect("it takes frames"),
        files,
        "GET /v1/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await
    .starts_with("HTTP/1.1 200")
}

/// Whether the listener for enrolment renews this certificate.
async fn est_takes(running: &Running, files: &TlsFiles, body: &str) -> bool {
    let address = running.server.enrolment_addr.expect("enrolment is on");
    let text = format!(
        "POST /.well-known/est/simplereenroll HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    read(address, files, &text).await.starts_with("HTTP/1.1 200")
}

/// Sends a text and reads what comes; nothing where TLS refuses.
async fn read(address: std::net::SocketAddr, files: &TlsFiles, text: &str) -> String {
    let Ok(mut stream) = vehicle_stream(address, Some(files), &files.ca).await else { return String::new() };
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_vehicles_running_session_is_closed_and_its_frames_are_refused() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate");
    let address = running.server.vehicle_addr.expect("it takes frames");
    let mut stream = vehicle_stream(address, Some(&files), &files.ca).await.expect("TLS");
    stream.write_all(b"GET /v1/livez HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it writes");
    let mut some = [0; 512];
    assert!(stream.read(&mut some).await.expect("it answers") > 0, "the session runs");
    assert_eq!(running.change(vehicle.id, "suspend").await.json()["state"], json!("suspended"));
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read(&mut some)).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "the session is closed without a request: {closed:?}");
    let refused = running.uplink(&vehicle, &vehicle.batch(1..=1)).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "vehicle.suspended"));
    let direct = running.server.app().exchange.take(vehicle.id, vehicle.batch(1..=1)).await;
    assert_eq!(direct.expect_err("it is refused").code, "vehicle.suspended", "whatever the listener");
    assert_eq!(running.change(vehicle.id, "resume").await.status, 200);
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=1)).await.status, 200);
    assert_eq!(running.change(vehicle.id, "revoke").await.status, 200);
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(2..=2)).await.code(), "vehicle.revoked");
    let back = running.change(vehicle.id, "resume").await;
    assert_eq!((back.status, back.code().as_str()), (409, "conflict"), "revoked is for good");
    let frames = running.server.app().exchange.frames();
    assert_eq!(frames.difference(), 0, "{frames}");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_revoked_certificate_is_refused_while_the_vehicles_other_one_works_and_the_list_names_it() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    running.permit(vehicle.id, PermitKind::Token, TOKEN).await;
    let (stolen, good) = (request(), request());
    let certificate = certificate_of(&running.enrol(TOKEN, &stolen.body).await);
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).expect("it parses");
    let serial = outrider_server::vehicle::Serial::of_der(parsed.raw_serial());
    let stolen = running.files(&stolen, &certificate);
    let renewed = running.renew(&stolen, &good.body).await;
    let good = running.files(&good, &certificate_of(&renewed));
    let app = running.server.app();
    app.store
        .revoke_certificate(app.scope(), &serial, "admin", "used from two places")
        .await
        .expect("it is there");
    app.directory.refresh(app.store.as_ref(), app.scope()).await.expect("it reads");
    assert!(!is_let_in(&running, &stolen).await, "one of the two");
    assert!(is_let_in(&running, &good).await);
    assert_eq!(running.renew(&stolen, &request().body).await.code(), "certificate.revoked");
    let list = running.est(None, "GET /v1/crl/1 HTTP/1.1\r\n", "").await;
    assert_eq!(list.header("content-type").as_deref(), Some("application/pkix-crl"));
    use x509_parser::prelude::FromDer as _;
    let (_, list) =
        x509_parser::revocation_list::CertificateRevocationList::from_der(&list.body).expect("it parses");
    assert_eq!(list.iter_revoked_certificates().count(), 1);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_of_the_ca_old_and_new_certificates_and_old_and_new_trust_work() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let old = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate");
    // Another program rotates; the server takes it up within seconds.
    let app = running.server.app();
    let folder = running.folder.path().join("secrets");
    struct System;
    impl outrider_server::port::Random for System {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(9);
        }
    }
    let other =
        outrider_server::vehicle::VehicleCa::open(&folder, app.clock.clone(), std::sync::Arc::new(System));
    let other = other.expect("it opens");
    assert_eq!(other.rotate().expect("it rotates"), 2);
    for _ in 0..200 {
        if running.server.ca().generation() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(running.server.ca().generation(), 2);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let new = other.issue_vehicle(vehicle.id).expect("a certificate");
    let roots = other.roots();
    for (client, files) in [("old", &old), ("new", &new)] {
        for (trust, root) in [("old", &roots[1]), ("new", &roots[0])] {
            let files = TlsFiles { ca: root.clone(), ..files.clone() };
            assert!(is_let_in(&running, &files).await, "{client} certificate, {trust} root");
        }
    }
    running.server.shutdown().await;
}

struct Batch<'a>(&'a SigningKey);

impl outrider_wire::Signer for Batch<'_> {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

fn key_change(vehicle: VehicleId, from: u64, new: &SigningKey, old: &SigningKey) -> Vec<u8> {
    let key = new.verifying_key().to_bytes();
    let change = KeyChange { tenant: TENANT, vehicle, from: BootEpoch(from), key };
    let mut out = vec![0; KEY_BYTES];
    assert_eq!(change.emit(&Batch(new), &Batch(old), &mut out), Ok(KEY_BYTES));
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_key_changes_with_the_next_boot_and_late_batches_still_verify() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    let (new, stranger) = (SigningKey::from_bytes(&[50; 32]), SigningKey::from_bytes(&[51; 32]));
    // Rows of the tests are of boot 4.
    let change = key_change(vehicle.id, 5, &new, &vehicle.key);
    let renamed = TestVehicle { id: vehicle.id, key: new.clone() };
    assert_eq!(
        running.uplink(&vehicle, &renamed.batch(1..=1)).await.code(),
        "batch.signature",
        "not yet known"
    );
    let cases = [
        ("signed by a stranger", key_change(vehicle.id, 5, &new, &stranger), 403, "key.signature"),
        (
            "of another vehicle",
            key_change(VehicleId([2; 16]), 5, &new, &vehicle.key),
            403,
            "key.wrong_vehicle",
        ),
        ("torn", change[..change.len() - 1].to_vec(), 400, "key.frame"),
    ];
    for (name, frame, status, code) in cases {
        let answer = running.uplink(&vehicle, &frame).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}");
    }
    assert_eq!(running.uplink(&vehicle, &change).await.status, 200);
    assert_eq!(running.uplink(&vehicle, &change).await.status, 200, "the answer may have been lost");
    assert_eq!(
        running.uplink(&vehicle, &vehicle.batch(1..=2)).await.status,
        200,
        "late rows of boot 4, old key"
    );
    assert_eq!(
        running.uplink(&vehicle, &renamed.batch(3..=4)).await.status,
        200,
        "rows of boot 4, sent after it"
    );
    // From boot 4 on: the old key is done.
    running.world.wait_seconds(DAY_S);
    let third = SigningKey::from_bytes(&[52; 32]);
    let earlier = running.uplink(&vehicle, &key_change(vehicle.id, 4, &third, &new)).await;
    assert_eq!((earlier.status, earlier.code().as_str()), (409, "key.state"), "keys do not go back in time");
    running.settle().await;
    assert_eq!(running.world.lake.ids().len(), 4);
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transferred_vehicle_has_a_new_name_and_nothing_of_the_old_owner() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(1..=1)).await.status, 200);
    let app = running.server.app();
    let (scope, successor) = (app.scope(), VehicleId([77; 16]));
    let transfer = Transfer { vehicle: vehicle.id, tenant: TenantId(2), successor };
    let same = Transfer { tenant: TENANT, ..transfer };
    assert!(
        app.store.transfer_vehicle(scope, &same, "cli", "sold").await.is_err(),
        "the owner must be another"
    );
    app.store.transfer_vehicle(scope, &transfer, "cli", "sold").await.expect("it moves");
    app.directory.refresh(app.store.as_ref(), scope).await.expect("it reads");
    assert_eq!(running.uplink(&vehicle, &vehicle.batch(2..=2)).await.code(), "vehicle.retired");
    assert!(app.store.transfer_vehicle(scope, &transfer, "cli", "again").await.is_err(), "once");
    let old = app.store.vehicle_identity(scope, vehicle.id).await.expect("it stays with the old owner");
    assert!(!format!("{old:?}").contains(&successor.to_string()), "no row links the two");
    let theirs = outrider_server::store::Scope { tenant: TenantId(2), ..scope };
    assert!(app.store.vehicle_identity(scope, successor).await.is_err(), "not among the old owner's");
    let new = app.store.vehicle_entry(theirs, successor).await.expect("registered at the new owner");
    assert_eq!((new.batch_key, new.record.model_line.as_str()), (None, "Aster"));
    assert!(app.store.vehicle_entry(theirs, vehicle.id).await.is_err(), "history stays");
    running.server.shutdown().await;
}

/// Says that a test's programs are not there.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skip(what: &str) {
    eprintln!("SKIPPED: {what} is not installed");
}

/// Runs a program; `None` if it is not installed.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<Output> {
    let output = Command::new(program).args(arguments).current_dir(folder).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    Some(output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_and_curl_enrol_a_vehicle() {
    let running = running().await;
    let vehicle = running.vehicle(1).await;
    running.permit(vehicle.id, PermitKind::Token, TOKEN).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    let address = running.server.enrolment_addr.expect("enrolment is on").to_string();
    std::fs::write(at.join("ca.pem"), running.server.ca().certificate()).expect("it writes");
    let make = "openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out key.pem && \
                openssl req -new -key key.pem -subj /CN=any -outform DER | openssl base64 -out request.b64";
    let fetch = format!(
        "curl -sf --cacert ca.pem https://{address}/.well-known/est/cacerts | openssl base64 -d -A | \
         openssl pkcs7 -inform DER -print_certs -out roots.pem"
    );
    let enrol = format!(
        "curl -sf --cacert ca.pem -u vehicle:{TOKEN} -H 'Content-Type: application/pkcs10' --data-binary @request.b64 \
         https://{address}/.well-known/est/simpleenroll | openssl base64 -d -A | \
         openssl pkcs7 -inform DER -print_certs -out certificate.pem"
    );
    let verify = "openssl verify -no_check_time -CAfile roots.pem certificate.pem && \
                  openssl x509 -in certificate.pem -noout -subject && \
                  test \"$(openssl x509 -in certificate.pem -noout -pubkey)\" = \"$(openssl pkey -in key.pem -pubout)\"";
    if run("openssl", &["version"], at).is_none() || run("curl", &["--version"], at).is_none() {
        skip("openssl or curl");
        return;
    }
    let script = [make, &fetch, &enrol, verify].join(" && ");
    let at = at.to_path_buf();
    let output =
        tokio::task::spawn_blocking(move || run("sh", &["-ec", &script], &at)).await.expect("it ran");
    let text = String::from_utf8_lossy(&output.expect("there is a shell").stdout).into_owned();
    assert!(text.contains("certificate.pem: OK"), "{text}");
    assert!(text.contains(&format!("CN = {}", vehicle.id)), "{text}");
    running.server.shutdown().await;
}
