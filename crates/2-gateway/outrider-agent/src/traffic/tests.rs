use super::*;

fn drive(profile: DriveProfile, seconds: u64) -> Drive {
    Drive { profile, start: VehicleMicros(5_000_000), length_us: seconds * 1_000_000 }
}

#[test]
fn the_demo_network_reads_without_problems_and_has_what_a_vehicle_has() {
    let network = demo_network();
    assert!(network.problems.is_empty(), "{:?}", network.problems);
    assert!(network.messages.len() >= 40);
    assert!(network.nodes.len() >= 10);
    assert!(network.messages.iter().filter(|message| is_protected(message)).count() >= 8);
    assert!(
        network
            .messages
            .iter()
            .all(|message| message.signals.iter().all(|signal| signal.fits(message.bytes)))
    );
    let buses: BTreeSet<BusId> = network.messages.iter().map(bus_of).collect();
    assert_eq!(buses.len(), 2);
}

#[test]
fn the_same_seed_gives_the_same_frames_in_order_and_another_seed_others() {
    let network = demo_network();
    let frames = |seed| generate(&network, seed, &drive(DriveProfile::City, 3)).collect::<Vec<_>>();
    let first = frames(1);
    assert!(first.len() > 2000, "{}", first.len());
    assert!(first.is_sorted_by_key(|frame| frame.at));
    assert!(first.iter().all(|frame| (5_000_000..8_000_000).contains(&frame.at.0)));
    assert_eq!(first, frames(1));
    assert_ne!(first, frames(2));
}

#[test]
fn counters_count_and_checksums_hold() {
    let network = demo_network();
    let message = network.messages.iter().find(|message| message.name == "PtInertial").expect("it is there");
    let signal = |name: &str| message.signals.iter().find(|signal| signal.name == name).expect("it is there");
    let (counter, checksum) = (signal("InertialCounter"), signal("InertialChecksum"));
    let frames = generate(&network, 7, &drive(DriveProfile::Highway, 1));
    let own: Vec<_> = frames.filter(|timed| timed.frame.id() == Some(message.id)).collect();
    assert!(own.len() >= 99);
    for (index, timed) in own.iter().enumerate() {
        let data = timed.frame.data();
        assert_eq!(counter.raw(data), Some(index as u64 % 16));
        assert_eq!(checksum.raw(data), Some(u64::from(bits::crc8(&data[..7]))));
    }
}

#[test]
fn the_speed_on_the_bus_is_the_speed_of_the_drive() {
    let network = demo_network();
    let message =
        network.messages.iter().find(|message| message.name == "PtVehicleSpeed").expect("it is there");
    let speed = message.signals.iter().find(|signal| signal.name == "VehicleSpeed").expect("it is there");
    for (profile, low, high) in [(DriveProfile::Parked, 0.0, 0.0), (DriveProfile::Highway, 80.0, 140.0)] {
        let frames = generate(&network, 3, &drive(profile, 20));
        let own = frames.filter(|timed| timed.frame.id() == Some(message.id));
        let speeds: Vec<f64> = own.filter_map(|timed| speed.physical(timed.frame.data())).collect();
        assert!(speeds.len() > 900);
        assert!(speeds.iter().all(|speed| (low..=high).contains(speed)), "{profile:?}");
    }
}

/// Frames of the first hour of platform 5 with their modes, made once.
fn first_hour() -> &'static [(Mode, TimedFrame)] {
    static FRAMES: std::sync::OnceLock<Vec<(Mode, TimedFrame)>> = std::sync::OnceLock::new();
    FRAMES.get_or_init(|| {
        let mut life = Life::new(&Platform::drawn(5), 5);
        let mut frames = Vec::new();
        while let Some(frame) = life.next() {
            if frame.at.0 >= 3_600_000_000 {
                break;
            }
            frames.push((life.mode(), frame));
        }
        frames
    })
}

#[test]
fn a_life_goes_through_all_modes_in_the_order_of_time() {
    let frames = first_hour();
    assert!(frames.is_sorted_by_key(|(_, frame)| frame.at), "in the order of time");
    let modes: BTreeSet<Mode> = frames.iter().map(|(mode, _)| *mode).collect();
    assert_eq!(modes, BTreeSet::from(Mode::ALL));
    let mut again = Life::new(&Platform::drawn(5), 5);
    assert!(
        frames.iter().take(10_000).all(|(_, frame)| again.next() == Some(*frame)),
        "the same seed, the same life"
    );
    let asleep = frames.iter().filter(|(mode, _)| *mode == Mode::Sleep);
    let awake: BTreeSet<_> = asleep.clone().filter_map(|(_, frame)| frame.frame.id()).collect();
    assert!(awake.len() <= 2, "only network management wakes: {awake:?}");
    let longest = frames.windows(2).map(|pair| pair[1].1.at.0 - pair[0].1.at.0).max();
    assert!(longest.is_some_and(|gap| gap > 60_000_000), "a sleeping network is silent for minutes");
}

#[test]
fn platforms_differ_and_keep_their_counters_and_checksums() {
    let ids = |seed| -> BTreeSet<_> {
        Platform::drawn(seed).network.messages.iter().map(|message| message.id).collect()
    };
    let (one, other) = (ids(1), ids(2));
    assert!(one.len() > 20 && other.len() > 20);
    assert!(one.intersection(&other).count() * 2 < one.len());
    let mut checked = 0;
    for seed in 0..6 {
        let platform = Platform::drawn(seed);
        assert!(
            platform
                .network
                .messages
                .iter()
                .all(|message| message.signals.iter().all(|own| own.fits(message.bytes)))
        );
        let protected: Vec<_> = platform
            .network
            .messages
            .iter()
            .filter(|message| message.cycle_ms.is_some_and(|ms| ms <= 200))
            .filter(|message| message.signals.iter().any(|signal| signal.name.contains("Checksum")))
            .collect();
        let frames: Vec<TimedFrame> = Life::new(&platform, seed).take(20_000).collect();
        for message in protected {
            let counter =
                message.signals.iter().find(|signal| signal.name == "AliveCounter").expect("it has one");
            let own: Vec<_> = frames.iter().filter(|timed| timed.frame.id() == Some(message.id)).collect();
            for pair in own.windows(2) {
                let raw = |timed: &TimedFrame| counter.raw(timed.frame.data()).expect("it fits");
                let next = (raw(pair[0]) + 1) % (1 << counter.bits);
                // It starts again at zero when its ECU does.
                assert!(raw(pair[1]) == next || raw(pair[1]) == 0, "{}", message.name);
                checked += 1;
            }
            let holds = |timed: &&TimedFrame| {
                let (covered, check) = timed.frame.data().split_at(7);
                [bits::crc8(covered), bits::xor(covered), bits::sum(covered)].contains(&check[0])
            };
            assert!(own.iter().all(holds), "{}", message.name);
        }
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn a_vehicle_that_charges_draws_current_and_stands_and_a_flash_silences_the_rest() {
    let platform = Platform::drawn(5);
    let frames = first_hour();
    let signal = |name: &str| {
        let found = platform.network.messages.iter().find_map(|message| {
            let signal = message.signals.iter().find(|signal| signal.name == name)?;
            Some((message.id, signal))
        });
        found.expect("every platform has it")
    };
    let values = |mode: Mode, name: &str| -> Vec<f64> {
        let (id, signal) = signal(name);
        let own = frames.iter().filter(|(own, frame)| *own == mode && frame.frame.id() == Some(id));
        own.filter_map(|(_, frame)| signal.physical(frame.frame.data())).collect()
    };
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    assert!(most(&values(Mode::Charging, "ChargeCurrentMeasured")) > 50.0);
    assert!(values(Mode::Driving, "ChargeCurrentMeasured").is_empty());
    assert!(most(&values(Mode::Driving, "VehicleSpeedMeasured")) > 10.0);
    assert!(most(&values(Mode::Charging, "VehicleSpeedMeasured")) < 1.0);
    let request = platform.diagnosis.0;
    let flashing = || frames.iter().filter(|(mode, _)| *mode == Mode::Flashing);
    let blocks =
        flashing().filter(|(_, frame)| frame.frame.id() == Some(request) && frame.frame.data()[2] == 0x36);
    assert!(blocks.count() > 100, "a flash has blocks");
    let spoken = |mode: Mode| -> BTreeSet<_> {
        let middle = frames.iter().filter(|(own, _)| *own == mode).map(|(_, frame)| frame);
        middle.clone().skip(middle.count() / 2).take(2000).filter_map(|frame| frame.frame.id()).collect()
    };
    assert!(spoken(Mode::Flashing).len() * 2 < spoken(Mode::Workshop).len());
}
