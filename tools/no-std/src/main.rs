//! Proof by linking: the vehicle's edge needs no `std` and no allocator, and no panic can be reached in it.
//!
//! The panic handler calls a function that does not exist. If the compiler cannot prove for any code below that it does
//! not panic, the linker misses that function. Overflow checks are on, as in the product.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use outrider_bus::can::{CanId, Frame};
use outrider_ids::BusDetector;
use outrider_ids::ethernet::EthernetDetector;
use outrider_ids::ethernet::model::EthernetModel;
use outrider_ids::model::VehicleModel;
use outrider_types::{BusId, VehicleMicros};
use outrider_wire::Batch;

unsafe extern "C" {
    safe fn outrider_edge_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    outrider_edge_can_panic()
}

/// Entry point: what the linker keeps hangs on it. Never run.
///
/// # Safety
/// `bytes` points to `length` bytes, `can` and `ethernet` to detectors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _start(
    bytes: *const u8,
    length: usize,
    can: *mut BusDetector,
    ethernet: *mut EthernetDetector,
) -> u64 {
    // SAFETY: the caller's promise.
    let (input, can, ethernet) =
        unsafe { (core::slice::from_raw_parts(bytes, length), &mut *can, &mut *ethernet) };
    let mut said = model(input, can);
    for chunk in input.chunks(32) {
        let Some((head, data)) = chunk.split_first_chunk::<8>() else { continue };
        let word = u64::from_le_bytes(*head);
        let at = VehicleMicros(word >> 11);
        ethernet.receive(at, data);
        if let Some(id) = CanId::standard((word & 0x7FF) as u32)
            && let Ok(frame) = Frame::classic(id, data)
        {
            can.receive(at, &frame);
        }
        can.tick(at);
        ethernet.tick(at);
        while let Some(seen) = can.pop().or_else(|| ethernet.pop()) {
            said ^= u64::from(seen.episode) ^ seen.at.0;
        }
    }
    can.finish();
    ethernet.finish();
    said ^ batch(input)
}

/// Reads models and makes detectors of them.
fn model(input: &[u8], can: &mut BusDetector) -> u64 {
    match VehicleModel::parse(input) {
        Ok(vehicle) => {
            if let Some(bus) = vehicle.bus(BusId(0)) {
                *can = BusDetector::new(&bus);
            }
        }
        Err(error) => return error.code().len() as u64,
    }
    EthernetModel::parse(input).map_or(1, |model| u64::from(model.head().learned_ms > 0))
}

/// Reads rows of the wire format.
fn batch(input: &[u8]) -> u64 {
    let Ok(batch) = Batch::parse(input) else { return 0 };
    batch.events().flatten().fold(0, |sum, event| {
        let fields = event.fields().fold(0, |sum: u64, field| sum ^ u64::from(field.key.0));
        sum ^ event.head.seq.0 ^ fields
    })
}
