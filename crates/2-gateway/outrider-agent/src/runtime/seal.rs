//! K0 of the spool, as somebody who keeps the other copy leaves it in the state folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use outrider_types::hex_decode;

/// File of 64 hexadecimal digits. It is there until the spool was begun with it.
const FILE: &str = "spool-k0";
/// Digits and a line's end.
const FILE_BYTES_MAX: u64 = 80;

/// Reads K0, or `None` if nobody left one.
///
/// # Errors
/// What the operating system says, or that the file holds something else.
pub fn read_root(state: &Path) -> io::Result<Option<[u8; 32]>> {
    let file = match fs::File::open(state.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    let mut file = file.take(FILE_BYTES_MAX);
    let mut part = [0; 80];
    while let count @ 1.. = file.read(&mut part)? {
        text.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&text);
    hex_decode::<32>(text.trim())
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{FILE}: {error}")))
}

/// Overwrites and removes K0 once a spool was begun with it. Flash keeps old pages for a while all the same.
///
/// # Errors
/// What the operating system says.
pub fn forget_root(state: &Path) -> io::Result<()> {
    let path = state.join(FILE);
    if !path.exists() {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).open(&path)?;
    file.write_all(&[b'0'; 64])?;
    file.sync_all()?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_read_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(read_root(folder.path()).expect("no file"), None);
        fs::write(folder.path().join(FILE), format!("{}\n", "0a".repeat(32))).expect("writable");
        assert_eq!(read_root(folder.path()).expect("a file"), Some([10; 32]));
        forget_root(folder.path()).expect("writable");
        assert_eq!(read_root(folder.path()).expect("no file"), None);
        forget_root(folder.path()).expect("nothing to do");
        fs::write(folder.path().join(FILE), "short").expect("writable");
        assert!(read_root(folder.path()).is_err());
    }
}
