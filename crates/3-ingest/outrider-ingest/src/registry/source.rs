//! Bytes of a file with a line count and a small look ahead.

use std::io::{self, Read};

/// Bytes asked for at once.
const CHUNK: usize = 64 << 10;

/// Reader with a buffer of its own; at most one chunk and one look ahead are in memory.
pub(super) struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    line: u64,
    bytes: u64,
    is_ended: bool,
}

impl<R: Read> Source<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), at: 0, line: 1, bytes: 0, is_ended: false }
    }

    /// Bytes that were taken.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Line of the next byte.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// Returns what comes next, at least `wanted` bytes unless the file ends before.
    pub(super) fn look(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.buffer.len() - self.at < wanted && !self.is_ended {
            self.buffer.drain(..self.at);
            self.at = 0;
            let old = self.buffer.len();
            self.buffer.resize(old + CHUNK, 0);
            let read = loop {
                match self.reader.read(&mut self.buffer[old..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
            self.is_ended = read? == 0;
        }
        Ok(&self.buffer[self.at..])
    }

    /// Takes bytes that were looked at.
    pub(super) fn skip(&mut self, count: usize) {
        let to = (self.at + count).min(self.buffer.len());
        let taken = &self.buffer[self.at..to];
        self.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.bytes += taken.len() as u64;
        self.at = to;
    }

    /// Takes one byte.
    pub(super) fn take(&mut self) -> io::Result<Option<u8>> {
        let byte = match self.buffer.get(self.at) {
            Some(byte) => Some(*byte),
            None => self.look(1)?.first().copied(),
        };
        if let Some(byte) = byte {
            self.at += 1;
            self.bytes += 1;
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    /// Takes white space.
    pub(super) fn skip_space(&mut self) -> io::Result<()> {
        while self.look(1)?.first().is_some_and(u8::is_ascii_whitespace) {
            self.skip(1);
        }
        Ok(())
    }

    /// Takes the rest of the line with its end.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        while let Some(byte) = self.take()? {
            if byte == b'\n' {
                break;
            }
        }
        Ok(())
    }
}
