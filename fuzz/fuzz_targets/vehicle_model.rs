//! Any bytes are a vehicle model that detectors can be made of, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_ids::BusDetector;
use outrider_ids::flexray::{FlexRayDetector, model::Clusters};
use outrider_ids::lin::{LinDetector, model::Buses};
use outrider_ids::model::habits;
use outrider_ids::model::{SECTIONS_MAX, SectionKind, VehicleModel};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = VehicleModel::parse(bytes) else { return };
    let size: usize = model.signatures().map(|one| one.bytes.len()).sum();
    assert!(size + model.size_bytes() <= bytes.len() && model.sections().count() <= SECTIONS_MAX);
    for bus in model.buses() {
        assert!(bus.sections().count() <= SECTIONS_MAX);
        assert_eq!(bus.ids().count(), bus.id_count());
        let detector = Box::new(BusDetector::new(&bus));
        assert_eq!(detector.bus(), bus.facts().bus);
        let section = |kind| bus.section(kind).unwrap_or_default();
        let payloads = habits::payloads(section(SectionKind::PAYLOAD)).inspect(|habit| assert!(habit.is_consistent()));
        let stats = detector.habit_stats();
        assert!(stats.on_trial as usize <= payloads.count() && stats.known + stats.refused == 0);
        let together = section(SectionKind::TOGETHER);
        let numbers = habits::numbers(together).inspect(|number| assert!(number.is_consistent())).count();
        assert!(habits::lines(together).all(|line| line.is_consistent(numbers)));
        assert!(habits::pools(section(SectionKind::CALIBRATION)).all(|pool| pool.is_consistent()));
    }
    for bus in Buses::new(model.section(SectionKind::LIN_SCHEDULE).unwrap_or_default()) {
        assert_eq!(LinDetector::new(&bus).bus(), bus.bus);
    }
    for cluster in Clusters::new(model.section(SectionKind::FLEXRAY_SLOTS).unwrap_or_default()) {
        assert_eq!(FlexRayDetector::new(&cluster).bus(), cluster.bus);
    }
});
