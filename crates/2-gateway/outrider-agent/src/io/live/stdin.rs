//! Lines of candump on a pipe, taken at the time at which they come.

use std::io::{self, BufRead, Read};

use outrider_bus::can::Frame;
use outrider_types::BusId;

use super::{LiveSource, Received};
use crate::io::capture::{CandumpLines, LINE_BYTES_MAX};

/// The source.
pub(super) struct Stdin {
    input: Box<dyn BufRead + Send>,
    lines: CandumpLines,
    line: Vec<u8>,
    /// The rest of a line that was too long is passed over.
    is_long: bool,
}

impl Stdin {
    pub(super) fn new(input: Box<dyn BufRead + Send>, bus: BusId) -> Self {
        Self { input, lines: CandumpLines::new(bus), line: Vec::new(), is_long: false }
    }
}

impl LiveSource for Stdin {
    fn receive(&mut self, take: &mut dyn FnMut(BusId, Frame)) -> io::Result<Received> {
        let mut received = Received::QUIET;
        let left = LINE_BYTES_MAX.saturating_sub(self.line.len()) as u64 + 1;
        let length = Read::take(&mut self.input, left).read_until(b'\n', &mut self.line)?;
        if length == 0 {
            return Ok(Received { goes_on: false, ..received });
        }
        let is_whole = self.line.last() == Some(&b'\n');
        if !is_whole && self.line.len() > LINE_BYTES_MAX {
            received.rejected = u64::from(!std::mem::replace(&mut self.is_long, true));
            self.line.clear();
        } else if is_whole {
            if !std::mem::take(&mut self.is_long) {
                match self.lines.frame(&String::from_utf8_lossy(&self.line)) {
                    Ok(Some(timed)) => take(timed.bus, timed.frame),
                    Ok(None) => {}
                    Err(_) => received.rejected = 1,
                }
            }
            self.line.clear();
        }
        Ok(received)
    }
}
