//! Raw CAN sockets (linux/can/raw.h).

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use super::{checked, owned};

/// `SOL_CAN_RAW`.
const LEVEL: libc::c_int = 101;
/// `CAN_RAW_ERR_FILTER`, `CAN_RAW_FD_FRAMES`.
const ERROR_FILTER: libc::c_int = 2;
const FD_FRAMES: libc::c_int = 5;

/// Opens an interface for reading: classic and FD frames and all error reports. Reads block for `timeout_ms` at most.
///
/// # Errors
/// No such interface, or a kernel without CAN (`EAFNOSUPPORT`).
pub(crate) fn open(interface: &str, timeout_ms: u32) -> io::Result<File> {
    let name = CString::new(interface).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: three numbers.
    let socket =
        owned(unsafe { libc::socket(libc::AF_CAN, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::CAN_RAW) })?;
    // SAFETY: the name is a string with its end.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    let all_errors: u32 = 0x1FFF_FFFF;
    let on: libc::c_int = 1;
    let wait = libc::timeval {
        tv_sec: libc::time_t::from(timeout_ms / 1000),
        tv_usec: libc::suseconds_t::from(timeout_ms % 1000) * 1000,
    };
    set(&socket, LEVEL, ERROR_FILTER, &all_errors)?;
    set(&socket, LEVEL, FD_FRAMES, &on)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &wait)?;
    // SAFETY: the address is plain numbers, for which zeros are a value.
    let mut address: libc::sockaddr_can = unsafe { std::mem::zeroed() };
    address.can_family = libc::sa_family_t::try_from(libc::AF_CAN).unwrap_or(0);
    address.can_ifindex = index.cast_signed();
    // SAFETY: address and length belong together and live through the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            libc::socklen_t::try_from(size_of::<libc::sockaddr_can>()).unwrap_or(libc::socklen_t::MAX),
        )
    };
    checked(result.into())?;
    Ok(socket)
}

fn set<T>(socket: &File, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the value's address and size are given and live through the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length)
    };
    checked(result.into()).map(drop)
}
