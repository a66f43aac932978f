//! Sensors and sandbox on this machine. What the kernel or the rights do not allow is said and left out.
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use outrider_host::config::{FilesConfig, HostConfig, ProcessesConfig};
use outrider_host::confine::{Capability, FileSystem, Plan, confine, user};
use outrider_host::{Host, HostEvent, Usage};
use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

/// Runs turns until something is found, with a bound on their number instead of a clock.
fn hear(host: &mut Host, now: &mut u64, mut is_it: impl FnMut(&HostEvent) -> bool) -> Option<HostEvent> {
    for _ in 0..400 {
        *now += 10_000;
        host.wait(10);
        host.turn(VehicleMicros(*now));
        while let Some(event) = host.pop() {
            if is_it(&event) {
                return Some(event);
            }
        }
    }
    None
}

#[test]
fn a_program_that_was_not_learned_is_reported_with_its_parent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("intruder");
    std::fs::copy("/bin/sleep", &program).expect("every system has sleep");
    let config = HostConfig { processes: Some(ProcessesConfig::default()), ..HostConfig::default() };
    let mut host = Host::open(config, folder.path(), VehicleMicros(0)).expect("it opens");
    let mut now = 0;
    // What runs now is learned; without `learn_seconds` the baseline is frozen after the first turn.
    for _ in 0..3 {
        now += 10_000;
        host.turn(VehicleMicros(now));
    }
    while let Some(event) = host.pop() {
        assert_ne!(
            event.text_of(field::FILE_PATH),
            std::env::current_exe().ok().as_deref().and_then(Path::to_str)
        );
    }
    let mut child = Command::new(&program).arg("5").spawn().expect("it runs");
    let found = hear(&mut host, &mut now, |event| event.text_of(field::PROCESS_NAME) == Some("intruder"));
    child.kill().expect("it runs still");
    child.wait().expect("it ends");
    let found = found.expect("an unknown program is reported");
    assert_eq!(found.event_type, event::HOST_PROCESS_UNEXPECTED);
    assert_eq!(found.text_of(field::FILE_PATH), program.to_str());
    assert!(found.text_of(field::PARENT_PROCESS).is_some());
    let state = host.state();
    eprintln!("process events come by: {}", state[0].step);
    assert!(state.iter().all(|sensor| sensor.counts.is_balanced()), "{state:?}");
}

#[test]
fn fifty_thousand_deletes_are_all_reported_in_bounded_memory() {
    const FILES: u64 = 50_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let watched = folder.path().join("etc");
    std::fs::create_dir(&watched).expect("a folder");
    (0..FILES).for_each(|number| std::fs::write(watched.join(number.to_string()), "").expect("it writes"));
    let files = FilesConfig {
        paths: vec![watched.clone()],
        exclude: Vec::new(),
        files_max: 60_000,
        hash_bytes_max: 1 << 20,
    };
    let config = HostConfig { files: Some(files), ..HostConfig::default() };
    let mut host = match Host::open(config, &folder.path().join("state"), VehicleMicros(0)) {
        Ok(host) => host,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let (mut now, mut reported, mut rows) = (0, 0, 0);
    let mut turn = |host: &mut Host| {
        now += 100_000;
        host.turn(VehicleMicros(now));
        while let Some(event) = host.pop() {
            assert_eq!(event.text_of(field::REASON), Some("deleted"), "{event:?}");
            reported += event.count;
            rows += 1;
        }
    };
    while host.state()[0].details["scanning"] == 1 {
        turn(&mut host);
    }
    assert_eq!(host.state()[0].details["baseline_files"], FILES);
    (0..FILES).for_each(|number| {
        std::fs::remove_file(watched.join(number.to_string())).expect("it is there");
    });
    (0..40).for_each(|_| turn(&mut host));
    assert_eq!(reported, FILES);
    let usage = Usage::now();
    eprintln!("{FILES} deletes, {rows} rows, {} KiB resident at most", usage.resident_bytes_max >> 10);
    assert!(host.state()[0].counts.is_balanced() && rows < 100);
}

/// Gives up rights and tries what must fail, and what must go on.
fn try_the_sandbox(keep: &[Capability]) {
    let folder = PathBuf::from("/tmp").join(format!("outrider-sandbox-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let nobody = user("nobody").expect("every system has nobody");
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0);
    if is_root {
        std::os::unix::fs::chown(&folder, Some(nobody.user), Some(nobody.group)).expect("root may");
    }
    let keep = if is_root { keep } else { &[] };
    let plan = Plan { user: is_root.then_some(nobody), keep, writable: &[&folder] };
    let confinement = confine(&plan).expect("every kernel in use has seccomp");
    eprintln!("{confinement:?}");
    let refused = |what: &str, outcome: std::io::Result<()>| {
        let error = outcome.expect_err(what);
        let kinds = [std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::ReadOnlyFilesystem];
        assert!(kinds.contains(&error.kind()), "{what}: {error}");
    };
    refused("execve", Command::new("/bin/true").status().map(drop));
    refused("a socket on the wire", outrider_host::can_socket("lo", 10).map(drop));
    if confinement.file_system != FileSystem::Open {
        refused("writing elsewhere", std::fs::write("/tmp/outrider-outside", "x"));
    }
    if is_root {
        assert_eq!(confinement.user, nobody.user);
        refused("writing as root does", std::fs::write("/etc/outrider-outside", "x"));
        let other = format!("/proc/{}/exe", std::os::unix::process::parent_id());
        if keep.is_empty() {
            refused("reading secrets", std::fs::read("/etc/shadow").map(drop));
            refused("looking into others", std::fs::read_link(&other).map(drop));
        } else {
            std::fs::read_link(&other).expect("the sensors look into others");
        }
    }
    std::fs::write(folder.join("inside"), "x").expect("its own folder is writable");
    assert!(std::fs::read_dir("/proc").expect("reading goes on").count() > 0);
    std::net::TcpListener::bind("127.0.0.1:0").map(drop).expect_err("listening is not on the list");
    std::fs::remove_file(folder.join("inside")).expect("its own folder is writable");
}

#[test]
#[ignore = "gives up the rights of its process: run by the test below"]
fn inside_the_sandbox() {
    try_the_sandbox(&[]);
}

#[test]
#[ignore = "gives up the rights of its process: run by the test below"]
fn inside_the_sandbox_of_sensors() {
    try_the_sandbox(&[Capability::DAC_READ_SEARCH, Capability::SYS_PTRACE]);
}

#[test]
fn the_sandbox_refuses_executions_and_writes_and_lets_work_go_on() {
    for inside in ["inside_the_sandbox", "inside_the_sandbox_of_sensors"] {
        let program = std::env::current_exe().expect("this test");
        let arguments = ["--exact", inside, "--ignored", "--nocapture", "--test-threads=1"];
        let output = Command::new(program).args(arguments).output().expect("it runs");
        let text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        eprintln!("{}", text.lines().find(|line| line.contains("Confinement")).unwrap_or_default());
    }
}
