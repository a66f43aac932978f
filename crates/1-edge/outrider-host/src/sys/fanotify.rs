//! fanotify groups, marks and file handles (fanotify(7), name_to_handle_at(2)).

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{checked, owned};

/// Bytes of a file handle at most (`MAX_HANDLE_SZ`).
const HANDLE_BYTES_MAX: usize = 128;
const HANDLE_ROOM: libc::c_uint = 128;
/// `AT_HANDLE_FID`: a handle that identifies and need not be opened; for file systems without exports.
const AT_HANDLE_FID: libc::c_int = 0x200;
/// `FAN_REPORT_DFID_NAME_TARGET`: directory, name and the object itself.
const REPORT_NAME_TARGET: libc::c_uint = 0x200 | 0x400 | 0x800 | 0x1000;
/// `FAN_REPORT_DFID_NAME`: directory and name.
const REPORT_NAME: libc::c_uint = 0x400 | 0x800;

/// Events asked for: content written, attributes, names that come and go, and the directory's own end.
const MASK: u64 = libc::FAN_CLOSE_WRITE
    | libc::FAN_ATTRIB
    | libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_MOVED_FROM
    | libc::FAN_MOVED_TO
    | libc::FAN_ONDIR
    | libc::FAN_EVENT_ON_CHILD;

/// What a group reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupKind {
    /// The object itself is named too, so that a name made and deleted again is not merged with its successor.
    pub(crate) has_target: bool,
    /// The queue has no bound in the kernel; the reader bounds it.
    pub(crate) is_unlimited: bool,
}

/// Opens a group, the best kind that kernel and rights allow.
///
/// # Errors
/// No fanotify at all.
pub(crate) fn group() -> io::Result<(File, GroupKind)> {
    let base = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
    let unlimited = libc::FAN_UNLIMITED_QUEUE | libc::FAN_UNLIMITED_MARKS;
    let kinds = [
        (unlimited | REPORT_NAME_TARGET, GroupKind { has_target: true, is_unlimited: true }),
        (unlimited | REPORT_NAME, GroupKind { has_target: false, is_unlimited: true }),
        (REPORT_NAME_TARGET, GroupKind { has_target: true, is_unlimited: false }),
        (REPORT_NAME, GroupKind { has_target: false, is_unlimited: false }),
    ];
    let mut last = io::Error::from_raw_os_error(libc::ENOSYS);
    for (flags, kind) in kinds {
        // SAFETY: two numbers; the kernel refuses flags it does not know.
        let result = unsafe { libc::fanotify_init(base | flags, libc::O_RDONLY.cast_unsigned()) };
        match owned(result) {
            Ok(file) => return Ok((file, kind)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn path_of(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Watches a directory and the names in it; symbolic links are not followed.
///
/// # Errors
/// As fanotify_mark(2).
pub(crate) fn watch(group: &File, folder: &Path) -> io::Result<()> {
    mark(group, libc::FAN_MARK_ADD | libc::FAN_MARK_ONLYDIR | libc::FAN_MARK_DONT_FOLLOW, MASK, folder)
}

/// Ends every watch of a group. Events that wait stay.
///
/// # Errors
/// As fanotify_mark(2).
pub(crate) fn unwatch_all(group: &File) -> io::Result<()> {
    mark(group, libc::FAN_MARK_FLUSH, 0, Path::new("/"))
}

fn mark(group: &File, flags: libc::c_uint, mask: u64, folder: &Path) -> io::Result<()> {
    let path = path_of(folder)?;
    // SAFETY: the group is open, the path is a string with its end that lives through the call.
    let result =
        unsafe { libc::fanotify_mark(group.as_raw_fd(), flags, mask, libc::AT_FDCWD, path.as_ptr()) };
    checked(result.into()).map(drop)
}

/// Returns the bytes of the events that wait, as far as the kernel says; names come on top.
pub(crate) fn waiting_bytes(group: &File) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int through the pointer, which is valid.
    let result = unsafe { libc::ioctl(group.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if result < 0 { 0 } else { u64::try_from(bytes).unwrap_or(0) }
}

#[repr(C)]
struct RawHandle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    handle: [u8; HANDLE_BYTES_MAX],
}

/// Returns the identity of a file as fanotify reports it: file system, length and kind of the handle, handle.
///
/// # Errors
/// The file is not there, or its file system has no handles.
pub(crate) fn identity(path: &Path) -> io::Result<Box<[u8]>> {
    let name = path_of(path)?;
    let mut raw = RawHandle { bytes: HANDLE_ROOM, kind: 0, handle: [0; HANDLE_BYTES_MAX] };
    let mut mount: libc::c_int = 0;
    let mut outcome = Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    for flags in [0, AT_HANDLE_FID] {
        // SAFETY: `raw` says how many bytes its handle has room for and is laid out as `struct file_handle`; all
        // pointers are valid through the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                libc::AT_FDCWD,
                name.as_ptr(),
                &raw mut raw,
                &raw mut mount,
                flags,
            )
        };
        outcome = checked(result).map(drop);
        if outcome.is_ok() {
            break;
        }
    }
    outcome?;
    let length = usize::try_from(raw.bytes).unwrap_or(0).min(HANDLE_BYTES_MAX);
    let mut key = Vec::with_capacity(16 + length);
    key.extend(file_system(&name)?);
    key.extend(raw.bytes.to_ne_bytes());
    key.extend(raw.kind.to_ne_bytes());
    key.extend(raw.handle.iter().take(length));
    Ok(key.into_boxed_slice())
}

fn file_system(name: &CString) -> io::Result<[u8; 8]> {
    // SAFETY: statfs is plain numbers, for which zeros are a value.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid through the call.
    checked(unsafe { libc::statfs(name.as_ptr(), &raw mut facts) }.into())?;
    // SAFETY: fsid_t is two ints (statfs(2)) without padding; the sizes are checked at compile time by transmute.
    Ok(unsafe { std::mem::transmute::<libc::fsid_t, [u8; 8]>(facts.f_fsid) })
}
