use super::super::{Simulated, simulate};
use super::*;

fn lived() -> Simulated {
    let mut told = Vec::new();
    let simulated =
        simulate(4, 3_000_000_000, 1, true, &mut |done| told.push(done)).expect("a platform can be learned");
    assert!(told.is_sorted() && told.last() == Some(&3_000_000_000));
    simulated
}

#[test]
fn simulated_minutes_are_all_accounted_for_by_mode() {
    let simulated = lived();
    assert_eq!(simulated.clean.clean_us, 3_000_000_000);
    assert_eq!(simulated.modes.values().map(|part| part.clean_us).sum::<u64>(), 3_000_000_000);
    assert_eq!(simulated.modes.len(), crate::traffic::Mode::ALL.len());
    assert!(simulated.frames > 100_000);
    for (mode, part) in &simulated.modes {
        let told = simulated.told.iter().filter(|((of, _), _)| of == mode);
        assert_eq!(told.map(|(_, us)| us).sum::<u64>(), part.clean_us, "{mode:?}");
    }
    let told = |of, told| simulated.told.get(&(of, told)).copied().unwrap_or(0);
    use crate::traffic::Mode;
    use outrider_ids::Mode as Told;
    for (of, held) in [(Mode::Sleep, Told::Sleep), (Mode::Workshop, Told::Workshop)] {
        assert!(told(of, held) * 10 > simulated.modes[&of].clean_us * 9, "{:?}", simulated.told);
    }
    assert!(told(Mode::Flashing, Told::Flashing) > 0, "{:?}", simulated.told);
    assert_eq!(told(Mode::Driving, Told::Sleep), 0, "{:?}", simulated.told);
    let counted: u64 = simulated.modes.values().map(|part| part.false_alarms).sum();
    assert_eq!(counted, simulated.clean.false_alarms(Score::ALARM), "every alarm belongs to a mode");
    let report = report::report(&Outcome::default(), Some(&simulated));
    assert!(report["clean_hours"].as_f64().is_some_and(|hours| (hours - 5.0 / 6.0).abs() < 1e-9));
    assert!(report["simulated"]["modes"]["flashing"]["clean_hours"].is_number());
}
