//! Where the outside world comes in: recorded captures, live interfaces and network descriptions.

pub mod anchor_thread;
pub mod capture;
pub mod dbc;
pub mod est;
pub mod host;
pub mod https;
pub mod ids_udp;
pub mod kernel_clock;
pub mod live;
pub mod mqtt;
pub mod network;
pub mod packet_ring;
pub mod packets;
pub mod pkcs11;
pub mod plca;
pub mod rolling;
pub mod tls;
pub mod tpm;

/// Says that a test's input is not there.
#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skip(file: &str) {
    eprintln!("SKIPPED: {file} not present");
}

/// Gives every file of a fuzz target's corpus to `check` and returns how many there are.
#[cfg(test)]
pub(crate) fn corpus(target: &str, mut check: impl FnMut(&[u8])) -> usize {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    for path in &paths {
        check(&std::fs::read(path).expect("a readable corpus file"));
    }
    paths.len()
}
