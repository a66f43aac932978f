use super::*;

const SECOND: u64 = 1_000_000;

/// A bus with a frame every 10 ms and a tick every 100 ms; ends at the time it returns.
struct Bus {
    operation: Operation,
    now: u64,
    kmh: Option<u16>,
}

impl Bus {
    /// Caught in the middle: no tick came before its first frame.
    fn new() -> Self {
        let mut operation = Operation::new();
        operation.frame(VehicleMicros(0));
        Self { operation, now: 0, kmh: None }
    }

    fn at(&self) -> VehicleMicros {
        VehicleMicros(self.now)
    }

    fn tick(&mut self) {
        let at = self.at();
        let speed = self.kmh.map(|kmh| SpeedReading { at, kmh });
        self.operation.tick(at, speed);
    }

    /// Lets frames come for some time.
    fn run(&mut self, us: u64) -> Mode {
        for step in 1..=us / 10_000 {
            self.now += 10_000;
            self.operation.frame(self.at());
            if step % 10 == 0 {
                self.tick();
            }
        }
        self.operation.mode()
    }

    /// Lets no frame come for some time.
    fn silent(&mut self, us: u64) -> Mode {
        for _ in 0..us / 100_000 {
            self.now += 100_000;
            self.tick();
        }
        self.operation.mode()
    }

    fn grant(&mut self, what: Granted) {
        self.operation.granted(self.at(), what);
    }

    /// Keeps a session up, an answer a second.
    fn session(&mut self, seconds: u64) -> Mode {
        self.grant(Granted::Session);
        for _ in 0..seconds {
            self.run(SECOND);
            self.grant(Granted::Answer);
        }
        self.run(100_000)
    }

    fn awake() -> Self {
        let mut bus = Self::new();
        assert_eq!(bus.run(SECOND), Mode::Awake);
        bus
    }

    fn moving(kmh: u16) -> Self {
        let mut bus = Self::awake();
        bus.kmh = Some(kmh);
        bus.run(200_000);
        bus
    }
}

#[test]
fn a_bus_caught_in_the_middle_is_awake_and_one_that_was_silent_first_starts_up() {
    assert_eq!(Bus::new().run(SECOND), Mode::Awake);
    let mut bus = Bus { operation: Operation::new(), now: 0, kmh: None };
    assert_eq!(bus.silent(SLEEP_US - SECOND), Mode::Awake);
    assert_eq!(bus.silent(SECOND + 100_000), Mode::Sleep);
    assert_eq!(bus.run(20_000), Mode::StartUp);
    assert_eq!(bus.run(START_MIN_US), Mode::Awake);
}

#[test]
fn a_silent_bus_sleeps_after_a_while_and_not_before() {
    let mut bus = Bus::awake();
    assert_eq!(bus.silent(SLEEP_US - 100_000), Mode::Awake);
    assert_eq!(bus.run(100_000), Mode::Awake, "a pause is no sleep");
    assert_eq!(bus.silent(SLEEP_US), Mode::Sleep);
    assert_eq!(bus.silent(3600 * SECOND), Mode::Sleep);
    assert_eq!(bus.run(10_000), Mode::StartUp);
}

#[test]
fn sleep_is_seen_without_ticks_too() {
    let mut bus = Bus::awake();
    bus.now += SLEEP_US;
    assert_eq!(bus.run(10_000), Mode::StartUp);
}

#[test]
fn a_start_up_lasts_while_identifiers_come_back_and_has_an_end() {
    let mut bus = Bus::awake();
    bus.silent(60 * SECOND);
    bus.run(START_MIN_US - SECOND);
    bus.operation.returned(bus.at());
    assert_eq!(bus.run(START_CALM_US - 100_000), Mode::StartUp, "one came back");
    assert_eq!(bus.run(200_000), Mode::Awake);
    bus.silent(60 * SECOND);
    bus.run(10_000);
    let woke = bus.now;
    while bus.operation.mode() == Mode::StartUp {
        bus.operation.returned(bus.at());
        bus.run(100_000);
    }
    assert!((START_MAX_US - 200_000..=START_MAX_US + 200_000).contains(&(bus.now - woke)));
}

#[test]
fn a_vehicle_that_drives_does_not_start_up_nor_sleep() {
    let mut bus = Bus::moving(60);
    assert_eq!(bus.operation.mode(), Mode::Driving);
    // All frames jammed for a minute: nothing is excused when they come back.
    bus.kmh = None;
    assert_eq!(bus.silent(60 * SECOND), Mode::Driving);
    assert_eq!(bus.run(10_000), Mode::Driving);
    assert_eq!(
        bus.silent(SLEEP_DRIVING_US),
        Mode::Sleep,
        "a speed that was lost does not hold the mode for ever"
    );
    // Nor does a start-up go on once it drives.
    bus.run(10_000);
    assert_eq!(bus.operation.mode(), Mode::StartUp);
    bus.kmh = Some(60);
    assert_eq!(bus.run(100_000), Mode::Driving);
}

#[test]
fn driving_is_believed_at_once_and_rest_after_a_while() {
    let mut bus = Bus::moving(0);
    assert_eq!(bus.operation.mode(), Mode::Standing);
    bus.kmh = Some(6);
    assert_eq!(bus.run(100_000), Mode::Driving);
    bus.kmh = Some(0);
    assert_eq!(bus.run(STAND_US - 200_000), Mode::Driving);
    assert_eq!(bus.run(400_000), Mode::Standing);
}

#[test]
fn a_speed_that_is_lost_keeps_its_latest_word_until_the_bus_sleeps() {
    let mut bus = Bus::moving(80);
    bus.kmh = None;
    assert_eq!(bus.run(600 * SECOND), Mode::Driving);
    let mut bus = Bus::moving(0);
    bus.kmh = None;
    assert_eq!(bus.run(600 * SECOND), Mode::Standing);
    bus.silent(SLEEP_US);
    bus.run(START_MIN_US + 100_000);
    assert_eq!(bus.operation.mode(), Mode::Awake, "of the new drive nothing is known");
}

#[test]
fn forged_standstill_between_honest_readings_does_not_end_a_drive() {
    let mut bus = Bus::moving(80);
    for _ in 0..100 {
        bus.kmh = Some(0);
        assert_eq!(bus.run(STAND_US - 500_000), Mode::Driving);
        bus.kmh = Some(80);
        assert_eq!(bus.run(100_000), Mode::Driving);
    }
}

#[test]
fn a_session_that_is_kept_up_is_a_workshop_and_single_answers_are_none() {
    let mut bus = Bus::moving(0);
    for _ in 0..60 {
        bus.grant(Granted::Answer);
        assert_eq!(bus.run(SECOND), Mode::Standing, "a dongle that polls");
    }
    bus.grant(Granted::Session);
    assert_eq!(bus.run(60 * SECOND), Mode::Standing, "opened, and left alone");
    assert_eq!(bus.session(WORKSHOP_US / SECOND - 1), Mode::Standing);
    assert_eq!(bus.session(2), Mode::Workshop);
    assert_eq!(bus.run(WORKSHOP_HOLD_US - SECOND), Mode::Workshop);
    assert_eq!(bus.run(SECOND), Mode::Standing);
}

#[test]
fn sessions_that_come_and_go_do_not_flap() {
    let mut bus = Bus::awake();
    let mut changes = 0;
    let mut before = bus.operation.mode();
    for _ in 0..50 {
        bus.session(4);
        bus.grant(Granted::End);
        bus.run(10 * SECOND);
        changes += usize::from(bus.operation.mode() != before);
        before = bus.operation.mode();
    }
    assert_eq!((changes, before), (1, Mode::Workshop));
    assert_eq!(bus.run(WORKSHOP_HOLD_US), Mode::Awake);
}

#[test]
fn sessions_shorter_than_a_visit_never_make_one() {
    let mut bus = Bus::awake();
    for _ in 0..50 {
        bus.session(2);
        assert_eq!(bus.run(6 * SECOND), Mode::Awake);
    }
}

#[test]
fn a_download_is_flashing_and_then_the_workshop_again() {
    let mut bus = Bus::moving(0);
    bus.session(5);
    bus.grant(Granted::Programming);
    assert_eq!(bus.run(100_000), Mode::Flashing);
    assert_eq!(bus.operation.stopped().map(|at| bus.now - at.0), Some(100_000));
    for _ in 0..120 {
        bus.grant(Granted::Download);
        assert_eq!(bus.run(SECOND), Mode::Flashing);
    }
    bus.grant(Granted::End);
    assert_eq!(bus.run(100_000), Mode::Workshop);
    assert_eq!(bus.run(WORKSHOP_HOLD_US), Mode::Standing);
    bus.grant(Granted::Download);
    assert_eq!(bus.run(FLASH_HOLD_US - SECOND), Mode::Flashing);
    assert_eq!(bus.run(2 * SECOND), Mode::Workshop, "a download that stopped");
}

#[test]
fn nothing_a_tester_is_granted_while_the_vehicle_drives_changes_its_mode() {
    let mut bus = Bus::moving(30);
    for _ in 0..20 {
        for what in
            [Granted::Session, Granted::Programming, Granted::Silence, Granted::Download, Granted::Answer]
        {
            bus.grant(what);
        }
        assert_eq!(bus.run(SECOND), Mode::Driving);
    }
    assert_eq!(bus.operation.stopped(), None);
    bus.kmh = Some(0);
    assert_eq!(bus.run(STAND_US + SECOND), Mode::Standing, "nor afterwards");
}

#[test]
fn driving_ends_a_workshop_a_flash_and_charging_at_once() {
    for begin in [Granted::Session, Granted::Programming] {
        let mut bus = Bus::moving(0);
        bus.session(5);
        bus.grant(begin);
        bus.operation.charging(true);
        assert!(bus.run(100_000).is_service());
        bus.kmh = Some(20);
        assert_eq!(bus.run(100_000), Mode::Driving);
    }
    let mut bus = Bus::moving(20);
    bus.operation.workshop(true);
    assert_eq!(bus.run(SECOND), Mode::Driving, "not even a told workshop excuses a drive");
}

#[test]
fn told_modes_hold_while_they_are_told() {
    let mut bus = Bus::moving(0);
    bus.operation.charging(true);
    assert_eq!(bus.run(SECOND), Mode::Charging);
    bus.operation.workshop(true);
    assert_eq!(bus.run(SECOND), Mode::Workshop);
    bus.operation.workshop(false);
    assert_eq!(bus.run(SECOND), Mode::Charging);
    bus.operation.charging(false);
    assert_eq!(bus.run(SECOND), Mode::Standing);
    bus.operation.charging(true);
    assert_eq!(bus.silent(SLEEP_US), Mode::Sleep, "a silent bus sleeps while the vehicle charges");
}

#[test]
fn all_time_is_spent_in_some_mode() {
    let mut bus = Bus::moving(50);
    bus.silent(700 * SECOND);
    bus.kmh = Some(0);
    bus.run(20 * SECOND);
    bus.session(10);
    let time = bus.operation.time_us();
    assert_eq!(time.iter().sum::<u64>(), bus.now);
    assert!(time[Mode::Sleep.index()] > 90 * SECOND && time[Mode::StartUp.index()] >= START_MIN_US);
}

#[test]
fn a_clock_set_back_keeps_the_mode() {
    let mut bus = Bus::moving(50);
    bus.now = 5;
    bus.operation.restart(bus.at());
    assert_eq!(bus.operation.mode(), Mode::Driving);
    assert_eq!(bus.run(SECOND), Mode::Driving);
}

#[test]
fn what_is_granted_is_read_from_answers_not_from_requests() {
    let read = |bytes: &[u8]| Granted::read(&Message::parse(bytes).expect("a message"));
    assert_eq!(read(&[0x10, 0x02]), None);
    assert_eq!(read(&[0x50, 0x02, 0, 0x32, 1, 0xF4]), Some(Granted::Programming));
    assert_eq!(read(&[0x50, 0x03, 0, 0x32, 1, 0xF4]), Some(Granted::Session));
    assert_eq!(read(&[0x50, 0x01, 0, 0x32, 1, 0xF4]), Some(Granted::End));
    assert_eq!(read(&[0x68, 0x03]), Some(Granted::Silence));
    assert_eq!(read(&[0x68, 0x00]), Some(Granted::Answer));
    assert_eq!(read(&[0x74, 0x20, 1, 2]), Some(Granted::Download));
    assert_eq!(read(&[0x76, 1]), Some(Granted::Download));
    assert_eq!(read(&[0x51, 1]), Some(Granted::End));
    assert_eq!(read(&[0x7F, 0x36, 0x78]), Some(Granted::Answer));
    assert_eq!(read(&[0x7F, 0x10, 0x22]), None);
}
