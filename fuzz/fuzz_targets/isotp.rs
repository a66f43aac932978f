//! Any sequence of frames keeps the reassembler's counts whole.
//!
//! Input: records of gap in 10 ms, identifier, length and payload; a length above 8 is CAN FD, cut to a length
//! that exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_bus::can::{CanId, FdFlags, Frame};
use outrider_bus::isotp::{Addressing, IsoTpEvent, Reassembler};
use outrider_types::{BusId, VehicleMicros};

fuzz_target!(|bytes: &[u8]| {
    let mut machine = Box::new(Reassembler::<4, 512>::new());
    let (mut rest, mut at, mut count) = (bytes, 0u64, 0u64);
    while let [gap, id, len, tail @ ..] = rest {
        let take = usize::from(*len).min(tail.len()).min(64);
        let (data, behind) = tail.split_at(take);
        rest = behind;
        at += u64::from(*gap) * 10_000;
        let id = CanId::standard(u32::from(*id)).expect("eight bits fit eleven");
        let Ok(frame) = Frame::classic(id, data).or_else(|_| Frame::fd(id, FdFlags::default(), data)) else {
            continue;
        };
        count += 1;
        let addressing = if at & 1 == 0 { Addressing::Normal } else { Addressing::Extended };
        if let IsoTpEvent::Pdu(pdu) = machine.receive(VehicleMicros(at), BusId(0), &frame, addressing) {
            assert!(!pdu.payload.is_empty() && pdu.payload.len() <= 512);
        }
        machine.tick(VehicleMicros(at));
    }
    let stats = machine.stats();
    let taken = stats.single + stats.first + stats.consecutive + stats.flow_control;
    assert_eq!(taken + stats.rejected(), count);
});
