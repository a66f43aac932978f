//! Socket and shared memory of a packet ring: all `unsafe` code of live capture.
//!
//! **In:** safe types. **Out:** an owned socket, blocks as borrowed slices, `io::Result`s. **Never:** a raw pointer that
//! leaves this module, or a slice of a block that the kernel may write to.

#![expect(
    unsafe_code,
    reason = "system calls and memory shared with the kernel; each block states why it is sound"
)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a block; a multiple of every page size in use.
const BLOCK_BYTES: usize = 128 * 1024;
/// Blocks of the ring: 2 MiB together, a sixth of a second of a full 100 Mbit/s link.
pub(super) const BLOCKS: usize = 16;
/// Time after which the kernel hands over a block that is not full, in milliseconds.
const RETIRE_MS: u32 = 20;
/// Where a block's header says whose turn it is.
const STATUS_AT: usize = 8;

/// Counts of the kernel since they were last asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct KernelCounts {
    pub(super) packets: u32,
    pub(super) drops: u32,
}

/// Socket of one interface and the ring that it fills.
#[derive(Debug)]
pub(super) struct Ring {
    socket: File,
    map: NonNull<u8>,
}

// SAFETY: the mapping belongs to this value alone; nothing in it is bound to the thread that made it.
unsafe impl Send for Ring {}

impl Ring {
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let index = interface_index(interface)?;
        // SAFETY: three numbers. Protocol 0 keeps the socket silent until it is bound.
        let descriptor = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        checked(descriptor)?;
        // SAFETY: the kernel returned this descriptor in the call just made, and nothing else knows it.
        let socket = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
        let frame = 2048;
        let request = libc::tpacket_req3 {
            tp_block_size: narrow(BLOCK_BYTES)?,
            tp_block_nr: narrow(BLOCKS)?,
            tp_frame_size: frame,
            tp_frame_nr: narrow(BLOCK_BYTES * BLOCKS)? / frame,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        // SAFETY: a new shared mapping of the whole ring, at an address that the kernel picks.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BLOCK_BYTES * BLOCKS,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(map.cast()).ok_or_else(io::Error::last_os_error)?;
        let ring = Self { socket, map };
        ring.listen(index)?;
        Ok(ring)
    }

    /// Binds the socket to an interface and asks for frames to other stations, too.
    fn listen(&self, index: libc::c_int) -> io::Result<()> {
        let all = u16::try_from(libc::ETH_P_ALL).unwrap_or(3).to_be();
        // SAFETY: the address is plain numbers, for which zeros are a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or(0);
        address.sll_protocol = all;
        address.sll_ifindex = index;
        // SAFETY: address and length belong together and live through the call.
        let bound = unsafe {
            libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), length_of::<libc::sockaddr_ll>())
        };
        checked(bound)?;
        let promiscuous = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or(1),
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(&self.socket, libc::PACKET_ADD_MEMBERSHIP, &promiscuous)
    }

    /// The socket, for writing whole frames to the interface.
    pub(super) const fn socket(&self) -> &File {
        &self.socket
    }

    fn status(&self, block: usize) -> &AtomicU32 {
        let offset = block.min(BLOCKS - 1) * BLOCK_BYTES + STATUS_AT;
        // SAFETY: the offset lies inside the mapping, which lives as long as `self`, and is a multiple of four, as
        // blocks begin at pages. The kernel writes this word atomically, and everybody here uses it as an atomic.
        unsafe { AtomicU32::from_ptr(self.map.as_ptr().add(offset).cast()) }
    }

    /// Returns whether the kernel has handed a block over.
    pub(super) fn is_ready(&self, block: usize) -> bool {
        self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Returns the bytes of a block that the kernel has handed over, or `None` while it is the kernel's.
    pub(super) fn block(&self, block: usize) -> Option<&[u8]> {
        if block >= BLOCKS || !self.is_ready(block) {
            return None;
        }
        // SAFETY: the block lies inside the mapping, which lives as long as `self`. The kernel does not touch a block
        // between handing it over (seen with acquire above) and `release`, which needs `&mut self` and thus ends
        // this borrow.
        Some(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(block * BLOCK_BYTES), BLOCK_BYTES) })
    }

    /// Gives a block back to the kernel.
    pub(super) fn release(&mut self, block: usize) {
        self.status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    /// Reads and clears the kernel's counts.
    pub(super) fn counts(&self) -> io::Result<KernelCounts> {
        // SAFETY: plain numbers, for which zeros are a value.
        let mut counts: libc::tpacket_stats_v3 = unsafe { std::mem::zeroed() };
        let mut length = length_of::<libc::tpacket_stats_v3>();
        // SAFETY: the kernel writes at most `length` bytes into `counts`; both live through the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counts).cast(),
                &raw mut length,
            )
        };
        checked(result)?;
        Ok(KernelCounts { packets: counts.tp_packets, drops: counts.tp_drops })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: address and size are those of the mapping made in `open`; no borrow of it outlives `self`.
        let _ = unsafe { libc::munmap(self.map.as_ptr().cast(), BLOCK_BYTES * BLOCKS) };
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn narrow(value: usize) -> io::Result<libc::c_uint> {
    libc::c_uint::try_from(value).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

fn set<T>(socket: &File, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value's address and size are given and live through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            length_of::<T>(),
        )
    };
    checked(result)
}

fn interface_index(interface: &str) -> io::Result<libc::c_int> {
    let name = CString::new(interface).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the name is a string with its end.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::last_os_error()) } else { Ok(index.cast_signed()) }
}
