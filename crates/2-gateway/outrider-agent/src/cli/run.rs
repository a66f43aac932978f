//! `outrider-agent run`: the vehicle program over a replayed capture or generated events.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use outrider_bus::can::TimedFrame;
use outrider_bus::flexray::TimedFlexRay;
use outrider_bus::lin::TimedLin;
use outrider_gateway::spool::{Anchor, SpoolConfig};
use outrider_gateway::{FieldValue, FileStorage, SecurityEvent, fold};
use outrider_types::{BootEpoch, BusId, ClockFix, Lane, Seed, TenantId, UnixMicros, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::captures::read_records;
use super::machine::Machine;
use super::watch::open;
use super::{Failure, Terminal};
use crate::clock::claim;
use crate::identity::BatchKeyFiles;
use crate::io::capture::Record;
use crate::io::est::{Renewed, Renewer};
use crate::io::ids_udp::IdsUdp;
use crate::io::kernel_clock;
use crate::io::live::LivePlace;
use crate::io::packet_ring::PacketRing;
use crate::keystore::KeyKind;
use crate::model_file::{FILE_BYTES_MAX, ModelTrust, Refusal, Trusted};
use crate::remote::{ArtifactTrust, ConfigStore, Provisioned, RealDisk, Remote};
use crate::runtime::hardware::Hardware;
use crate::runtime::seal::{forget_root, read_root};
use crate::runtime::workshop::read_ticket;
use crate::runtime::{CloudLink, KeyChanges, Sections, Vehicle, VehicleConfig, VehicleParts};

/// Time between two turns of the loop.
const TURN: Duration = Duration::from_millis(20);
/// Turns between two exchanges: ten exchanges in two seconds.
const TURNS_PER_EXCHANGE: u64 = 10;
/// Turns between two syncs under load, after which durable numbers are said.
const TURNS_PER_SYNC: u64 = 10;

/// Time after which the wall clock is claimed again: what drift adds in an hour is below a second.
const CLAIM_EVERY_US: u64 = 3_600_000_000;

/// Turns between two looks for a workshop's ticket, at the link and at the wall clock: one second.
const TURNS_PER_TICKET: u64 = 50;

/// Longest time without an exchange: what an analyst who waits for evidence has to wait (guess).
const POLL_US: u64 = 15_000_000;

/// Runs the vehicle program until the capture ends, or for ever with --repeat, or until the spool is empty.
///
/// With --load it also makes events of its own, to test the way to the cloud; a line `durable EPOCH LANE SEQ` on
/// standard output says up to which number a lane survives a crash.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Provisioning of the vehicle, as `outrider provision` writes it.
    #[arg(long)]
    config: PathBuf,
    /// Captures of CAN, LIN and FlexRay to replay in real time, one after the other.
    captures: Vec<PathBuf>,
    /// Ethernet interfaces to listen on, in the order of the model's segments; may be given several times.
    #[arg(long, value_name = "INTERFACE")]
    ethernet: Vec<String>,
    /// Live bus: cannelloni:ADDRESS:PORT, socketcan:INTERFACE or stdin (lines of candump), with BUS= before it.
    #[arg(long = "can", value_name = "PLACE")]
    places: Vec<LivePlace>,
    /// What the link is: metered, wifi or workshop; wins over the configuration.
    #[arg(long, value_name = "KIND")]
    link: Option<String>,
    /// Begin again when the captures end.
    #[arg(long)]
    repeat: bool,
    /// Events a second to make, for tests.
    #[arg(long, default_value_t = 0)]
    load: u32,
    /// End when everything is acknowledged.
    #[arg(long)]
    until_empty: bool,
    /// End after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
}

/// What comes in.
struct Inputs<'a> {
    config: &'a VehicleConfig,
    machine: &'a mut Machine,
    ids_udp: &'a mut IdsUdp,
    rings: &'a mut [(BusId, PacketRing)],
    records: &'a [Record],
    renewer: &'a mut Option<Renewer>,
    hardware: &'a Hardware,
}

/// The clock of the machine that the vehicle program runs on.
#[derive(Clone, Copy)]
pub(super) struct MachineClock(Instant);

impl MachineClock {
    #[expect(clippy::disallowed_methods, reason = "the vehicle's composition root gives the time")]
    fn new() -> Self {
        Self(Instant::now())
    }

    fn mono(&self) -> VehicleMicros {
        VehicleMicros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Jitter and salt have to differ between boots and vehicles, not to be secret from their owner.
    fn salt(&self) -> u64 {
        self.read().1.0.unsigned_abs() ^ u64::from(std::process::id())
    }

    /// Reads both clocks.
    #[expect(clippy::disallowed_methods, reason = "the vehicle's composition root gives the time")]
    pub(super) fn read(&self) -> (VehicleMicros, UnixMicros) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (self.mono(), UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Claims what can be known of the wall clock now, unless that was done lately: nothing at all is claimed of one that
    /// shows what cannot be, and more once something synchronised it.
    fn claim(&self, before: &mut Option<ClockFix>) -> Option<ClockFix> {
        let (mono, wall) = self.read();
        let fix = claim(mono, wall, kernel_clock::read())?;
        let is_news = before.is_none_or(|before| {
            fix.error_us < before.error_us || mono.micros_since(before.mono) >= CLAIM_EVERY_US
        });
        *before = is_news.then_some(fix).or(*before);
        Some(fix).filter(|_| is_news)
    }
}

impl Run {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let config = VehicleConfig::open(&self.config).map_err(|error| Failure::input(error.to_string()))?;
        let clock = MachineClock::new();
        let mut sections = Sections::open(&self.config).map_err(|error| Failure::input(error.to_string()))?;
        let hardware =
            sections.hardware.open(&config.state).map_err(|error| Failure::input(error.to_string()))?;
        let mut link = super::link::open(&config, self.link.as_deref(), clock.salt(), &hardware)?;
        let anchored = hardware.anchor().map_err(|error| Failure::input(error.to_string()))?;
        let (thread, anchor_key) = (anchored.thread, anchored.point);
        let mut renewer = super::link::renewer(&config, &sections, &hardware, &clock)?;
        let trust = sections.trust().map_err(|error| Failure::input(error.to_string()))?;
        let parts = (&hardware, anchored.anchor);
        let mut vehicle = self.open(&config, &trust, &clock, parts, terminal)?;
        let ids = config.ids_layer(clock.mono()).map_err(|error| Failure::input(error.to_string()))?;
        vehicle.set_ids(ids);
        vehicle
            .set_workshop(config.workshop.as_ref())
            .map_err(|error| Failure::input(format!("workshop: {error}")))?;
        if let Some(section) = &config.uplink {
            let kept = section.policy().and_then(|policy| vehicle.set_uplink(policy));
            kept.map_err(|error| Failure::input(format!("uplink: {error}")))?;
        }
        let remote = self.remote(&config, &trust)?;
        vehicle.set_remote(remote, clock.mono());
        if self.load > 0 {
            vehicle.lift_shares();
        }
        if let (Some(host), Some(patterns)) = (&mut sections.host, configured_patterns(&config, &vehicle)?) {
            host.patterns = Some(patterns);
        }
        let mut ids_udp = ids_udp(&config)?;
        if let Some(address) = ids_udp.local_address() {
            terminal.note(&format!("IDS frames are taken at {address}"));
        }
        terminal.note(&format!("vehicle {} boot {}", config.vehicle, vehicle.epoch()));
        let records = self.records()?;
        let mut rings = open(&self.ethernet)?;
        // Everything that needs rights is open by now: the machine may put the program into its sandbox.
        let mut machine = Machine::start(&config, sections, &self.places, move || clock.mono())?;
        machine.set_hardware(hardware.key_kind(), anchor_key);
        if let Some(thread) = thread {
            thread.start();
        }
        let inputs = Inputs {
            config: &config,
            machine: &mut machine,
            ids_udp: &mut ids_udp,
            rings: &mut rings,
            records: &records,
            renewer: &mut renewer,
            hardware: &hardware,
        };
        self.turn(&mut vehicle, &mut link, &clock, inputs, &mut *terminal.out)?;
        say_ids(&vehicle, terminal);
        for (interface, (_, ring)) in self.ethernet.iter().zip(&mut rings) {
            terminal.note(&format!("{interface}: {:?}", ring.counts()));
        }
        Ok(())
    }

    fn open(
        &self,
        config: &VehicleConfig,
        trust: &ModelTrust,
        clock: &MachineClock,
        (hardware, anchor): (&Hardware, Box<dyn Anchor + Send + Sync>),
        terminal: &mut Terminal<'_>,
    ) -> Result<Vehicle<FileStorage>, Failure> {
        let input = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
        let (model, judgement) = model(config, trust)?;
        let batch = hardware.batch().map_err(|error| input(&error))?;
        let keys = config.keys(batch).map_err(|error| input(&error))?;
        let changes = KeyChanges::new(&config.state, &keys.batch);
        let storage = FileStorage::open(&config.state.join("spool")).map_err(|error| input(&error))?;
        let root = read_root(&config.state).map_err(|error| input(&error))?;
        let parts = VehicleParts {
            keys,
            storage,
            state: &config.state,
            model: &model,
            capture_bytes_max: config.capture_bytes_max,
            seed: Seed::new(clock.salt()),
            floor: BootEpoch(1),
            fold: fold::FoldConfig::default(),
            spool: SpoolConfig::default(),
            anchor,
            spool_root: root,
            uplink: |usual| outrider_gateway::uplink::UplinkConfig {
                batched_window_us: 1_000_000,
                resend_after_us: 10_000_000,
                backoff_us: (200_000, 5_000_000),
                ..usual
            },
            poll_us: POLL_US,
        };
        let mut vehicle = Vehicle::open(parts, clock.mono()).map_err(|error| input(&error))?;
        vehicle.set_key_changes(changes);
        forget_root(&config.state).map_err(|error| input(&error))?;
        match judgement {
            None => {}
            Some(Ok(trusted)) => vehicle.model_believed(&trusted),
            Some(Err(refusal)) => {
                terminal.note(&format!("{refusal}; it is not used, buses are learned on the road"));
                vehicle.refuse_model(&refusal, clock.mono());
            }
        }
        Ok(vehicle)
    }

    /// Opens what the cloud configured; a start with something on trial is counted here, before any of it is used.
    fn remote(&self, config: &VehicleConfig, trust: &ModelTrust) -> Result<Remote, Failure> {
        let input = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
        let vehicle = config.vehicle.parse().map_err(|error| input(&format!("vehicle: {error}")))?;
        let section = config.updates.clone().unwrap_or_default();
        let artifacts = ArtifactTrust::new(&section, TenantId(config.tenant), vehicle)
            .map_err(|error| input(&format!("updates: {error}")))?;
        let store = ConfigStore::open(&config.state.join("config"), Box::new(RealDisk));
        let (model, _) = model(config, trust)?;
        let provisioned = Provisioned { model, qualify: config.qualify.clone() };
        Remote::open(store.map_err(|error| input(&error))?, artifacts, trust.clone(), provisioned)
            .map_err(|error| input(&error))
    }

    /// Reads the captures into one stretch of time. Ethernet comes from interfaces, and CAN XL is not judged.
    fn records(&self) -> Result<Vec<Record>, Failure> {
        let mut records: Vec<Record> = Vec::new();
        for path in &self.captures {
            let base = records.last().map_or(0, |record| record.at().0 + 1000);
            let begin = records.len();
            read_records(path, BusId(0), |record| {
                if matches!(record, Record::Can(_) | Record::Lin(_) | Record::FlexRay(_)) {
                    records.push(record.clone());
                }
            })?;
            let first = records.get(begin).map_or(0, |record| record.at().0);
            for record in records.iter_mut().skip(begin) {
                let at = VehicleMicros(base + record.at().0.saturating_sub(first));
                match record {
                    Record::Can(frame) => frame.at = at,
                    Record::Lin(heard) => heard.at = at,
                    Record::FlexRay(heard) => heard.at = at,
                    Record::CanXl(_) | Record::Ethernet { .. } => {}
                }
            }
        }
        Ok(records)
    }

    #[expect(clippy::disallowed_methods, reason = "the vehicle program's loop waits for the next turn")]
    fn turn(
        &self,
        vehicle: &mut Vehicle<FileStorage>,
        link: &mut Box<dyn CloudLink>,
        clock: &MachineClock,
        inputs: Inputs<'_>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let Inputs { config, machine, ids_udp, rings, records, renewer, hardware } = inputs;
        let (mut next, mut base) = (0usize, clock.mono());
        let (mut made, mut claimed) = (0u64, None);
        let mut said = BTreeMap::new();
        for turn in 0u64.. {
            let now = clock.mono();
            while let Some(record) =
                records.get(next).filter(|record| base.saturating_add(record.at().0) <= now)
            {
                replay(vehicle, record, base.saturating_add(record.at().0));
                next += 1;
            }
            if next >= records.len() && self.repeat && !records.is_empty() {
                (next, base) = (0, now);
            }
            let due = now.0 / 1000 * u64::from(self.load) / 1000;
            while made < due {
                made += 1;
                vehicle.event(load_event(made, now), now);
            }
            ids_udp.turn(vehicle, now);
            for (source, ring) in rings.iter_mut() {
                ring.turn(|frame| vehicle.packet(now, *source, frame));
            }
            machine.feed(vehicle, now);
            if turn % TURNS_PER_TICKET == 0 {
                vehicle.set_link(super::link::kind(config, self.link.as_deref()));
            }
            if config.workshop.is_some() && turn % TURNS_PER_TICKET == 0 {
                // What cannot be read is as good as taken away.
                vehicle.workshop_ticket(read_ticket(&config.state).unwrap_or(None).as_deref(), now);
            }
            vehicle.tick(now);
            // A report that cannot be written is missed by whoever reads it; the vehicle goes on.
            let _ = machine.report(config, vehicle, clock.read(), link.state());
            if turn % TURNS_PER_SYNC == 0 && self.load > 0 && vehicle.shut_down(now) {
                say_durable(vehicle, &mut said, out)?;
            }
            if turn % TURNS_PER_TICKET == 0 {
                clock.claim(&mut claimed).into_iter().for_each(|fix| vehicle.add_fix(fix));
                self.renew(renewer, hardware, link, clock);
            }
            if turn % TURNS_PER_EXCHANGE == 0 {
                vehicle.exchange(link.as_mut(), now);
            }
            let is_replayed = next >= records.len() && !self.repeat && !machine.is_live();
            if self.until_empty && is_replayed && !holds_rows(vehicle) {
                // What waits to be folded has to be delivered, too.
                vehicle.shut_down(now);
            }
            if self.is_over(vehicle, now, is_replayed) {
                break;
            }
            sleep(TURN);
        }
        machine.feed(vehicle, clock.mono());
        let is_durable = vehicle.shut_down(clock.mono());
        ids_udp.send(vehicle);
        vehicle.exchange(link.as_mut(), clock.mono());
        if is_durable { say_durable(vehicle, &mut said, out) } else { Ok(()) }
    }

    /// Takes a new certificate into use; the old link goes on until there is a new one.
    fn renew(
        &self,
        renewer: &mut Option<Renewer>,
        hardware: &Hardware,
        link: &mut Box<dyn CloudLink>,
        clock: &MachineClock,
    ) {
        let (mono, wall) = clock.read();
        let Some(Ok(Renewed::Changed(_))) = renewer.as_mut().and_then(|one| one.turn(mono, wall)) else {
            return;
        };
        let Ok(config) = VehicleConfig::open(&self.config) else { return };
        if hardware.key_kind() == KeyKind::File {
            // A new certificate is the occasion for a new batch key; one that cannot be made now comes with the next.
            let _ = BatchKeyFiles::new(&config.state).make_next();
        }
        if let Ok(new) = super::link::open(&config, self.link.as_deref(), clock.salt(), hardware) {
            *link = new;
        }
    }

    fn is_over(&self, vehicle: &Vehicle<FileStorage>, now: VehicleMicros, is_replayed: bool) -> bool {
        if self.seconds.is_some_and(|seconds| now.0 >= seconds * 1_000_000) {
            return true;
        }
        if self.until_empty {
            return is_replayed && !holds_rows(vehicle);
        }
        let is_fed = !self.captures.is_empty() || !self.places.is_empty();
        is_fed && is_replayed && self.load == 0 && self.ethernet.is_empty()
    }
}

/// Gives the vehicle one record of a capture at its time in this run.
fn replay(vehicle: &mut Vehicle<FileStorage>, record: &Record, at: VehicleMicros) {
    match record {
        Record::Can(frame) => vehicle.frame(&TimedFrame { at, ..*frame }),
        Record::Lin(heard) => vehicle.lin(&TimedLin { at, ..*heard }),
        Record::FlexRay(heard) => vehicle.flexray(&TimedFlexRay { at, ..**heard }),
        Record::CanXl(_) | Record::Ethernet { .. } => {}
    }
}

/// Whether a vehicle model is believed.
type Judged = Result<Trusted, Refusal>;

/// Reads the vehicle model and judges it; one that is not believed is not handed out. A vehicle that insists on nothing
/// does not start with a model that it cannot read, since then somebody provisioned it wrongly.
fn model(config: &VehicleConfig, trust: &ModelTrust) -> Result<(Vec<u8>, Option<Judged>), Failure> {
    let Some(path) = &config.model else { return Ok((Vec::new(), None)) };
    let name = path.display();
    let read = std::fs::metadata(path).and_then(|file| {
        if file.len() > FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!("{} bytes, at most {FILE_BYTES_MAX}", file.len())));
        }
        std::fs::read(path)
    });
    let judged = match read {
        Ok(bytes) => trust.judge(&bytes).map(|trusted| (bytes, trusted)),
        Err(error) => Err(Refusal::Unreadable(format!("{name}: {error}"))),
    };
    match judged {
        Ok((bytes, trusted)) => Ok((bytes, Some(Ok(trusted)))),
        Err(refusal) if trust.is_strict() => Ok((Vec::new(), Some(Err(refusal)))),
        Err(refusal) => Err(Failure::input(refusal.to_string())),
    }
}

/// Writes the patterns of the rule pack in use to where the host sensors read them; they were checked when it was taken.
fn configured_patterns(
    config: &VehicleConfig,
    vehicle: &Vehicle<FileStorage>,
) -> Result<Option<PathBuf>, Failure> {
    let patterns = vehicle.remote().map_or("", |remote| remote.patterns.as_str());
    if patterns.is_empty() {
        return Ok(None);
    }
    let path = config.state.join("config").join("patterns.toml");
    std::fs::write(&path, patterns)
        .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    Ok(Some(path))
}

fn ids_udp(config: &VehicleConfig) -> Result<IdsUdp, Failure> {
    let listen = config.idsr.as_ref().map(|section| section.listen);
    let target = config.idsm.as_ref().map(|section| section.target);
    IdsUdp::open(listen, target).map_err(|error| Failure::input(format!("IDS frames: {error}")))
}

/// Says where reports and IDS frames went.
fn say_ids(vehicle: &Vehicle<FileStorage>, terminal: &mut Terminal<'_>) {
    if let Some((counts, limits)) = vehicle.ids().chain_counts() {
        terminal.note(&format!("qualification: {counts:?}, {limits:?}"));
    }
    if let Some(counts) = vehicle.ids().idsr_counts() {
        terminal.note(&format!("IDS frames in: {counts:?}"));
    }
    if let Some(counts) = vehicle.ids().idsm_counts() {
        terminal.note(&format!("IDS frames out: {counts:?}"));
    }
}

fn holds_rows(vehicle: &Vehicle<FileStorage>) -> bool {
    let spool = vehicle.gateway().spool();
    spool
        .epochs()
        .into_iter()
        .any(|epoch| Lane::ALL.into_iter().any(|lane| spool.next_held(epoch, lane, 0).is_some()))
}

/// Makes an event that no other folds into.
fn load_event(number: u64, now: VehicleMicros) -> SecurityEvent {
    let (event_type, key) = match number % 10 {
        0 => (event::CAN_FLOOD, field::CAN_ID),
        1..=6 => (event::CAN_UNKNOWN_ID, field::CAN_ID),
        _ => (event::FW_PACKET_BLOCKED, field::DESTINATION_PORT),
    };
    let mut event = SecurityEvent::new(event_type, now).with(key, FieldValue::Uint(number % 100_000));
    event.bus = Some(BusId(0));
    event
}

/// Says up to which number each lane survives a crash, where that has changed.
fn say_durable(
    vehicle: &Vehicle<FileStorage>,
    said: &mut BTreeMap<Lane, u64>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let spool = vehicle.gateway().spool();
    for lane in Lane::ALL {
        let last = spool.head(spool.epoch(), lane).map_or(0, |(head, _)| head.last_seq);
        if said.insert(lane, last) != Some(last) && last > 0 {
            writeln!(out, "durable {} {} {last}", spool.epoch(), lane.word())
                .map_err(|error| Failure::output(error.to_string()))?;
        }
    }
    out.flush().map_err(|error| Failure::output(error.to_string()))
}
