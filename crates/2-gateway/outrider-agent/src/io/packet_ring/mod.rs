//! Live capture from an Ethernet interface: a ring shared with the kernel (`AF_PACKET`, `TPACKET_V3`).
//!
//! **In:** every frame that an interface sends or receives. **Out:** the frames, from the destination address on, with
//! the VLAN tag that the kernel took off put back. **Never:** more than [`FRAMES_PER_TURN`] frames in a turn, an
//! allocation after [`PacketRing::open`], or a loss that is not counted: the kernel counts what did not fit the ring, and
//! what was shed here is in [`RingCounts::shed`]. **Start reading** at [`PacketRing::turn`].

mod block;
mod sys;

use std::io::{self, Write};

use block::frames;
use sys::{BLOCKS, Ring};

/// Most frames taken in a turn. At fifty turns a second that is 50,000 frames a second, which costs a few percent of a
/// core and is more than a 100 Mbit/s link of ordinary traffic carries.
pub const FRAMES_PER_TURN: u64 = 1024;
/// Blocks waiting above which the oldest are given back unread: three quarters of the ring.
const WAITING_MAX: usize = BLOCKS / 4 * 3;
/// Longest frame that is put together with its VLAN tag.
const FRAME_BYTES_MAX: usize = 65_536 + 4;

/// Counts since the ring was opened. Every frame the kernel counted is in exactly one of `taken`, `shed`, `damaged` and
/// `dropped`, but for those still in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingCounts {
    /// Frames handed out.
    pub taken: u64,
    /// Frames given back unread because the detectors could not keep up.
    pub shed: u64,
    /// Frames whose place in a block made no sense.
    pub damaged: u64,
    /// Frames that the kernel had no room for.
    pub dropped: u64,
    /// Frames that the kernel saw, dropped ones among them.
    pub seen: u64,
}

/// Ring of one interface.
#[derive(Debug)]
pub struct PacketRing {
    ring: Ring,
    next: usize,
    counts: RingCounts,
    scratch: Vec<u8>,
}

impl PacketRing {
    /// Opens an interface; needs `CAP_NET_RAW`.
    ///
    /// # Errors
    /// No such interface, no right to listen, or no memory for the ring.
    pub fn open(interface: &str) -> io::Result<Self> {
        let ring = Ring::open(interface)?;
        Ok(Self { ring, next: 0, counts: RingCounts::default(), scratch: vec![0; FRAME_BYTES_MAX] })
    }

    /// Hands out what has come, block by block, until nothing is left or [`FRAMES_PER_TURN`] is passed; the block at
    /// hand is finished. Then sheds what waits beyond three quarters of the ring.
    pub fn turn(&mut self, mut each: impl FnMut(&[u8])) {
        let begin = self.counts.taken;
        while self.counts.taken - begin < FRAMES_PER_TURN {
            let Some(bytes) = self.ring.block(self.next) else { return };
            let counted = frames(bytes, &mut self.scratch, &mut each);
            self.counts.taken += counted.taken;
            self.counts.damaged += counted.damaged;
            self.advance();
        }
        while self.waiting() > WAITING_MAX {
            let Some(bytes) = self.ring.block(self.next) else { return };
            self.counts.shed += block::count(bytes);
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.ring.release(self.next);
        self.next = (self.next + 1) % BLOCKS;
    }

    fn waiting(&self) -> usize {
        (0..BLOCKS).filter(|&block| self.ring.is_ready(block)).count()
    }

    /// Returns the counts, the kernel's among them.
    pub fn counts(&mut self) -> RingCounts {
        // The kernel clears its counts when they are read; a failure leaves them for the next time.
        if let Ok(kernel) = self.ring.counts() {
            self.counts.dropped += u64::from(kernel.drops);
            self.counts.seen += u64::from(kernel.packets);
        }
        self.counts
    }

    /// Sends a whole frame, as the laboratory and the tests do.
    ///
    /// # Errors
    /// The interface is down or the frame is no frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.ring.socket().write_all(frame)
    }
}
