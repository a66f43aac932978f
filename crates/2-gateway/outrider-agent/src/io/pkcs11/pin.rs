//! The PIN: from a file or from a file descriptor that whoever starts the program hands over. Never from arguments or the
//! environment, which other users and crash reports can see.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// Longest PIN read; tokens take up to 255 bytes.
const PIN_BYTES_MAX: usize = 255;

/// Where the PIN comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// A file that its owner alone may read.
    File(PathBuf),
    /// A descriptor that is open already, such as 3.
    Descriptor(u32),
}

/// Reads the PIN, without the line's end.
///
/// # Errors
/// What the operating system says; a file that others may read, an empty or an overlong PIN.
pub fn read_pin(source: &PinSource) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = match source {
        PinSource::File(path) => {
            let file = File::open(path)?;
            let mode = file.metadata()?.mode();
            if mode & 0o077 != 0 {
                let text = format!("{}: others may read it (mode {:o})", path.display(), mode & 0o777);
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
            file
        }
        PinSource::Descriptor(number) => File::open(format!("/proc/self/fd/{number}"))?,
    };
    let mut pin = Zeroizing::new(vec![0; PIN_BYTES_MAX + 1]);
    let mut length = 0;
    while let Some(rest) = pin.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            count => length += count,
        }
    }
    if length > PIN_BYTES_MAX {
        return Err(io::Error::other("the PIN is too long"));
    }
    pin.truncate(length);
    while pin.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        pin.pop();
    }
    if pin.is_empty() { Err(io::Error::other("the PIN is empty")) } else { Ok(pin) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_pin_is_read_from_a_file_of_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pin");
        let source = PinSource::File(path.clone());
        let read = |text: &[u8], mode| {
            fs::write(&path, text).expect("writable");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
            read_pin(&source).map(|pin| pin.to_vec())
        };
        assert_eq!(read(b"1234\n", 0o600).expect("a PIN"), b"1234");
        assert_eq!(read(&[b'9'; 255], 0o400).expect("a PIN").len(), 255);
        assert!(read(&[b'9'; 256], 0o600).is_err());
        assert!(read(b"\n", 0o600).is_err());
        let error = read(b"1234\n", 0o640).expect_err("the group may read it");
        assert!(!error.to_string().contains("1234"));
    }
}
