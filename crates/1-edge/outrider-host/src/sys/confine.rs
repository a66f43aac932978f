//! Giving up rights: user, capabilities, `no_new_privs`, seccomp, Landlock.
//!
//! All of it is for the calling thread (and, for seccomp, for every other one too): call it before threads start.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{checked, owned};

/// A capability by its number (linux/capability.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(pub u8);

impl Capability {
    /// Reading any file, for file integrity.
    pub const DAC_READ_SEARCH: Self = Self(2);
    /// Looking into other processes, for memory maps and programs.
    pub const SYS_PTRACE: Self = Self(19);
}

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Numeric user.
    pub user: u32,
    /// Numeric group.
    pub group: u32,
}

/// Finds a user by name.
///
/// # Errors
/// `NotFound` if the system has no such user.
pub fn user(name: &str) -> io::Result<User> {
    let text = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: passwd is pointers and numbers, for which zeros are a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut text_room = vec![0; 16 * 1024];
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: every pointer is valid through the call, and the room's length is given.
    let result = unsafe {
        libc::getpwnam_r(
            text.as_ptr(),
            &raw mut entry,
            text_room.as_mut_ptr(),
            text_room.len(),
            &raw mut found,
        )
    };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    if found.is_null() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("no user {name}")));
    }
    Ok(User { user: entry.pw_uid, group: entry.pw_gid })
}

#[repr(C)]
struct CapabilityHead {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Becomes `user`, without further groups, and keeps these capabilities and no other.
///
/// # Errors
/// Not allowed; the program may then have changed half way and must end.
pub(crate) fn become_user(user: User, keep: &[Capability]) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1)?;
    // SAFETY: no groups, so the pointer is not read.
    checked(unsafe { libc::setgroups(0, std::ptr::null()) }.into())?;
    // SAFETY: numbers.
    checked(unsafe { libc::setresgid(user.group, user.group, user.group) }.into())?;
    // SAFETY: numbers.
    checked(unsafe { libc::setresuid(user.user, user.user, user.user) }.into())?;
    keep_capabilities(keep)
}

/// Keeps these capabilities and no other.
///
/// # Errors
/// One of them is not there.
pub(crate) fn keep_capabilities(keep: &[Capability]) -> io::Result<()> {
    let bits = keep.iter().fold(0u64, |bits, capability| bits | 1 << (capability.0 & 63));
    let low = u32::try_from(bits & 0xFFFF_FFFF).unwrap_or(0);
    let high = u32::try_from(bits >> 32).unwrap_or(0);
    // `_LINUX_CAPABILITY_VERSION_3`: two words.
    let head = CapabilityHead { version: 0x2008_0522, pid: 0 };
    let words = [low, high].map(|word| CapabilityWord { effective: word, permitted: word, inheritable: 0 });
    // SAFETY: head and two words are laid out as capset(2) wants them for this version.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const head, words.as_ptr()) };
    checked(result).map(drop)
}

/// No execution gives more rights from now on.
///
/// # Errors
/// As prctl(2).
pub(crate) fn no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: numbers only.
    checked(unsafe { libc::prctl(option, value, none, none, none) }.into()).map(drop)
}

/// One instruction of a seccomp filter: code, jump if true, jump if false, operand.
pub(crate) type Instruction = (u16, u8, u8, u32);

/// Installs a filter for every thread.
///
/// # Errors
/// As seccomp(2); `no_new_privs` must be set.
pub(crate) fn install_filter(program: &[Instruction]) -> io::Result<()> {
    let code: Vec<libc::sock_filter> =
        program.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let length = u16::try_from(code.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog { len: length, filter: code.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `length` instructions, which live through the call, and does not write to them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    match checked(result)? {
        0 => Ok(()),
        thread => Err(io::Error::other(format!("thread {thread} could not take the filter"))),
    }
}

/// Rights on files that Landlock knows from its first version on (linux/landlock.h).
mod access {
    pub(super) const EXECUTE: u64 = 1;
    pub(super) const READ_FILE: u64 = 1 << 2;
    pub(super) const READ_DIR: u64 = 1 << 3;
    /// Everything of version 1, 13 bits.
    pub(super) const VERSION_1: u64 = (1 << 13) - 1;
    pub(super) const REFER: u64 = 1 << 13;
    pub(super) const TRUNCATE: u64 = 1 << 14;
}

/// Returns the Landlock version of the kernel, or `None` without Landlock.
pub(crate) fn landlock_version() -> Option<u32> {
    let get_version: libc::c_uint = 1;
    // SAFETY: with this flag the kernel reads no memory.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, get_version)
    };
    u32::try_from(result).ok().filter(|version| *version > 0)
}

/// Makes the whole file system readable only, without execution, but for what lies below `writable`.
///
/// # Errors
/// As landlock(7).
pub(crate) fn read_only(version: u32, writable: &[&Path]) -> io::Result<()> {
    let mut handled = access::VERSION_1;
    if version >= 2 {
        handled |= access::REFER;
    }
    if version >= 3 {
        handled |= access::TRUNCATE;
    }
    // SAFETY: the attribute is one 64-bit word, whose size is given; the kernel copies it.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size_of::<u64>(), 0u32)
    };
    let rules = owned(libc::c_int::try_from(checked(result)?).unwrap_or(-1))?;
    allow(&rules, Path::new("/"), access::READ_FILE | access::READ_DIR)?;
    for folder in writable {
        allow(&rules, folder, handled & !access::EXECUTE)?;
    }
    // SAFETY: a descriptor that is open, and a number.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0u32) };
    checked(result).map(drop)
}

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn change_mounts(path: &CString, flags: libc::c_int, attributes: &MountAttributes) -> io::Result<()> {
    // SAFETY: path and attributes live through the call, and the size of the latter is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    checked(result).map(drop)
}

/// Gives the program a view of its own of the file system in which every mount is read only but those of `writable`.
///
/// # Errors
/// Not root, or a kernel before 5.12.
pub(crate) fn read_only_mounts(writable: &[&Path]) -> io::Result<()> {
    let read_only = libc::MOUNT_ATTR_RDONLY;
    let recursive = libc::AT_RECURSIVE;
    let attributes = |set, clear, propagation| MountAttributes { set, clear, propagation, user_namespace: 0 };
    let root = CString::from(c"/");
    // SAFETY: a number; no other thread shares the view yet.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into())?;
    change_mounts(&root, recursive, &attributes(0, 0, libc::MS_SLAVE))?;
    let mut own = Vec::new();
    for folder in writable {
        let path = CString::new(folder.as_os_str().as_bytes())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let none = std::ptr::null();
        // SAFETY: the paths are strings with their ends; a bind mount reads neither type nor data.
        let result = unsafe { libc::mount(path.as_ptr(), path.as_ptr(), none, libc::MS_BIND, none.cast()) };
        checked(result.into())?;
        own.push(path);
    }
    change_mounts(&root, recursive, &attributes(read_only, 0, 0))?;
    own.iter().try_for_each(|path| change_mounts(path, 0, &attributes(0, read_only, 0)))
}

#[repr(C, packed)]
struct BeneathRule {
    allowed: u64,
    parent: libc::c_int,
}

fn allow(rules: &File, folder: &Path, allowed: u64) -> io::Result<()> {
    let path = CString::new(folder.as_os_str().as_bytes())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the path is a string with its end.
    let parent = owned(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) })?;
    let rule = BeneathRule { allowed, parent: parent.as_raw_fd() };
    let path_beneath: libc::c_int = 1;
    // SAFETY: the rule is packed as the kernel has it and lives through the call.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), path_beneath, &raw const rule, 0u32)
    };
    checked(result).map(drop)
}
