//! A whole server over storage in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ed25519_dalek::{Signer as _, SigningKey};
use outrider_model::{
    AppendError, Connectivity, EcuEntry, EventBatch, EventLog, LogOffset, LogRecord, Partition, Sink,
    SinkError, VehicleRecord,
};
use outrider_server::api::dto::{
    Event, LakeHealth, Lane as ApiLane, Severity, SqlResult, Timestamp, UnclassifiedType,
};
use outrider_server::port::{EventHistory, HistoryError, PartCount, Ports, Random, TimelineSpan};
use outrider_server::server::{self, Backends, RuleText, RunningServer, ServerConfig};
use outrider_server::store::VehicleEntry;
use outrider_types::{
    BootEpoch, ClockFix, ClockSource, EcuId, EventId, EventTypeId, IngestTime, Lane, ManualClock, Seed, Seq,
    TenantId, UnixMicros, VehicleId, VehicleMicros,
};
use outrider_wire::{BatchWriter, DictId, Envelope, EnvelopeHeader, EventHead, LaneHead, SignerError};

use crate::client::{Answer, Browser, exchange, vehicle_stream};

pub(crate) const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);
pub(crate) const TENANT: TenantId = TenantId(1);
pub(crate) const PASSWORD: &str = "a password for tests";

/// A rule that counts security access denials of one vehicle.
pub(crate) const RULE: &str = "\
title: Security access denied
id: 11111111-1111-4111-8111-111111111111
name: denied
status: test
description: An ECU refused a key.
logsource:
  product: vehicle
detection:
  selection:
    event_type: diag.security_access_denied
  condition: selection
group-by: [vehicle_id]
level: high
tags:
  - unr155.18.3
";

/// Repeatable bytes.
pub(crate) struct SeededRandom(pub(crate) Mutex<Seed>);

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut seed = self.0.lock().expect("no test panics here");
        for chunk in bytes.chunks_mut(8) {
            let word = seed.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Event log in memory. With several partitions its offsets have gaps, as those of a log over a network may.
pub(crate) struct MemoryLog {
    partitions: Vec<Mutex<Vec<LogRecord>>>,
    puts: Mutex<Puts>,
    /// Records that are gone although ones before and behind them are there.
    lost: Mutex<std::collections::BTreeSet<(Partition, LogOffset)>>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::of(1)
    }
}

impl MemoryLog {
    /// An empty log of so many partitions.
    pub(crate) fn of(partitions: usize) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            puts: Mutex::default(),
            lost: Mutex::default(),
        }
    }

    /// Loses the record after so many of a partition.
    pub(crate) fn lose(&self, partition: Partition, number: usize) {
        let lost = self.records(partition)[number].offset;
        self.lost.lock().expect("no test panics here").insert((partition, lost));
    }

    /// Records from an offset on that are there.
    fn from(&self, partition: Partition, from: LogOffset) -> Vec<LogRecord> {
        let (log, lost) = (self.records(partition), self.lost.lock().expect("no test panics here"));
        let there =
            |record: &&LogRecord| record.offset >= from && !lost.contains(&(partition, record.offset));
        log.iter().filter(there).cloned().collect()
    }

    fn records(&self, partition: Partition) -> std::sync::MutexGuard<'_, Vec<LogRecord>> {
        self.partitions[usize::from(partition.0)].lock().expect("no test panics here")
    }

    /// Offset of the record after so many.
    fn place(&self, records: usize) -> LogOffset {
        let step = if self.partitions.len() == 1 { 1 } else { 3 };
        LogOffset(records as u64 * step)
    }
}

/// Auxiliary keys of the log.
type Puts = BTreeMap<Vec<u8>, Vec<u8>>;

impl EventLog for MemoryLog {
    fn partitions(&self) -> u16 {
        u16::try_from(self.partitions.len()).expect("small")
    }

    fn append(
        &self,
        partition: Partition,
        ingest: IngestTime,
        records: &[&[u8]],
        puts: &[(&[u8], &[u8])],
    ) -> Result<LogOffset, AppendError> {
        let mut log = self.records(partition);
        let first = self.place(log.len());
        for bytes in records {
            let offset = self.place(log.len());
            log.push(LogRecord { offset, ingest, bytes: bytes.to_vec() });
        }
        let mut stored = self.puts.lock().expect("no test panics here");
        stored.extend(puts.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        Ok(first)
    }

    fn get(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, AppendError> {
        Ok(self.puts.lock().expect("no test panics here").get(key).cloned().into_iter().collect())
    }

    fn stamp(&self, _: &[u8]) -> u64 {
        0
    }

    fn start(&self, _: Partition) -> Result<LogOffset, AppendError> {
        Ok(LogOffset(0))
    }

    fn read(
        &self,
        partition: Partition,
        from: LogOffset,
        max: usize,
        _: usize,
    ) -> Result<Vec<LogRecord>, AppendError> {
        let mut records = self.from(partition, from);
        records.truncate(max);
        Ok(records)
    }

    fn end(&self, partition: Partition) -> Result<LogOffset, AppendError> {
        Ok(self.place(self.records(partition).len()))
    }

    fn vacant_until(&self, partition: Partition, from: LogOffset) -> Result<LogOffset, AppendError> {
        let next = self.from(partition, from).first().map(|record| record.offset);
        Ok(next.unwrap_or(from.max(self.end(partition)?)))
    }

    fn release(&self, _: Partition, _: LogOffset) -> Result<(), AppendError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let partitions = (0..self.partitions()).map(Partition);
        partitions
            .flat_map(|partition| self.records(partition).clone())
            .map(|record| record.bytes.len() as u64)
            .sum()
    }
}

/// What the lake has of each partition.
type Stored = BTreeMap<Partition, LogOffset>;

/// Lake in memory: sink and history at once.
#[derive(Clone, Default)]
pub(crate) struct MemoryLake(pub(crate) Arc<Mutex<(Stored, Vec<Event>)>>);

impl MemoryLake {
    /// Types of the stored events, in order of storing.
    pub(crate) fn types(&self) -> Vec<String> {
        self.0.lock().expect("no test panics here").1.iter().map(|event| event.event_type.clone()).collect()
    }

    /// Ids of the stored events, in order of storing.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.lock().expect("no test panics here").1.iter().map(|event| event.id.clone()).collect()
    }
}

/// What one process writes into the lake with.
struct MemorySink {
    lake: MemoryLake,
    /// Where the next batch of a partition begins.
    begins: Stored,
}

impl Sink for MemorySink {
    fn next_offset(&mut self, partition: Partition) -> Result<LogOffset, SinkError> {
        let lake = self.lake.0.lock().expect("no test panics here");
        let next = lake.0.get(&partition).copied().unwrap_or_default();
        self.begins.insert(partition, next);
        Ok(next)
    }

    fn store(&mut self, partition: Partition, next: LogOffset, batch: &EventBatch) -> Result<(), SinkError> {
        let mut lake = self.lake.0.lock().expect("no test panics here");
        let has = lake.0.get(&partition).copied().unwrap_or_default();
        if has < next && self.begins.get(&partition).is_none_or(|begin| *begin != has) {
            return Err(SinkError::Moved { sink: "memory", reason: format!("it has {has:?}") });
        }
        if has < next {
            lake.0.insert(partition, next);
            lake.1.extend((0..batch.rows()).map(|row| event(batch, row)));
        }
        self.begins.insert(partition, has.max(next));
        Ok(())
    }
}

fn event(batch: &EventBatch, row: usize) -> Event {
    let view = batch.row(row);
    let entry =
        outrider_model::catalogue::event_type(view.event_type()).expect("the type is in the catalogue");
    Event {
        id: view.id().to_string(),
        event_type: entry.name.to_owned(),
        title: entry.title.to_owned(),
        severity: Severity::from_word(view.severity().word()).expect("both speak the same words"),
        lane: ApiLane::from_word(view.id().lane.word()).expect("both speak the same words"),
        vehicle_id: view.id().vehicle.to_string(),
        model_line: batch.model_line.get(row).map(str::to_owned),
        event_time: Timestamp(view.time().best),
        event_time_error_us: view.time().error_us,
        ingest_time: Timestamp(view.ingest().0),
        late: false,
        count: u64::from(batch.count[row]),
        bus: None,
        ecu: None,
        fields: BTreeMap::new(),
        vehicle_us: Some(batch.vehicle_us[row]),
        corrected: false,
        context_hex: None,
    }
}

#[async_trait]
impl EventHistory for MemoryLake {
    async fn events(&self, ids: &[EventId]) -> Result<Vec<Event>, HistoryError> {
        let lake = self.0.lock().expect("no test panics here");
        let find = |id: &EventId| lake.1.iter().find(|event| event.id == id.to_string()).cloned();
        Ok(ids.iter().filter_map(find).collect())
    }

    async fn timeline(
        &self,
        span: TimelineSpan,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Event>, HistoryError> {
        let lake = self.0.lock().expect("no test panics here");
        let mine = lake.1.iter().rev().filter(|event| event.vehicle_id == span.vehicle.to_string());
        Ok(mine.skip(usize::try_from(offset).expect("small")).take(limit as usize).cloned().collect())
    }

    async fn latest(
        &self,
        vehicle: VehicleId,
        event_type: EventTypeId,
        _: UnixMicros,
        limit: u32,
    ) -> Result<Vec<Event>, HistoryError> {
        let name = outrider_model::catalogue::event_type(event_type).map_or("", |entry| entry.name);
        let lake = self.0.lock().expect("no test panics here");
        let one = |event: &&Event| event.vehicle_id == vehicle.to_string() && event.event_type == name;
        Ok(lake.1.iter().rev().filter(one).take(limit as usize).cloned().collect())
    }

    async fn part_counts(&self, _: VehicleId, _: UnixMicros) -> Result<Vec<PartCount>, HistoryError> {
        Ok(Vec::new())
    }

    async fn unclassified(&self, _: UnixMicros) -> Result<Vec<UnclassifiedType>, HistoryError> {
        Ok(Vec::new())
    }

    async fn sql(&self, query: &str, _: u32) -> Result<SqlResult, HistoryError> {
        Err(HistoryError::Question(format!("no SQL here: {query}")))
    }

    async fn maintain(&self) -> Result<(), HistoryError> {
        Ok(())
    }

    async fn health(&self) -> Result<LakeHealth, HistoryError> {
        let lake = self.0.lock().expect("no test panics here");
        let rows = lake.1.len() as u64;
        Ok(LakeHealth { version: 0, rows, files: 0, bytes: 0, last_commit_at: None })
    }
}

/// Storage that outlives a server.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) lake: MemoryLake,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    /// An empty world at [`NOW`] whose log has so many partitions.
    pub(crate) fn of(partitions: usize) -> Self {
        let world = Self { log: Arc::new(MemoryLog::of(partitions)), ..Self::default() };
        world.clock.set(NOW);
        world
    }

    /// An empty world at [`NOW`].
    pub(crate) fn new() -> Self {
        let world = Self::default();
        world.clock.set(NOW);
        world
    }

    /// Returns what one more process writes into the lake with.
    pub(crate) fn sink(&self) -> Box<dyn Sink + Send> {
        Box::new(MemorySink { lake: self.lake.clone(), begins: Stored::new() })
    }

    /// Moves the clock.
    pub(crate) fn wait_seconds(&self, seconds: i64) {
        use outrider_types::Clock as _;
        self.clock.set(self.clock.now().saturating_add(seconds * 1_000_000));
    }

    /// Starts a server over this storage.
    pub(crate) async fn start(&self, folder: &Path) -> RunningServer {
        self.start_with(folder, |_| ()).await
    }

    /// Starts a server with other limits.
    pub(crate) async fn start_with(
        &self,
        folder: &Path,
        set: impl FnOnce(&mut ServerConfig),
    ) -> RunningServer {
        let mut config = ServerConfig::loopback(folder);
        set(&mut config);
        config.rules = vec![RuleText { name: "denied.yml".to_owned(), text: RULE.to_owned() }];
        config.pipeline.linger = std::time::Duration::ZERO;
        config.pipeline.checkpoint_every = std::time::Duration::from_millis(20);
        let ports = Ports {
            clock: self.clock.clone(),
            random: Arc::new(SeededRandom(Mutex::new(Seed::new(7)))),
            crypto: Arc::new(rustls::crypto::ring::default_provider()),
        };
        let backends =
            Backends { log: self.log.clone(), sink: Some(self.sink()), history: Arc::new(self.lake.clone()) };
        std::fs::create_dir_all(&config.folder).expect("a folder");
        crate::postgres::place(&config.folder).await;
        let server = server::start(config, ports, backends).await.expect("the server starts");
        let problems: Vec<_> =
            server.app().rules.rules().into_iter().flat_map(|rule| rule.problems).collect();
        assert_eq!(problems, Vec::<String>::new(), "the rules of the tests are in order");
        server
    }
}

/// A server with an administrator who is logged in.
pub(crate) struct Running {
    pub(crate) world: World,
    pub(crate) server: RunningServer,
    pub(crate) admin: Browser,
    pub(crate) folder: tempfile::TempDir,
}

/// Starts a server and logs its administrator in with a password of their own.
pub(crate) async fn running() -> Running {
    running_with(|_| ()).await
}

/// Starts a server with other limits.
pub(crate) async fn running_with(set: impl FnOnce(&mut ServerConfig)) -> Running {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a temporary folder"));
    let server = world.start_with(folder.path(), set).await;
    let mut admin = Browser::new(server.api_addr);
    let first = server.first_admin_password.clone().expect("the first start makes an administrator");
    assert_eq!(admin.login("admin", &first).await.status, 200);
    let change = serde_json::json!({"old": first, "new": PASSWORD});
    assert_eq!(admin.post("/api/v1/session/password", change).await.status, 200);
    Running { world, server, admin, folder }
}

impl Running {
    /// Makes a user of a role and logs in, with the password changed as demanded.
    pub(crate) async fn user(&self, name: &str, role: &str) -> Browser {
        let first = "the first password";
        let body = serde_json::json!({"name": name, "role": role, "password": first});
        assert_eq!(self.admin.post("/api/v1/users", body).await.status, 200);
        let mut browser = Browser::new(self.server.api_addr);
        assert_eq!(browser.login(name, first).await.status, 200);
        let change = serde_json::json!({"old": first, "new": PASSWORD});
        assert_eq!(browser.post("/api/v1/session/password", change).await.status, 200);
        browser
    }

    /// Registers a vehicle and returns what it needs to speak.
    pub(crate) async fn vehicle(&self, number: u8) -> TestVehicle {
        let vehicle = TestVehicle::unregistered(number);
        self.server.register(vec![vehicle.entry()]).await.expect("it is registered");
        vehicle
    }

    /// Sends a frame as a vehicle.
    pub(crate) async fn uplink(&self, vehicle: &TestVehicle, frame: &[u8]) -> Answer {
        self.request(vehicle, "POST /v1/uplink HTTP/1.1\r\n", frame).await
    }

    /// Sends any request as a vehicle.
    pub(crate) async fn request(&self, vehicle: &TestVehicle, head: &str, body: &[u8]) -> Answer {
        let files = self.server.ca().issue_vehicle(vehicle.id).expect("a certificate is issued");
        let stream = vehicle_stream(
            self.server.vehicle_addr.expect("it takes frames"),
            Some(&files),
            self.server.ca().certificate(),
        );
        exchange(stream.await.expect("the listener admits it"), head, body).await
    }

    /// Waits until the worker has finished everything in the log.
    pub(crate) async fn settle(&self) {
        settle(&self.server, &self.world).await;
    }
}

/// Waits until the worker has written a checkpoint behind everything in the log.
pub(crate) async fn settle(server: &RunningServer, world: &World) {
    let partitions = (0..world.log.partitions()).map(Partition);
    let end = LogOffset(partitions.map(|part| world.log.end(part).expect("memory does not fail").0).sum());
    for _ in 0..2000 {
        if server.app().pipeline.status().checkpoint >= end {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the worker stands still: {:?}", server.app().pipeline.status());
}

/// A vehicle that signs.
pub(crate) struct TestVehicle {
    pub(crate) id: VehicleId,
    pub(crate) key: SigningKey,
}

struct BatchSigner<'a>(&'a SigningKey);

impl outrider_wire::Signer for BatchSigner<'_> {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

impl TestVehicle {
    /// A vehicle of which the server knows nothing.
    pub(crate) fn unregistered(number: u8) -> Self {
        Self { id: VehicleId([number; 16]), key: SigningKey::from_bytes(&[number; 32]) }
    }

    /// What the registry has of it.
    pub(crate) fn entry(&self) -> VehicleEntry {
        VehicleEntry {
            record: VehicleRecord {
                vehicle: self.id,
                tenant: TENANT,
                model_line: "Aster".to_owned(),
                platform: "P1".to_owned(),
                model_year: 2026,
                release: "24.1".to_owned(),
                region: "DE".to_owned(),
                h3: None,
                connectivity: Connectivity::Cellular,
                ecus: vec![EcuEntry {
                    ecu: EcuId(2),
                    name: "gateway".to_owned(),
                    bus: 1,
                    software: "1".to_owned(),
                    ..EcuEntry::default()
                }],
                ..VehicleRecord::default()
            },
            buses: Vec::new(),
            capabilities: vec!["request_evidence".to_owned(), "configure".to_owned()],
            batch_key: Some(self.key.verifying_key().to_bytes().into()),
            anchor_key: None,
        }
    }

    /// Identity of one of its events.
    pub(crate) fn event(&self, seq: u64) -> EventId {
        EventId { vehicle: self.id, epoch: BootEpoch(4), lane: Lane::Critical, seq: Seq(seq) }
    }

    /// Rows of security access denials with these numbers.
    pub(crate) fn rows(&self, seqs: std::ops::RangeInclusive<u64>) -> Vec<u8> {
        self.rows_with(seqs, b"")
    }

    /// The same with a context in each row.
    pub(crate) fn rows_with(&self, seqs: std::ops::RangeInclusive<u64>, context: &[u8]) -> Vec<u8> {
        let denied = outrider_model::catalogue::event_type_by_name("diag.security_access_denied");
        let mut buffer = vec![0; 1 << 16];
        let mut writer = BatchWriter::new(&mut buffer);
        let wall = NOW.saturating_add(-3_600_000_000);
        let fix = ClockFix { mono: VehicleMicros(0), wall, error_us: 1000, source: ClockSource::Gnss };
        writer.fix(&fix).expect("there is room");
        let last = *seqs.end();
        let head = LaneHead { lane: Lane::Critical, first_seq: 1, last_seq: last, received: last, folded: 0 };
        writer.head(&head, &[]).expect("there is room");
        for seq in seqs {
            let at = VehicleMicros(1_000_000 * seq);
            let head = EventHead {
                event_type: denied.expect("the catalogue has it").id,
                lane: Lane::Critical,
                seq: Seq(seq),
                severity: None,
                bus: None,
                ecu: EcuId(2),
                first: at,
                last: at,
                count: 1,
            };
            writer.event(&head, std::iter::empty(), context).expect("there is room");
        }
        writer.finish().to_vec()
    }

    /// Seals rows as they are.
    pub(crate) fn seal(&self, rows: &[u8], payload: &[u8], dict: DictId, signer: &SigningKey) -> Vec<u8> {
        let header = EnvelopeHeader {
            dict,
            catalogue_id: 1,
            tenant: TENANT,
            vehicle: self.id,
            epoch: BootEpoch(4),
            batch_number: 1,
            raw_bytes: u32::try_from(rows.len()).expect("rows are short"),
        };
        let mut out = vec![0; Envelope::frame_bytes(payload.len())];
        let length = Envelope { header, payload }.emit(&BatchSigner(signer), &mut out).expect("it fits");
        out.truncate(length);
        out
    }

    /// A good batch of security access denials.
    pub(crate) fn batch(&self, seqs: std::ops::RangeInclusive<u64>) -> Vec<u8> {
        let rows = self.rows(seqs);
        self.seal(&rows, &rows, DictId::STORED, &self.key)
    }
}
