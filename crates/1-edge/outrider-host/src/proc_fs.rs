//! `/proc`, read with bounds (proc(5)).

use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Processes looked at in one listing.
const PROCESSES_MAX: usize = 32_768;
/// Bytes of a small file such as `status`.
const SMALL_BYTES: u64 = 16 << 10;

/// The place where the kernel says what runs; another one in tests.
#[derive(Debug, Clone)]
pub(crate) struct ProcRoot(PathBuf);

/// What `/proc/<pid>/status` says, as far as it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) parent: u32,
    /// Effective user.
    pub(crate) user: u32,
    /// Effective capabilities.
    pub(crate) capabilities: u64,
}

impl ProcRoot {
    pub(crate) fn new(root: &Path) -> Self {
        Self(root.to_path_buf())
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    /// Reads at most `bytes_max` of a file; what is not UTF-8 becomes replacement characters.
    #[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
    pub(crate) fn read(&self, below: &str, bytes_max: u64) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.path(below)).ok()?.take(bytes_max).read_to_end(&mut bytes).ok()?;
        Some(
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into()),
        )
    }

    /// Returns the running processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.take(PROCESSES_MAX).collect()
    }

    /// Returns the program of a process, or `None` if it is gone, a kernel thread, or not ours to see.
    pub(crate) fn program(&self, process: u32) -> Option<String> {
        let path = fs::read_link(self.path(&format!("{process}/exe"))).ok()?;
        Some(path.to_string_lossy().into_owned())
    }

    pub(crate) fn status(&self, process: u32) -> Option<Status> {
        Some(status(&self.read(&format!("{process}/status"), SMALL_BYTES)?))
    }
}

/// Reads the text of a `status` file; absent lines are zeros.
fn status(text: &str) -> Status {
    let mut found = Status::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key {
            "Name" => value.clone_into(&mut found.name),
            "PPid" => found.parent = value.parse().unwrap_or(0),
            "Uid" => {
                found.user = value.split_whitespace().nth(1).and_then(|user| user.parse().ok()).unwrap_or(0);
            }
            "CapEff" => found.capabilities = u64::from_str_radix(value, 16).unwrap_or(0),
            _ => {}
        }
    }
    found
}

/// One line of a `maps` file that is writable and executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Size in bytes.
    pub bytes: u64,
    /// Whether it is writable and executable.
    pub is_writable_and_executable: bool,
    /// File or name in brackets; empty for anonymous memory.
    pub path: String,
}

/// Parses a line of `/proc/<pid>/maps`; `None` for anything that is none.
#[must_use]
pub fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
    let rights = words.next()?.as_bytes();
    if rights.len() != 4 {
        return None;
    }
    let path = words.nth(3).unwrap_or("").to_owned();
    let is_writable_and_executable = rights[1] == b'w' && rights[2] == b'x';
    Some(Mapping { bytes: to.checked_sub(from)?, is_writable_and_executable, path })
}

/// One line of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketLine {
    /// Own address.
    pub local: SocketAddr,
    /// The other's address; port 0 if there is none.
    pub remote: SocketAddr,
    /// State as the kernel numbers it: 1 established, 2 connecting, 7 unconnected UDP, 10 listening.
    pub state: u8,
    /// User that owns it.
    pub user: u32,
    /// Number by which `/proc/<pid>/fd` names it.
    pub inode: u64,
}

/// Parses a line of a socket table; `None` for the heading and for anything else.
#[must_use]
pub fn socket_line(line: &str) -> Option<SocketLine> {
    let mut words = line.split_ascii_whitespace();
    let (local, remote) = (address(words.nth(1)?)?, address(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let user = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(SocketLine { local, remote, state, user, inode })
}

/// Reads an address: 32-bit words as the machine has them in memory, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = words.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match words.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, piece) in bytes.chunks_exact_mut(4).enumerate() {
                piece.copy_from_slice(&word(index)?);
            }
            let ip = Ipv6Addr::from(bytes);
            ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_status_says_name_parent_user_and_capabilities() {
        let found = status("Name:\tsshd\nPPid:\t7\nUid:\t1000\t0\t0\t0\nCapEff:\t000001ffffffffff\n");
        let expected = Status { name: "sshd".to_owned(), parent: 7, user: 0, capabilities: 0x1FF_FFFF_FFFF };
        assert_eq!(found, expected);
    }

    #[test]
    fn maps_lines_tell_memory_that_is_written_and_run() {
        let found = mapping("7f00-9f00 rwxp 00000000 00:00 0").expect("it is a mapping");
        assert!(found.is_writable_and_executable && found.bytes == 0x2000 && found.path.is_empty());
        let found = mapping("00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon");
        let found = found.expect("it is a mapping");
        assert!(!found.is_writable_and_executable && found.path == "/usr/bin/dbus-daemon");
        for bad in ["", "9f00-7f00 rwxp 0 0 0", "xx-yy rwxp", "7f00-9f00 rwx"] {
            assert_eq!(mapping(bad), None, "{bad}");
        }
    }

    #[test]
    fn socket_lines_of_both_families_are_read() {
        let v4 = "   0: 0100007F:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1212 1";
        let v4 = socket_line(v4).expect("it is a socket");
        assert_eq!((v4.local.to_string(), v4.state, v4.inode), ("127.0.0.1:2024".to_owned(), 10, 1212));
        let v6 = "  1: 00000000000000000000000001000000:0016 B80D0120000000000000000001000000:1F90 01 0:0 0:0 0 33 0 77 1";
        let v6 = socket_line(v6).expect("it is a socket");
        assert_eq!(
            (v6.local.to_string(), v6.remote.to_string()),
            ("[::1]:22".to_owned(), "[2001:db8::1]:8080".to_owned())
        );
        assert_eq!((v6.user, v6.inode), (33, 77));
        assert_eq!(socket_line("  sl  local_address rem_address   st"), None);
    }

    proptest! {
        #[test]
        fn any_line_ends_in_a_value_or_none(line in "\\PC{0,200}") {
            let _ = (mapping(&line), socket_line(&line), status(&line));
        }
    }
}
