//! Time of boots: late anchors, boots without one, clocks at 1970 and 2099.

use outrider_wire::catalogue::field;

use super::*;
use crate::clock::ClockQuality;
use crate::finding::CLOUD_EPOCH;

const HOUR_US: u64 = 3_600_000_000;

fn batch_of(epoch: u64, rows: &[(u64, u64)], fix: Option<ClockFix>) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 14];
    let mut writer = BatchWriter::new(&mut buffer);
    if let Some(fix) = fix {
        writer.fix(&fix).expect("room");
    }
    for (seq, mono) in rows {
        let at = VehicleMicros(*mono);
        let head = EventHead { first: at, last: at, ..head(*seq) };
        writer.event(&head, std::iter::empty(), &[]).expect("room");
    }
    seal_in(epoch, 1, writer.finish())
}

fn fix(mono: u64, wall: i64, source: ClockSource) -> ClockFix {
    ClockFix { mono: VehicleMicros(mono), wall: UnixMicros(wall), error_us: 1_000, source }
}

fn at(after_us: i64, bytes: Vec<u8>) -> LogRecord {
    LogRecord { offset: LogOffset(0), ingest: IngestTime(NOW.0.saturating_add(after_us)), bytes }
}

#[test]
fn a_late_anchor_corrects_the_rows_that_came_before_it() {
    let mut worker = Worker::default();
    let (rows, _) = run(&mut worker, &[at(0, batch_of(4, &[(1, HOUR_US)], None))]);
    assert!(rows.event_time_error_us[0] > 14 * 24 * HOUR_US, "nothing is known");
    let began = NOW.0.0 - 5 * 3_600_000_000;
    let anchor = fix(2 * HOUR_US, began + 2 * 3_600_000_000, ClockSource::Gnss);
    let (rows, _) = run(&mut worker, &[at(1_000_000, batch_of(4, &[(2, 2 * HOUR_US)], Some(anchor)))]);
    assert_eq!(rows.event_time[0], began + 2 * 3_600_000_000);
    let said = rows.row(1);
    assert_eq!(said.event_type(), outrider_wire::catalogue::event::INGEST_CLOCK_CORRECTED);
    assert_eq!(said.id().epoch, CLOUD_EPOCH);
    assert_eq!(said.field(field::WALL_AT_BOOT_US), Some(FieldValue::Int(began)));
    let corrected =
        worker.event_time(VEHICLE, BootEpoch(4), VehicleMicros(HOUR_US)).expect("the boot is known");
    assert_eq!(corrected.best, UnixMicros(began + 3_600_000_000), "the row of before, as it is known now");
    let (rows, _) = run(&mut worker, &[at(2_000_000, batch_of(4, &[(3, 2 * HOUR_US)], Some(anchor)))]);
    assert_eq!(rows.rows(), 1, "nothing changed since");
}

#[test]
fn a_boot_without_an_anchor_lies_between_its_neighbours() {
    let mut worker = Worker::default();
    let day = 24 * 3_600_000_000;
    let first = fix(0, NOW.0.0 - 10 * day, ClockSource::Gnss);
    let third = fix(0, NOW.0.0 - 9 * day, ClockSource::Cloud);
    let records = [
        at(0, batch_of(5, &[(1, 60_000_000), (2, HOUR_US)], None)),
        at(0, batch_of(4, &[(1, 2 * HOUR_US)], Some(first))),
        at(0, batch_of(6, &[(1, 0)], Some(third))),
    ];
    let (rows, _) = run(&mut worker, &records);
    let corrected = (0..rows.rows()).filter(|row| rows.row(*row).id().epoch == CLOUD_EPOCH).count();
    assert_eq!(corrected, 2, "by the boot before and by the boot after");
    let (boots, ingest) = (worker.boots(VEHICLE).expect("known"), NOW);
    let (time, quality) = boots.event_time(BootEpoch(5), VehicleMicros(60_000_000), ingest);
    assert_eq!(quality, ClockQuality::Bounded);
    // Boot 4 ran for two hours from ten days ago; boot 5 for one before boot 6 began nine days ago.
    let (earliest, latest) = (NOW.0.0 - 10 * day + 7_200_000_000, NOW.0.0 - 9 * day - 3_600_000_000);
    let slack = 2_000_000;
    assert!((time.earliest().0 - earliest - 60_000_000).abs() < slack, "{}", time.earliest());
    assert!((time.latest().0 - latest - 60_000_000).abs() < slack, "{}", time.latest());
}

#[test]
fn clocks_of_1970_and_2099_are_counted_and_bounded_and_move_nothing() {
    for wall in [0, 4_070_908_800_000_000] {
        let mut worker = Worker::default();
        let sound = fix(0, NOW.0.0 - 7_200_000_000, ClockSource::Cloud);
        let records = [
            at(0, batch_of(4, &[(1, HOUR_US)], Some(sound))),
            at(0, batch_of(5, &[(1, 1_000_000)], Some(fix(0, wall, ClockSource::RealTimeClock)))),
        ];
        let (rows, _) = run(&mut worker, &records);
        assert_eq!(worker.clock(VEHICLE).expect("newest boot").refused, 1);
        assert_eq!(rows.event_time[0], NOW.0.0 - 3_600_000_000, "the boot before stays where it was");
        let boots = worker.boots(VEHICLE).expect("known");
        let (time, quality) = boots.event_time(BootEpoch(5), VehicleMicros(1_000_000), NOW);
        assert_eq!(quality, ClockQuality::Bounded);
        assert!(time.latest() <= NOW.0.saturating_add(1_000), "{}", time.latest());
        assert!(time.earliest().0 >= NOW.0.0 - 3_600_000_000 - 2_000_000, "{}", time.earliest());
    }
}

proptest! {
    /// Whatever boots have an anchor, whatever order they come in: the truth lies in the interval.
    #[test]
    fn the_truth_lies_in_the_interval(
        boots in proptest::collection::vec((0u64..200, 1u64..50, proptest::option::of(0usize..3), any::<bool>()), 1..8),
        delay in 0u64..30 * 24,
        order in any::<u64>(),
    ) {
        // Each boot: hours of rest before it, hours that it lasts, which source fixes it, whether its rows come first.
        let mut wall = NOW.0.0 - 400 * 24 * 3_600_000_000;
        let mut truth = Vec::new();
        for (epoch, (rest, length, source, _)) in (1u64..).zip(&boots) {
            wall += i64::try_from(rest * HOUR_US).expect("short");
            let sources = [ClockSource::Network, ClockSource::Gnss, ClockSource::Cloud];
            let fix = source.map(|source| fix(HOUR_US / 2, wall + 1_800_000_000, sources[source]));
            truth.push((epoch, wall, length * HOUR_US, fix));
            wall += i64::try_from(length * HOUR_US).expect("short");
        }
        let ingest = IngestTime(UnixMicros(wall + i64::try_from(delay * HOUR_US).expect("short")));
        let mut shuffled = truth.clone();
        shuffled.sort_by_key(|(epoch, ..)| epoch.wrapping_mul(order | 1).rotate_left(9));
        let mut worker = Worker::default();
        for (epoch, _, length, fix) in &shuffled {
            let bytes = batch_of(*epoch, &[(1, 0), (2, *length)], *fix);
            run(&mut worker, &[LogRecord { offset: LogOffset(*epoch), ingest, bytes }]);
        }
        let known = worker.boots(VEHICLE).expect("known");
        for (epoch, began, length, _) in &truth {
            for mono in [0, *length] {
                let (time, quality) = known.event_time(BootEpoch(*epoch), VehicleMicros(mono), ingest);
                let real = began + i64::try_from(mono).expect("short");
                // Nobody before it and long away: only a guess says how far back it may be.
                if quality == ClockQuality::Unknown {
                    prop_assert!(time.latest().0 >= real);
                } else {
                    let off = format!("boot {epoch}: {real} is not in {} to {}", time.earliest(), time.latest());
                    prop_assert!(time.earliest().0 <= real && real <= time.latest().0, "{}", off);
                }
            }
        }
    }
}
