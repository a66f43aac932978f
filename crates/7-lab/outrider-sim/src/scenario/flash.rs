//! A flash device that loses power: what was not flushed arrives in part, torn, in any order, or not at all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outrider_gateway::spool::{Anchor, AnchorError, AnchorKind, Attestation};
use outrider_gateway::{MemoryStorage, Storage, StorageError};
use outrider_types::Seed;

/// What of a vehicle outlives a power cut besides the flash: whether there is power, and the anchor's counter.
#[derive(Debug, Clone, Default)]
pub(super) struct Hardware {
    off: Arc<AtomicBool>,
    counter: Arc<AtomicU64>,
}

impl Hardware {
    /// A copy of the software's view: as far as a counter can be copied.
    pub(super) fn copied(&self) -> Self {
        Self { off: Arc::default(), counter: Arc::new(AtomicU64::new(self.counter())) }
    }

    pub(super) fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    pub(super) fn set_off(&self, off: bool) {
        self.off.store(off, Ordering::Relaxed);
    }

    /// Returns the anchor's counter, as somebody reads it who stands beside the vehicle.
    pub(super) fn counter(&self) -> u64 {
        self.counter.load(Ordering::Relaxed)
    }
}

fn away() -> AnchorError {
    AnchorError { reason: "away", detail: "no power".to_owned() }
}

impl Anchor for Hardware {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Software
    }

    fn read(&self) -> Result<u64, AnchorError> {
        if self.is_off() { Err(away()) } else { Ok(self.counter()) }
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        if self.is_off() {
            return Err(away());
        }
        Ok(self.counter.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError> {
        let counter = self.read()?;
        Ok(Attestation { kind: AnchorKind::Software, counter, head: *head, proof: Vec::new() })
    }
}

/// Bytes in front of the slots, with both copies of the keys (`docs/book/gateway.md`, Layout).
pub(super) const KEY_AREA_BYTES: u64 = 8192;

/// A write since the last flush, and what stood there before.
#[derive(Debug, Clone)]
struct Pending {
    offset: u64,
    before: Vec<u8>,
    written: Vec<u8>,
}

/// The flash device of one simulated vehicle.
#[derive(Debug, Clone)]
pub(super) struct Flash {
    cells: MemoryStorage,
    hardware: Hardware,
    pending: Vec<Pending>,
    /// Bytes that may still be written before the power goes, in the middle of a write.
    fuse: Option<u64>,
    /// The device refuses to write.
    refuses: bool,
    pub(super) bytes_written: u64,
    pub(super) refused: u64,
}

/// What a power cut did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cut {
    /// Writes since the last flush that did not arrive.
    pub(super) lost: u64,
    /// Writes of which a part arrived.
    pub(super) torn: u64,
    /// Writes that arrived although an earlier one did not.
    pub(super) reordered: u64,
}

impl Flash {
    pub(super) fn new(hardware: Hardware) -> Self {
        Self {
            cells: MemoryStorage::new(),
            hardware,
            pending: Vec::new(),
            fuse: None,
            refuses: false,
            bytes_written: 0,
            refused: 0,
        }
    }

    /// Lets the power go after so many more bytes.
    pub(super) const fn set_fuse(&mut self, bytes: Option<u64>) {
        self.fuse = bytes;
    }

    pub(super) const fn set_refuses(&mut self, refuses: bool) {
        self.refuses = refuses;
    }

    /// Returns whether all records that were written are durable. The second copy of the keys may wait for the next flush;
    /// the first one is durable by then.
    pub(super) fn is_clean(&self) -> bool {
        self.pending.iter().all(|write| write.offset < KEY_AREA_BYTES)
    }

    /// Takes over what waits, as an orderly end of the operating system does.
    pub(super) fn settle(&mut self) {
        self.pending.clear();
    }

    /// Returns the content, as somebody reads it who holds the device.
    pub(super) const fn cells(&self) -> &MemoryStorage {
        &self.cells
    }

    /// Returns the content, as somebody writes it who holds the device.
    pub(super) const fn cells_mut(&mut self) -> &mut MemoryStorage {
        &mut self.cells
    }

    /// Takes the power away: each write since the last flush arrives whole, torn or not at all, in any order.
    pub(super) fn cut(&mut self, random: &mut Seed) -> Cut {
        let mut cut = Cut::default();
        self.fuse = None;
        self.hardware.set_off(true);
        for write in self.pending.iter().rev() {
            self.cells.put(write.offset, &write.before);
        }
        let pending = std::mem::take(&mut self.pending);
        let mut landed: Vec<usize> = (0..pending.len()).filter(|_| random.chance(2, 3)).collect();
        cut.lost = (pending.len() - landed.len()) as u64;
        for at in (1..landed.len()).rev() {
            landed.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap_or(0));
        }
        cut.reordered = landed.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
        for index in landed {
            let write = &pending[index];
            if !random.chance(1, 4) {
                self.cells.put(write.offset, &write.written);
                continue;
            }
            cut.torn += 1;
            let whole = usize::try_from(random.below(write.written.len() as u64)).unwrap_or(0);
            let fill = random.below(4);
            let mut bytes = write.written.clone();
            for (at, byte) in bytes.iter_mut().enumerate().skip(whole) {
                *byte = match fill {
                    0 => self.cells.byte(write.offset + at as u64),
                    1 => 0,
                    2 => 0xFF,
                    _ => random.next_u64().to_le_bytes()[0],
                };
            }
            self.cells.put(write.offset, &bytes);
        }
        cut
    }
}

/// A plug into a device, which outlives the spool that is opened on it.
#[derive(Debug, Clone)]
pub(super) struct Plug(Arc<Mutex<Flash>>);

impl Plug {
    pub(super) fn new(flash: Flash) -> Self {
        Self(Arc::new(Mutex::new(flash)))
    }

    /// Returns the device.
    pub(super) fn device(&self) -> MutexGuard<'_, Flash> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Plug {
    fn reserve(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.device().reserve(bytes)
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
        self.device().read(offset, length)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.device().write(offset, bytes)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.device().flush()
    }
}

fn no_power() -> StorageError {
    StorageError::Io { action: "reach the flash", message: "no power".to_owned() }
}

impl Storage for Flash {
    fn reserve(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.cells.reserve(bytes)
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
        if self.hardware.is_off() { Err(no_power()) } else { self.cells.read(offset, length) }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        if self.hardware.is_off() {
            return Err(no_power());
        }
        if self.refuses {
            self.refused += 1;
            return Err(StorageError::Full);
        }
        let fits = match self.fuse {
            Some(left) if left < bytes.len() as u64 => usize::try_from(left).unwrap_or(0),
            Some(_) | None => bytes.len(),
        };
        let written = &bytes[..fits];
        let before = self.cells.read(offset, fits)?;
        self.cells.write(offset, written)?;
        self.bytes_written += fits as u64;
        self.pending.push(Pending { offset, before, written: written.to_vec() });
        if let Some(left) = &mut self.fuse {
            *left -= fits as u64;
        }
        if fits < bytes.len() {
            self.hardware.set_off(true);
            return Err(no_power());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        if self.hardware.is_off() {
            return Err(no_power());
        }
        if self.refuses {
            return Err(StorageError::Full);
        }
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Flash {
        let mut flash = Flash::new(Hardware::default());
        flash.reserve(4096).expect("in memory");
        flash
    }

    #[test]
    fn what_was_flushed_survives_every_cut_and_the_rest_need_not() {
        let mut changed = 0;
        for number in 0..64 {
            let mut flash = device();
            flash.write(0, &[1; 64]).expect("power");
            flash.flush().expect("power");
            flash.write(0, &[2; 32]).expect("power");
            flash.write(64, &[3; 32]).expect("power");
            flash.cut(&mut Seed::new(number));
            assert!(flash.read(0, 1).is_err(), "no power");
            let after: Vec<u8> = (0..96).map(|at| flash.cells().byte(at)).collect();
            assert_eq!(after[32..64], [1; 32]);
            changed += u32::from(after[..32] != [1; 32]);
        }
        assert!((20..60).contains(&changed), "{changed}");
    }

    #[test]
    fn a_fuse_ends_in_the_middle_of_a_write() {
        let mut flash = device();
        flash.set_fuse(Some(40));
        flash.write(0, &[1; 32]).expect("power");
        assert!(flash.write(32, &[1; 32]).is_err());
        assert!(flash.hardware.is_off() && flash.flush().is_err());
        assert_eq!(flash.bytes_written, 40);
    }
}
