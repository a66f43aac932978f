//! The calls to the kernel that the standard library does not have. All `unsafe` code of the host sensors is here.
//!
//! **In:** safe types. **Out:** owned file descriptors and `io::Result`s. **Never:** a raw pointer or descriptor that
//! leaves a function. Everything that only reads or writes uses `std::fs::File` over the descriptors made here.

#![expect(unsafe_code, reason = "system calls; each block states why it is sound")]

pub(crate) mod confine;
pub(crate) mod fanotify;
pub(crate) mod netlink;
pub(crate) mod socketcan;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Most descriptors one [`wait`] looks at.
pub(crate) const WAIT_FDS_MAX: usize = 64;

/// Turns a kernel return value into a result.
fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes ownership of a descriptor that the kernel has just returned.
fn owned(result: libc::c_int) -> io::Result<File> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel returned this descriptor in the call just made, and nothing else knows it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(result) }))
}

/// Waits until a descriptor is readable, or until the time is over. Descriptors beyond [`WAIT_FDS_MAX`] are not
/// waited for; their sensors are asked in every turn all the same.
pub(crate) fn wait(descriptors: &[BorrowedFd<'_>], timeout_ms: i32) {
    let mut list = [libc::pollfd { fd: -1, events: 0, revents: 0 }; WAIT_FDS_MAX];
    let mut count: libc::nfds_t = 0;
    for (slot, descriptor) in list.iter_mut().zip(descriptors) {
        *slot = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        count += 1;
    }
    // SAFETY: `list` lives through the call and has at least `count` entries; descriptors are borrowed, hence open.
    // An error, such as a signal, is an early end of the wait.
    let _ = unsafe { libc::poll(list.as_mut_ptr(), count, timeout_ms) };
}

/// Returns the user that the program runs as.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// Returns clock ticks a second, the unit of processor times in `/proc`; 100 if the system does not say.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes a number and returns a number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}
