//! CAN over UDP as cannelloni sends it, version 2 of its format.
//!
//! A datagram: `version, operation, sequence: u8, count: u16` big endian, then frames: `id: u32` big endian with the flag
//! bits of SocketCAN, `length: u8` (0x80 marks CAN FD, then `flags: u8`), data unless it is a remote frame.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use outrider_bus::can::{CanId, Dlc, ErrorClass, FdFlags, Frame};
use outrider_types::BusId;

use super::{LiveSource, Received, WAIT_MS};

const VERSION: u8 = 2;
const OPERATION_DATA: u8 = 0;
const HEAD_BYTES: usize = 5;
const FLAG_EXTENDED: u32 = 0x8000_0000;
const FLAG_REMOTE: u32 = 0x4000_0000;
const FLAG_ERROR: u32 = 0x2000_0000;
const LENGTH_FD: u8 = 0x80;
/// Datagrams taken in one wait, so that the end of the program is not missed under load.
const DATAGRAMS_MAX: usize = 64;

/// Gives the frames of a datagram to `take`; returns how many pieces were none: a frame that cannot be, or the rest of a
/// datagram whose announced frames are not there.
pub fn parse(datagram: &[u8], mut take: impl FnMut(Frame)) -> u64 {
    let &[VERSION, OPERATION_DATA, _, high, low, ref rest @ ..] = datagram else { return 1 };
    let (mut rest, mut rejected) = (rest, 0);
    for _ in 0..u16::from_be_bytes([high, low]) {
        let Some((frame, behind)) = piece(rest) else { return rejected + 1 };
        match frame {
            Some(frame) => take(frame),
            None => rejected += 1,
        }
        rest = behind;
    }
    if rest.is_empty() { rejected } else { rejected + 1 }
}

/// Reads one frame; `None` if its bytes are not all there, `Some(None)` if no frame is like that.
fn piece(bytes: &[u8]) -> Option<(Option<Frame>, &[u8])> {
    let (&id, behind) = bytes.split_first_chunk::<4>()?;
    let (word, (&length, mut behind)) = (u32::from_be_bytes(id), behind.split_first()?);
    let is_fd = length & LENGTH_FD != 0;
    let mut flags = 0;
    if is_fd {
        (flags, behind) = behind.split_first().map(|(flags, behind)| (*flags, behind))?;
    }
    let length = length & !LENGTH_FD;
    if word & FLAG_REMOTE != 0 {
        let frame = can_id(word).zip(Dlc::new(length)).map(|(id, dlc)| Frame::remote(id, dlc));
        return Some((frame, behind));
    }
    let (data, behind) = behind.split_at_checked(usize::from(length))?;
    let frame = if word & FLAG_ERROR != 0 {
        ErrorClass::new(word & 0x1FFF_FFFF).and_then(|class| Frame::error(class, data).ok())
    } else if is_fd {
        let flags = FdFlags { brs: flags & 1 != 0, esi: flags & 2 != 0 };
        can_id(word).and_then(|id| Frame::fd(id, flags, data).ok())
    } else {
        can_id(word).and_then(|id| Frame::classic(id, data).ok())
    };
    Some((frame, behind))
}

fn can_id(word: u32) -> Option<CanId> {
    let value = word & 0x1FFF_FFFF;
    if word & FLAG_EXTENDED != 0 { CanId::extended(value) } else { CanId::standard(value) }
}

/// The source.
pub(super) struct Cannelloni {
    socket: UdpSocket,
    bus: BusId,
    buffer: Vec<u8>,
    next: Option<u8>,
}

impl Cannelloni {
    pub(super) fn open(address: SocketAddr, bus: BusId) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(WAIT_MS.into())))?;
        Ok(Self { socket, bus, buffer: vec![0; 1 << 16], next: None })
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }
}

impl LiveSource for Cannelloni {
    fn receive(&mut self, take: &mut dyn FnMut(BusId, Frame)) -> io::Result<Received> {
        let mut received = Received::QUIET;
        for _ in 0..DATAGRAMS_MAX {
            let length = match self.socket.recv(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let datagram = self.buffer.get(..length).unwrap_or(&[]);
            received.rejected += parse(datagram, |frame| take(self.bus, frame));
            if let Some(&sequence) = datagram.get(2).filter(|_| datagram.len() >= HEAD_BYTES) {
                if let Some(next) = self.next {
                    // At least so many datagrams are missing; more than 255 cannot be told.
                    received.lost += u64::from(sequence.wrapping_sub(next));
                }
                self.next = Some(sequence.wrapping_add(1));
            }
        }
        Ok(received)
    }
}
