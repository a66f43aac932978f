//! Any label file is read or refused, and what is read can be applied to a capture.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::eval::labels::LabelFile;
use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_types::{BusId, UnixMicros, VehicleMicros};

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = LabelFile::parse(bytes) else { return };
    let frame = |step: u64| {
        let frame = Frame::classic(CanId::standard(0x100)?, &[1]).ok()?;
        Some(TimedFrame { at: VehicleMicros(step * 100_000), bus: BusId(0), frame })
    };
    let frames: Vec<TimedFrame> = (0..600).filter_map(frame).collect();
    for start in [None, Some(UnixMicros(1_600_000_000_000_000))] {
        if let Ok(truths) = file.resolve("trace_1.log", &frames, start) {
            assert_eq!(truths.frames.len(), frames.len());
        }
    }
});
