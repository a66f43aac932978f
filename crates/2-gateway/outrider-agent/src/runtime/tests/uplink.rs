//! Links that tell by themselves, and what the link may cost.

use outrider_gateway::uplink::UplinkPolicy;
use outrider_wire::{Outcome, RefuseReason};

use super::*;

/// A session: commands come unasked, and captures have no way.
struct Session {
    cloud: Cloud,
    told: Vec<Vec<u8>>,
}

impl Transport for Session {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.cloud.exchange(frame)
    }
}

impl CloudLink for Session {
    fn upload(&mut self, _: &str, _: &str, _: &str, _: &[u8]) -> Result<(), TransportError> {
        panic!("nothing was promised")
    }

    fn takes_evidence(&self) -> bool {
        false
    }

    fn unasked(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.told)
    }

    fn tells_commands(&self) -> bool {
        true
    }
}

#[test]
fn a_command_that_comes_unasked_is_judged_and_one_for_evidence_without_a_way_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut vehicle = open(folder.path(), 1);
    let mut session = Session { cloud: Cloud::new(), told: Vec::new() };
    vehicle.exchange(&mut session, second(1));
    let asked = session.cloud.batches.len();
    for at in 2..60 {
        vehicle.exchange(&mut session, second(at));
    }
    let rows = session.cloud.batches.len() - asked;
    assert!(rows <= 1, "{rows}: nobody asks what he would be told");
    drive(&mut vehicle);
    session.told = vec![reply(&[], &[&command(1, 1, |_| {}, 3)]), b"no reply".to_vec()];
    vehicle.exchange(&mut session, second(61));
    assert_eq!(session.cloud.outcomes, [Outcome::Refused(Some(RefuseReason::NotAvailable))]);
    assert_eq!(vehicle.status().commands_refused, 1);
}

#[test]
fn a_spent_budget_is_an_event_once_and_is_not_forgotten_by_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy =
        UplinkPolicy { bytes_a_day: Some(1500), critical_bytes_a_day: 1000, ..UplinkPolicy::default() };
    let mut spent = 0;
    for boot in 1..=2 {
        let mut vehicle = open(folder.path(), boot);
        vehicle.set_link(Link::Metered);
        vehicle.set_uplink(policy).expect("it can be kept");
        let before = vehicle.gateway().uplink().budget().spent(Lane::Critical);
        assert!(before >= spent, "boot {boot}: {before}, {spent} before");
        let mut cloud = Cloud::new();
        for at in 1..200 {
            let event = SecurityEvent::new(event::CAN_UNKNOWN_ID, second(at))
                .with(field::CAN_ID, FieldValue::Uint(at));
            vehicle.event(SecurityEvent { lane: Lane::Critical, ..event }, second(at));
            vehicle.tick(second(at));
            vehicle.exchange(&mut cloud, second(at));
        }
        spent = vehicle.gateway().uplink().budget().spent(Lane::Critical);
        assert!(spent >= 1500, "{spent}");
        let all = rows(&mut vehicle, second(400));
        let told = all.iter().filter(|row| row.event_type == event::UPLINK_BUDGET_SPENT).count();
        assert_eq!(told, if boot == 1 { 1 } else { 0 }, "once a day");
    }
    let refused = open(folder.path(), 3).set_uplink(UplinkPolicy { critical_bytes_a_day: 0, ..policy });
    assert!(refused.is_err());
}
