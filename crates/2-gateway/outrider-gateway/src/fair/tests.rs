//! Fair shares under attack.

use outrider_types::{BusId, Severity};
use proptest::prelude::*;

use super::*;
use crate::fold::{FoldConfig, Folder};

const SECOND: u64 = 1_000_000;

fn seen(event_type: EventTypeId, bus: u8, id: u64, at: u64) -> SecurityEvent {
    let mut event = SecurityEvent::new(event_type, VehicleMicros(at));
    event.bus = Some(BusId(bus));
    event.context = at.to_le_bytes().to_vec();
    event.with(field::CAN_ID, FieldValue::Uint(id)).with(field::FRAMES, FieldValue::Uint(at))
}

/// Folding and shares, one behind the other as the gateway has them.
struct Path {
    folder: Folder,
    fair: FairShare,
    policies: LanePolicies,
    out: Vec<SecurityEvent>,
    received: u64,
}

impl Path {
    fn new() -> Self {
        Self {
            folder: Folder::new(FoldConfig::default()),
            fair: FairShare::default(),
            policies: LanePolicies::default(),
            out: Vec::new(),
            received: 0,
        }
    }

    fn receive(&mut self, event: SecurityEvent) {
        let now = event.last;
        self.received += event.count;
        let mut folded = Vec::new();
        let window = self.policies.handling(&event).window_us;
        self.folder.receive_for(event, window, now, &mut folded);
        self.on(folded, now);
    }

    fn tick(&mut self, now: u64) {
        let now = VehicleMicros(now);
        let mut folded = Vec::new();
        self.folder.tick(now, &mut folded);
        self.on(folded, now);
        self.fair.tick(&self.policies, now, &mut self.out);
    }

    fn on(&mut self, rows: Vec<SecurityEvent>, now: VehicleMicros) {
        for row in rows {
            self.fair.receive(row, &self.policies, now, &mut self.out);
        }
    }

    fn end(&mut self, now: u64) {
        let mut folded = Vec::new();
        self.folder.flush(&mut folded);
        self.on(folded, VehicleMicros(now));
        self.fair.flush(VehicleMicros(now), &mut self.out);
        assert!(self.folder.balance().holds() && self.fair.balance().holds());
        assert_eq!((self.folder.balance().waiting, self.fair.balance().waiting), (0, 0));
    }

    fn count_of(&self, event_type: EventTypeId, bus: u8) -> u64 {
        let rows = self.out.iter().filter(|row| row.event_type == event_type && row.bus == Some(BusId(bus)));
        rows.map(|row| row.count).sum()
    }
}

/// One sensor with `rate` events a second for `seconds`, each about another identifier, and fifty others with one a
/// minute; returns the rows of the flooder.
fn flood(rate: u64, seconds: u64, flooding: EventTypeId) -> usize {
    let mut path = Path::new();
    let others: Vec<(EventTypeId, u8)> = (1..=15)
        .flat_map(|bus| {
            [event::CAN_UNKNOWN_ID, event::DIAG_SERVICE_SCAN, event::SECOC_MAC_FAILURE, event::CAN_FLOOD]
                .map(|event_type| (event_type, bus))
        })
        // CAN_FLOOD is critical and of the same family as CAN_UNKNOWN_ID, yet in another lane, so of another share.
        .take(50)
        .collect();
    let mut sent = 0;
    for second in 0..seconds {
        for n in 0..rate {
            let at = second * SECOND + n * SECOND / rate;
            path.receive(seen(flooding, 0, sent, at));
            sent += 1;
            if n % (rate / 50).max(1) == 0 {
                path.tick(at);
            }
        }
        // Each at a second of its own, and every time about something else, so that nothing of it may be folded.
        for (place, (event_type, bus)) in others.iter().enumerate() {
            if second % 60 == place as u64 % 60 {
                path.receive(seen(*event_type, *bus, second, second * SECOND + 999_999));
            }
        }
    }
    let end = seconds * SECOND;
    path.end(end);
    for (place, (event_type, bus)) in others.iter().enumerate() {
        let expected = (0..seconds).filter(|second| second % 60 == place as u64 % 60).count();
        let of = |row: &&SecurityEvent| row.event_type == *event_type && row.bus == Some(BusId(*bus));
        let rows: Vec<_> = path.out.iter().filter(of).collect();
        assert_eq!(rows.len(), expected, "each row of {event_type:?} on bus {bus} is there for itself");
        assert!(rows.iter().all(|row| row.count == 1 && !row.context.is_empty()));
    }
    assert_eq!(path.count_of(flooding, 0), sent, "the flooder's count is exact");
    path.out.iter().filter(|row| row.event_type == flooding && row.bus == Some(BusId(0))).count()
}

#[test]
fn a_flood_of_one_sensor_costs_the_others_no_row_and_is_counted_to_the_last() {
    for flooding in [event::CAN_UNKNOWN_ID, event::CAN_FLOOD] {
        let rows = flood(2000, 180, flooding);
        // The burst, its share of three minutes, and one sum a minute.
        assert!(rows > 10 && rows < 600, "{rows} rows of the flooder");
    }
}

/// 36 million events; a minute of processor time.
#[test]
#[ignore = "takes a minute; run with --release -- --ignored"]
fn an_hour_at_ten_thousand_a_second_costs_the_others_no_row() {
    let rows = flood(10_000, 3600, event::CAN_UNKNOWN_ID);
    assert!(rows > 700 && rows < 1500, "{rows} rows of the flooder");
}

#[test]
fn a_sum_keeps_times_the_first_context_and_the_fields_that_agree() {
    let mut path = Path::new();
    let burst = u64::from(path.policies.lane(Lane::Batched).burst_rows);
    // With a window of its own each, so that the folding does not wait.
    for n in 0..burst + 10 {
        let mut row = seen(event::CAN_UNKNOWN_ID, 0, n, n);
        row.severity = Some(if n == burst + 3 { Severity::High } else { Severity::Low });
        let row = row.with(field::DETECTOR, FieldValue::Text("x".to_owned()));
        path.received += 1;
        path.fair.receive(row, &path.policies, VehicleMicros(n), &mut path.out);
        path.fair.tick(&path.policies, VehicleMicros(n), &mut path.out);
    }
    path.end(burst + 10);
    let sum = path.out.iter().find(|row| row.fields.contains(&(field::THROTTLED, FieldValue::Flag(true))));
    let sum = sum.expect("what exceeded the share was summed up");
    assert!(sum.fields.contains(&(field::DETECTOR, FieldValue::Text("x".to_owned()))));
    assert!(sum.fields.iter().all(|(key, _)| *key != field::CAN_ID), "identifiers differed");
    assert_eq!(sum.context, sum.first.0.to_le_bytes(), "the first context");
    assert_eq!(sum.severity, Some(Severity::High));
    let note = path.out.iter().find(|row| row.event_type == event::GATEWAY_SENSOR_THROTTLED);
    let note = note.expect("the sensor is named");
    assert!(note.fields.contains(&(field::COMPONENT, FieldValue::Text("can of bus 0, batched".to_owned()))));
    assert_eq!(path.count_of(event::CAN_UNKNOWN_ID, 0), burst + 10);
}

#[test]
fn a_first_critical_event_passes_at_once_even_of_a_sensor_that_used_its_share_up() {
    let mut path = Path::new();
    for n in 0..5000 {
        path.receive(seen(event::CAN_FLOOD, 0, n, n));
    }
    let before = path.out.len();
    path.receive(seen(event::CAN_FLOOD, 0, 9999, 5001));
    assert_eq!(path.out.len(), before, "the share is used up");
    path.receive(seen(event::CAN_SEGMENT_VIOLATION, 0, 1, 5002));
    assert_eq!(path.out.last().map(|row| row.event_type), Some(event::CAN_SEGMENT_VIOLATION));
    let later = 5002 + SUM_US;
    path.receive(seen(event::CAN_SEGMENT_VIOLATION, 0, 2, later));
    assert_eq!(
        path.out.last().map(|row| row.last),
        Some(VehicleMicros(later)),
        "a minute later it is first again"
    );
}

#[test]
fn sensors_that_wait_are_served_in_turns() {
    let mut path = Path::new();
    let row = |bus, n| seen(event::CAN_UNKNOWN_ID, bus, n, 0);
    let lane = u64::from(path.policies.lane(Lane::Batched).lane_rows_per_second);
    // The lane's own second is used up by one sensor, whose queue is full then; another one reports three rows.
    for n in 0..lane + QUEUE_ROWS_MAX as u64 {
        path.fair.receive(row(0, n), &path.policies, VehicleMicros(0), &mut path.out);
    }
    for n in 0..3 {
        path.fair.receive(row(1, n), &path.policies, VehicleMicros(0), &mut path.out);
    }
    assert_eq!(path.out.len() as u64, lane);
    path.out.clear();
    // Room for one row every 10 ms.
    for turn in 1..=40 {
        path.fair.tick(&path.policies, VehicleMicros(turn * 10_000), &mut path.out);
    }
    let last = path.out.iter().rposition(|row| row.bus == Some(BusId(1))).expect("it was served");
    assert!(last < 16, "the third row of the quiet sensor left as number {last}");
}

proptest! {
    #[test]
    fn nothing_is_lost_whatever_comes_in_whatever_order(
        events in proptest::collection::vec((0usize..6, 0u8..20, 0u64..40, 0u64..200_000, 1u64..5), 1..600)
    ) {
        let types = [
            event::CAN_UNKNOWN_ID, event::CAN_FLOOD, event::HOST_FILE_MODIFIED,
            event::FW_PACKET_BLOCKED, event::COMMAND_REJECTED, EventTypeId(9999),
        ];
        let mut path = Path::new();
        let mut now = 0;
        for (kind, bus, id, gap, count) in events {
            now += gap;
            let mut event = seen(types[kind], bus, id, now);
            event.count = count;
            if kind > 1 {
                event.bus = None;
            }
            path.receive(event);
            path.tick(now);
            prop_assert!(path.folder.balance().holds() && path.fair.balance().holds());
        }
        path.end(now);
        let notes = path.out.iter().filter(|row| row.event_type == event::GATEWAY_SENSOR_THROTTLED
            && !row.fields.contains(&(field::THROTTLED, FieldValue::Flag(true))));
        let notes = notes.count() as u64;
        let counts: u64 = path.out.iter().map(|row| row.count).sum();
        prop_assert_eq!(counts, path.received + notes);
    }
}
