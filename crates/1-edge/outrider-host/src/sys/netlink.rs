//! The socket of the process connector (linux/cn_proc.h).

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use super::{checked, owned};

/// `CN_IDX_PROC`: the process connector and its multicast group.
const CONNECTOR_PROCESS: u32 = 1;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;
/// Receive buffer: about 4,000 events, a fork storm of some tenths of a second. It is the kernel's memory.
const BUFFER_BYTES: libc::c_int = 1 << 20;

/// Opens a socket on which the kernel reports forks, executions, changes of user and ends of processes.
///
/// # Errors
/// Not allowed (`CAP_NET_ADMIN` in the first user namespace), or a kernel without the connector.
pub(crate) fn process_connector() -> io::Result<File> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: three numbers.
    let socket = owned(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_CONNECTOR) })?;
    let bytes = BUFFER_BYTES;
    for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
        // SAFETY: the option takes an int, whose address and size are given. A smaller buffer only loses sooner.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                length_of::<libc::c_int>(),
            )
        };
        if result == 0 {
            break;
        }
    }
    // SAFETY: the address is plain numbers, for which zeros are a value.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).unwrap_or(0);
    address.nl_groups = CONNECTOR_PROCESS;
    // SAFETY: address and length belong together and live through the call.
    let result = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length_of::<libc::sockaddr_nl>())
    };
    checked(result.into())?;
    let message = listen_message();
    // SAFETY: the message lives through the call and its length is given.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    checked(sent as libc::c_long)?;
    Ok(socket)
}

/// Netlink header (16 bytes), connector header (20), operation (4).
fn listen_message() -> [u8; 40] {
    let mut message = [0; 40];
    let done: u16 = 3;
    message[..4].copy_from_slice(&40u32.to_ne_bytes());
    message[4..6].copy_from_slice(&done.to_ne_bytes());
    message[12..16].copy_from_slice(&std::process::id().to_ne_bytes());
    message[16..20].copy_from_slice(&CONNECTOR_PROCESS.to_ne_bytes());
    message[20..24].copy_from_slice(&1u32.to_ne_bytes());
    message[32..34].copy_from_slice(&4u16.to_ne_bytes());
    message[36..40].copy_from_slice(&LISTEN.to_ne_bytes());
    message
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}
