//! A CAN interface of this host (linux/can/raw.h).

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use outrider_bus::can::{ByteOrder, FRAME_FD_BYTES, Frame, SocketCanView};
use outrider_types::BusId;

use super::{LiveSource, Received, WAIT_MS};

/// Frames taken in one wait.
const FRAMES_MAX: usize = 256;

/// The kernel's frames are in the machine's byte order.
const ORDER: ByteOrder = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };

/// The source.
pub(super) struct SocketCan {
    socket: File,
    bus: BusId,
}

impl SocketCan {
    pub(super) fn open(interface: &str, bus: BusId) -> io::Result<Self> {
        Ok(Self { socket: outrider_host::can_socket(interface, WAIT_MS)?, bus })
    }
}

impl LiveSource for SocketCan {
    fn receive(&mut self, take: &mut dyn FnMut(BusId, Frame)) -> io::Result<Received> {
        let mut received = Received::QUIET;
        let mut buffer = [0; FRAME_FD_BYTES];
        for _ in 0..FRAMES_MAX {
            let length = match self.socket.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // The interface went down; it may come up again.
                Err(error) if error.kind() == ErrorKind::NetworkDown => break,
                Err(error) => return Err(error),
            };
            let bytes = buffer.get(..length).unwrap_or(&[]);
            match SocketCanView::new(bytes, ORDER).and_then(|view| view.frame()) {
                Ok(frame) => take(self.bus, frame),
                Err(_) => received.rejected += 1,
            }
        }
        Ok(received)
    }
}
