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
