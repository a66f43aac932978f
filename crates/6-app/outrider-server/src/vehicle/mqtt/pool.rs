//! Read buffers that connections borrow while bytes come in, and a bound on what half packets may hold together.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a pooled buffer: one TLS record of the longest kind.
const BUFFER_BYTES: usize = 16 << 10;
/// Buffers that are kept when nobody needs them.
const IDLE_MAX: usize = 64;
/// Packets longer than a pooled buffer may hold this much together, in KiB: 64 MiB, sixty packets of the longest kind.
/// Further ones wait unread in the kernel.
const LARGE_KIB_MAX: usize = 64 << 10;

/// The pool.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
    large: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: Mutex::default(), large: Arc::new(Semaphore::new(LARGE_KIB_MAX)) }
    }
}

/// A borrowed buffer: bytes that were read and not used yet.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// First byte that was not used.
    start: usize,
    /// End of the bytes that were read.
    end: usize,
    large: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn borrow(&self) -> Buffer {
        let bytes = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: bytes.unwrap_or_else(|| vec![0; BUFFER_BYTES]), start: 0, end: 0, large: None }
    }

    pub(super) fn give_back(&self, buffer: Buffer) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.large.is_none() && idle.len() < IDLE_MAX {
            idle.push(buffer.bytes);
        }
    }

    /// Makes room for a packet of `bytes`; waits while half packets of others hold the memory.
    pub(super) async fn make_room(&self, buffer: &mut Buffer, bytes: usize) {
        buffer.bytes.copy_within(buffer.start..buffer.end, 0);
        buffer.end -= buffer.start;
        buffer.start = 0;
        if bytes > buffer.bytes.len() {
            let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
            // Given up before more is wanted: who holds some and waits for more could wait for ever.
            buffer.large = None;
            buffer.large = Arc::clone(&self.large).acquire_many_owned(kib).await.ok();
            buffer.bytes.resize(bytes, 0);
        }
    }
}

impl Buffer {
    /// Returns the bytes that were read and not used.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns the free space behind them.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Says that `count` bytes were written into the space.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Says that the first `count` bytes were used.
    pub(super) fn used(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // A long packet is rare: its memory goes back at once.
            if self.large.take().is_some() {
                self.bytes.truncate(BUFFER_BYTES);
                self.bytes.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_buffer_grows_for_a_packet_and_shrinks_after_it() {
        let pool = Pool::default();
        let mut buffer = pool.borrow();
        buffer.space()[..3].copy_from_slice(b"abc");
        buffer.filled(3);
        buffer.used(1);
        pool.make_room(&mut buffer, 100_000).await;
        assert_eq!(buffer.unread(), b"bc");
        assert_eq!(buffer.space().len(), 99_998);
        assert_eq!(pool.large.available_permits(), LARGE_KIB_MAX - 98);
        buffer.used(2);
        assert_eq!((buffer.space().len(), pool.large.available_permits()), (BUFFER_BYTES, LARGE_KIB_MAX));
        pool.give_back(buffer);
        assert_eq!(pool.idle.lock().expect("no test panics here").len(), 1);
    }
}
