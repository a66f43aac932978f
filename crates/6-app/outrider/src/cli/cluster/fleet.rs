//! The fleet of `outrider cluster`: what each vehicle sends in each round follows from the seed alone.

use ed25519_dalek::SigningKey;
use outrider_gateway::Ed25519Signer;
use outrider_model::{Connectivity, VehicleRecord, catalogue};
use outrider_server::store::VehicleEntry;
use outrider_types::{
    BootEpoch, ClockFix, ClockSource, EcuId, EventId, Lane, Seed, Seq, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};
use outrider_wire::{BatchWriter, DictId, Envelope, EnvelopeHeader, EventHead, LaneHead};

use crate::cli::Failure;
use crate::cli::provision::entry;

/// Two kinds of events, and rules of every kind that correlators count: events, vehicles, an order.
pub(super) const RULES: &str = "\
title: Security access denied
id: 31111111-1111-4111-8111-111111111111
name: denied
status: test
logsource:
  product: vehicle
detection:
  selection:
    event_type: diag.security_access_denied
  condition: selection
group-by: [vehicle_id]
level: low
---
title: Unknown identifier
id: 32222222-2222-4222-8222-222222222222
name: unknown
status: test
logsource:
  product: vehicle
detection:
  selection:
    event_type: can.unknown_id
  condition: selection
group-by: [model_line, ecu]
level: low
---
title: Denied again and again
id: 33333333-3333-4333-8333-333333333333
status: test
correlation:
  type: event_count
  rules: [denied]
  group-by: [vehicle_id]
  timespan: 5m
  condition:
    gte: 5
level: medium
---
title: Denied on several vehicles
id: 34444444-4444-4444-8444-444444444444
status: test
correlation:
  type: value_count
  rules: [denied]
  group-by: [model_line]
  timespan: 10m
  condition:
    field: vehicle_id
    gte: 5
level: high
---
title: Denied, then an unknown identifier
id: 35555555-5555-4555-8555-555555555555
status: test
correlation:
  type: temporal_ordered
  rules: [denied, unknown]
  group-by: [vehicle_id]
  timespan: 2m
level: high
";

/// Time from one boot to the next.
const BOOT_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Events of one frame at most.
const EVENTS_MAX: u64 = 4;
const MODEL_LINES: u64 = 8;
const TENANT: TenantId = TenantId(1);

/// One vehicle.
pub(super) struct Sender {
    pub(super) id: VehicleId,
    key: [u8; 32],
    model_line: String,
    /// Wall time of its first boot.
    begin: UnixMicros,
    seed: u64,
}

impl Sender {
    /// Returns the vehicles of a seed. Three in ten tell what happened up to twenty days ago.
    pub(super) fn fleet(seed: u64, vehicles: u32, now: UnixMicros) -> Vec<Self> {
        (0..u64::from(vehicles)).map(|number| Self::new(seed, number, now)).collect()
    }

    fn new(seed: u64, number: u64, now: UnixMicros) -> Self {
        let mut draw = Seed::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&draw.next_u64().to_le_bytes());
        id[8..].copy_from_slice(&number.to_le_bytes());
        let mut key = [0; 32];
        key.chunks_mut(8).for_each(|part| part.copy_from_slice(&draw.next_u64().to_le_bytes()));
        // Whole days, so that late vehicles meet each other.
        let days = if draw.chance(3, 10) { 1 + draw.below(20) } else { 0 };
        let days = i64::try_from(days).unwrap_or(0);
        Self {
            id: VehicleId(id),
            key,
            model_line: format!("Line {}", draw.below(MODEL_LINES)),
            begin: now.saturating_add(-days * DAY_US - DAY_US / 2),
            seed: draw.next_u64(),
        }
    }

    /// Returns what the registry has of it.
    pub(super) fn entry(&self) -> VehicleEntry {
        let record = VehicleRecord {
            vehicle: self.id,
            tenant: TENANT,
            model_line: self.model_line.clone(),
            platform: "P1".to_owned(),
            model_year: 2026,
            release: "1.0".to_owned(),
            region: "DE".to_owned(),
            connectivity: Connectivity::Cellular,
            ..VehicleRecord::default()
        };
        entry(record, SigningKey::from_bytes(&self.key).verifying_key().to_bytes(), false)
    }

    /// Returns the frame of a round with the events in it.
    ///
    /// # Errors
    /// None that this fleet can meet; the encoder says what it refuses.
    pub(super) fn frame(&self, round: u64) -> Result<(Vec<u8>, Vec<EventId>), Failure> {
        let mut draw = Seed::new(self.seed ^ (round + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
        let count = 1 + draw.below(EVENTS_MAX);
        let mut rows = vec![0; 4096];
        let mut writer = BatchWriter::new(&mut rows);
        let boot = i64::try_from(round).unwrap_or(0) * BOOT_US;
        let wall = self.begin.saturating_add(boot);
        let fix = ClockFix { mono: VehicleMicros(0), wall, error_us: 1000, source: ClockSource::Gnss };
        writer.fix(&fix).map_err(Failure::failed)?;
        let lane = Lane::Critical;
        let head = LaneHead { lane, first_seq: 1, last_seq: count, received: count, folded: 0 };
        writer.head(&head, &[]).map_err(Failure::failed)?;
        let epoch = BootEpoch(round + 1);
        let mut ids = Vec::new();
        for seq in (1..=count).map(Seq) {
            let name = if draw.chance(2, 3) { "diag.security_access_denied" } else { "can.unknown_id" };
            let event_type = catalogue::event_type_by_name(name)
                .ok_or_else(|| Failure::failed(format!("the catalogue lacks {name}")))?;
            let at = VehicleMicros(seq.0 * 10_000_000 + draw.below(9_000_000));
            let head = EventHead {
                event_type: event_type.id,
                lane,
                seq,
                severity: None,
                bus: None,
                ecu: EcuId(u16::try_from(draw.below(6)).unwrap_or(0)),
                first: at,
                last: at,
                count: 1,
            };
            writer.event(&head, std::iter::empty(), b"").map_err(Failure::failed)?;
            ids.push(EventId { vehicle: self.id, epoch, lane, seq });
        }
        let payload = writer.finish();
        let header = EnvelopeHeader {
            dict: DictId::STORED,
            catalogue_id: 1,
            tenant: TENANT,
            vehicle: self.id,
            epoch,
            batch_number: 1,
            raw_bytes: u32::try_from(payload.len()).map_err(Failure::failed)?,
        };
        let mut frame = vec![0; Envelope::frame_bytes(payload.len())];
        let signer = Ed25519Signer::new(&self.key);
        let length = Envelope { header, payload }.emit(&signer, &mut frame).map_err(Failure::failed)?;
        frame.truncate(length);
        Ok((frame, ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_what_everybody_sends() {
        let now = UnixMicros(1_800_000_000_000_000);
        let frames = |seed| {
            let fleet = Sender::fleet(seed, 20, now);
            fleet.iter().map(|one| one.frame(3).expect("it encodes")).collect::<Vec<_>>()
        };
        assert_eq!(frames(1), frames(1));
        assert_ne!(frames(1), frames(2));
        let loaded = outrider_rules::load(&[outrider_rules::RuleFile { name: "cluster.yml", text: RULES }]);
        assert_eq!((loaded.errors().count(), loaded.rules.correlations().len()), (0, 3));
    }
}
