//! The log reader against a real `dlt-daemon`. Says `SKIPPED` where it is not installed; `scripts/dlt.sh` installs it.
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use outrider_host::config::{HostConfig, LogConfig};
use outrider_host::parse::LogKind;
use outrider_host::{Host, HostEvent};
use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Turns until `is_it`, with a bound on their number instead of a clock.
fn hear(host: &mut Host, now: &mut u64, mut is_it: impl FnMut(&Host, Option<&HostEvent>) -> bool) -> bool {
    for _ in 0..300 {
        *now += 100_000;
        host.wait(50);
        host.turn(VehicleMicros(*now));
        if is_it(host, None) {
            return true;
        }
        while let Some(event) = host.pop() {
            if is_it(host, Some(&event)) {
                return true;
            }
        }
    }
    false
}

#[test]
fn messages_of_a_real_daemon_become_events() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback").port();
    let config = folder.path().join("dlt.conf");
    let control = folder.path().join("control.sock");
    let text = format!(
        "ECUId = ECU1\nLoggingMode = 2\nLoggingLevel = 3\nLoggingFilename = {}\nControlSocketPath = {}\nBindAddress = ::ffff:127.0.0.1\n",
        folder.path().join("daemon.log").display(),
        control.display()
    );
    std::fs::write(&config, text).expect("it writes");
    let daemon = Command::new("dlt-daemon")
        .args(["-p", &port.to_string(), "-t"])
        .arg(folder.path())
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(daemon) = daemon else { return eprintln!("SKIPPED: dlt-daemon is not installed") };
    let _daemon = Program(daemon);
    let log = LogConfig {
        kind: LogKind::Dlt,
        path: None,
        address: Some(SocketAddr::from(([127, 0, 0, 1], port))),
        from_start: false,
        truncates: false,
    };
    let config = HostConfig { log: vec![log], ..HostConfig::default() };
    let mut host = Host::open(config, folder.path(), VehicleMicros(0)).expect("it opens");
    let mut now = 0;
    assert!(
        hear(&mut host, &mut now, |host, _| host.state()[0].step == "full"
            && host.state()[0].counts.received > 0),
        "the daemon greets: {:?}",
        host.state()
    );
    let speaker = Command::new("dlt-adaptor-stdin")
        .args(["-a", "HSM", "-c", "KEYS"])
        .env("DLT_PIPE_DIR", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(speaker) = speaker else { return eprintln!("SKIPPED: dlt-adaptor-stdin is not installed") };
    let mut speaker = Program(speaker);
    let mut input = speaker.0.stdin.take().expect("it is a pipe");
    // The pipe stays open until both were heard: a program that ends early takes what its library still buffers with it.
    let greeted = host.state()[0].counts.received;
    let path_carries = hear(&mut host, &mut now, |host, event| {
        if event.is_none() {
            writeln!(input, "nothing unusual").expect("it listens");
        }
        host.state()[0].counts.received > greeted + 4
    });
    assert!(path_carries, "the daemon passes on what a program says: {:?}", host.state());
    writeln!(input, "security-event: hsm.key_misuse key_id=oem-root reason=usage").expect("it listens");
    writeln!(input, "SecurityAccess refused nrc=0x35 level=1 tester=0x0e80").expect("it listens");
    let mut found = Vec::new();
    hear(&mut host, &mut now, |_, event| {
        found.extend(event.cloned());
        found.len() == 2
    });
    drop(input);
    let types: Vec<_> = found.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [event::HSM_KEY_MISUSE, event::DIAG_SECURITY_ACCESS_DENIED], "{:?}", host.state());
    assert_eq!(found[0].text_of(field::KEY_ID), Some("oem-root"));
    let state = &host.state()[0];
    assert!(state.counts.is_balanced() && state.counts.rejected == 0, "{state:?}");
    eprintln!("dlt-daemon: {} messages, 2 events", state.counts.received);
}
