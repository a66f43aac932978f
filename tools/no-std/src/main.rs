//! Proof by linking: the vehicle's edge needs no `std` and no allocator, and no panic can be reached in it.
//!
//! The panic handler calls a function that does not exist. If the compiler cannot prove for any code below that it does
//! not panic, the linker misses that function. Overflow checks are on, as in the product.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use outrider_bus::can::{CanId, Frame};
use outrider_bus::flexray::FlexRayView;
use outrider_bus::lin::LinView;
use outrider_ids::BusDetector;
use outrider_ids::ethernet::EthernetDetector;
use outrider_ids::ethernet::model::EthernetModel;
use outrider_ids::flexray::FlexRayDetector;
use outrider_ids::flexray::model::Clusters;
use outrider_ids::lin::LinDetector;
use outrider_ids::lin::model::Buses;
use outrider_ids::model::VehicleModel;
use outrider_ids::model::habits::{PAYLOAD_BYTES_MAX, POOL_BYTES_MAX};
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
/// `bytes` points to `length` bytes, the others to detectors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _start(
    bytes: *const u8,
    length: usize,
    can: *mut BusDetector,
    ethernet: *mut EthernetDetector,
    lin: *mut LinDetector,
    flexray: *mut FlexRayDetector,
) -> u64 {
    // SAFETY: the caller's promise.
    let (input, can, ethernet) =
        unsafe { (core::slice::from_raw_parts(bytes, length), &mut *can, &mut *ethernet) };
    // SAFETY: as above.
    let (lin, flexray) = unsafe { (&mut *lin, &mut *flexray) };
    let mut said = model(input, can) ^ scheduled(input, lin, flexray);
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
    can.begin_capture(VehicleMicros(said));
    can.finish();
    ethernet.finish();
    said ^ batch(input) ^ habits(can)
}

/// Writes what a bus taught.
fn habits(can: &BusDetector) -> u64 {
    let mut said = u64::from(can.habit_stats().known);
    let mut out = [0; PAYLOAD_BYTES_MAX];
    for habit in can.payload_habits() {
        said ^= habit.write(&mut out) as u64 ^ u64::from(out[0]);
    }
    for (name, number) in can.number_habits() {
        said ^= u64::from(name) ^ u64::from(number.record()[4]);
    }
    for line in can.line_habits() {
        said ^= u64::from(line.record()[0]);
    }
    let mut out = [0; POOL_BYTES_MAX];
    for pool in can.pool_habits() {
        said ^= pool.write(&mut out) as u64 ^ u64::from(out[0]);
    }
    said
}

/// Makes detectors of LIN and FlexRay, and gives them what is heard.
fn scheduled(input: &[u8], lin: &mut LinDetector, flexray: &mut FlexRayDetector) -> u64 {
    if let Some(bus) = Buses::new(input).next() {
        *lin = LinDetector::new(&bus);
    }
    if let Some(cluster) = Clusters::new(input).next() {
        *flexray = FlexRayDetector::new(&cluster);
    }
    let (mut said, mut now) = (0, 0u64);
    for chunk in input.chunks(32) {
        now = now.wrapping_add(u64::from(chunk.first().copied().unwrap_or(0)) << 8);
        let at = VehicleMicros(now);
        if let Some(heard) = LinView::new(chunk).and_then(|view| view.heard()) {
            said ^= u64::from(lin.receive(at, &heard).is_flagged());
        }
        if let Some(heard) = FlexRayView::hear(chunk) {
            said ^= u64::from(flexray.receive(at, &heard).is_flagged());
        }
        lin.tick(at);
        flexray.tick(at);
        while let Some(seen) = lin.pop().or_else(|| flexray.pop()) {
            said ^= u64::from(seen.episode) ^ seen.at.0;
        }
    }
    lin.finish();
    flexray.finish();
    said
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
