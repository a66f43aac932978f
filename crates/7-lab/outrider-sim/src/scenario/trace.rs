//! One hash over everything that happened, in order: two runs are the same if their hashes are.

use sha2::{Digest, Sha256};

/// The running hash.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    hash: Sha256,
    pub(super) steps: u64,
}

impl Trace {
    /// Notes a step.
    pub(super) fn note(&mut self, kind: &str, numbers: &[u64], bytes: &[u8]) {
        self.steps += 1;
        self.hash.update(kind.as_bytes());
        self.hash.update([0]);
        for number in numbers {
            self.hash.update(number.to_le_bytes());
        }
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Returns the hash so far, in hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
