//! Keys and anchors in hardware, against the emulators swtpm and SoftHSM.
#![cfg(not(target_env = "musl"))]
#![expect(clippy::disallowed_methods, reason = "tests of programs wait for them")]
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a skipped test must say so, and a test's child speaks to it"
)]

mod pipe;
mod swtpm;
mod token;
mod tpm;

use std::path::Path;
use std::process::{Command, Stdio};

use outrider_agent::keystore::{DeviceKey, KeyName};
use outrider_gateway::spool::{Anchor, Boot, Recovery, Spool, SpoolConfig, SpoolKeys};
use outrider_gateway::{EcdsaP256Verifier, FileStorage, SecurityEvent};
use outrider_types::{BootEpoch, VehicleMicros};
use outrider_wire::Verifier;
use outrider_wire::catalogue::event;

/// Returns whether a program is there. `scripts/test.sh` sets the variable that makes its absence a failure.
fn has(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let is_needed = std::env::var_os("OUTRIDER_NEED_EMULATORS").is_some();
    assert!(found || !is_needed, "{program} is not installed; scripts/setup.sh installs it");
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

fn name(text: &str) -> KeyName {
    KeyName::new(text).expect("a name")
}

fn verifies(key: &dyn DeviceKey) {
    let verifier = EcdsaP256Verifier::new(&key.public_point()).expect("a point");
    for number in 0..4u8 {
        let signature = key.sign_fixed(&[number]).expect("the key is there");
        assert!(verifier.verify(&[number], &signature), "signature {number}");
        assert!(!verifier.verify(&[99], &signature));
    }
}

type Opened = (Spool<FileStorage>, Recovery);

/// Begins a boot of a small spool in `folder`.
fn boot(folder: &Path, salt: u64, anchor: Box<dyn Anchor + Send + Sync>) -> Opened {
    // A program that another test starts has our open files until it begins, locks and all.
    let storage = (0..500).find_map(|_| {
        let opened = FileStorage::open(folder);
        if opened.is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        opened.ok()
    });
    let storage = storage.expect("a folder");
    let config = SpoolConfig { quota_bytes: [16 << 10; 3], segment_bytes: 4 << 10, journal_bytes: 64 << 10 };
    let boot = Boot { floor: BootEpoch(1), salt, keys: SpoolKeys::from_secret(&[7; 32]), anchor };
    Spool::open(storage, config, boot).expect("a medium")
}

fn append(spool: &mut Spool<FileStorage>, count: u64) {
    for number in 0..count {
        let event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(number));
        spool.append(&event).expect("there is room");
    }
    spool.sync().expect("a disk");
}

/// Copies the files of a medium.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    for file in std::fs::read_dir(from).expect("a folder") {
        let file = file.expect("readable");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("writable");
    }
}

/// The ways of one medium with a counter: an ordinary start is silent, one that was set back is found.
fn old_medium_is_found(anchor: impl Fn() -> Box<dyn Anchor + Send + Sync>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (medium, old) = (folder.path().join("spool"), folder.path().join("old"));
    let (mut spool, first) = boot(&medium, 1, anchor());
    assert_eq!((first.damage(), first.anchor_silent), (None, false), "{first:?}");
    append(&mut spool, 10);
    drop(spool);
    let (mut spool, second) = boot(&medium, 2, anchor());
    assert_eq!((second.damage(), second.rows), (None, 10), "{second:?}");
    append(&mut spool, 10);
    drop(spool);
    copy(&medium, &old);
    let (mut spool, third) = boot(&medium, 3, anchor());
    assert_eq!(third.damage(), None, "{third:?}");
    append(&mut spool, 10);
    drop(spool);
    copy(&old, &medium);
    let (spool, fourth) = boot(&medium, 4, anchor());
    assert_eq!((fourth.damage(), fourth.behind_anchor), (Some("rollback"), 1), "{fourth:?}");
    drop(spool);
    let (_, fifth) = boot(&medium, 5, anchor());
    assert_eq!(fifth.damage(), None, "it is said once: {fifth:?}");
}
