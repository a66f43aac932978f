use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::{COMMAND_BYTES_MAX, Command, EvidenceWindow, IntentHash, PermitId};

use super::*;
use crate::{Ed25519Signer, Ed25519Verifier};

const DAY: i64 = 86_400 * 1_000_000;

fn context() -> CommandContext {
    CommandContext {
        tenant: TenantId(1),
        vehicle: VehicleId([9; 16]),
        now: Some(UnixMicros(1000)),
        last: LastCommand { sequence: 5, id: CommandId([5; 16]) },
        caps: CommandCaps::default(),
    }
}

fn head() -> CommandHead {
    CommandHead {
        id: CommandId([6; 16]),
        tenant: TenantId(1),
        vehicle: VehicleId([9; 16]),
        sequence: 6,
        not_before: UnixMicros(1000),
        expires: UnixMicros(1001),
        permit: PermitId([1; 16]),
        intent: IntentHash([2; 32]),
    }
}

fn window() -> EvidenceWindow {
    EvidenceWindow { epoch: BootEpoch(3), lane: Lane::Critical, seq: Seq(4), before_s: 60, after_s: 60 }
}

fn frame(head: &CommandHead, window: EvidenceWindow) -> Vec<u8> {
    let mut out = [0; COMMAND_BYTES_MAX];
    let signer = Ed25519Signer::new(&[1; 32]);
    let length = Command::emit(head, &Parameters::RequestEvidence(window), &signer, &mut out)
        .expect("fits its maximum");
    out[..length].to_vec()
}

fn judged(frame: &[u8], context: &CommandContext) -> Result<Verdict, RefuseReason> {
    let verifier = Ed25519Verifier::new(&Ed25519Signer::new(&[1; 32]).public_key()).expect("a real key");
    match judge(frame, context, &verifier) {
        Verdict::Refuse(refused) => Err(refused.reason),
        verdict @ (Verdict::Accept(_) | Verdict::Repeated(_)) => Ok(verdict),
    }
}

#[test]
fn a_command_at_the_edges_of_every_limit_is_accepted() {
    let accepted = Accepted { head: head(), parameters: Parameters::RequestEvidence(window()) };
    assert_eq!(judged(&frame(&head(), window()), &context()), Ok(Verdict::Accept(accepted)));
    assert_eq!(accepted.last(), LastCommand { sequence: 6, id: CommandId([6; 16]) });
    let week = CommandHead { expires: UnixMicros(1000 + 7 * DAY), ..head() };
    assert!(judged(&frame(&week, window()), &context()).is_ok());
}

#[test]
fn each_wrong_part_is_refused_for_its_own_reason() {
    let cases = [
        (CommandHead { vehicle: VehicleId([8; 16]), ..head() }, RefuseReason::WrongVehicle),
        (CommandHead { tenant: TenantId(2), ..head() }, RefuseReason::WrongTenant),
        (CommandHead { sequence: 5, ..head() }, RefuseReason::Sequence),
        (CommandHead { sequence: 0, ..head() }, RefuseReason::Sequence),
        (
            CommandHead { not_before: UnixMicros(1001), expires: UnixMicros(1002), ..head() },
            RefuseReason::NotYetValid,
        ),
        (
            CommandHead { not_before: UnixMicros(998), expires: UnixMicros(1000), ..head() },
            RefuseReason::Expired,
        ),
        (
            CommandHead { not_before: UnixMicros(1001), expires: UnixMicros(999), ..head() },
            RefuseReason::Window,
        ),
        (CommandHead { expires: UnixMicros(1000 + 7 * DAY + 1), ..head() }, RefuseReason::Window),
        (CommandHead { not_before: UnixMicros(i64::MIN), ..head() }, RefuseReason::Window),
    ];
    for (head, reason) in cases {
        assert_eq!(judged(&frame(&head, window()), &context()), Err(reason), "{head:?}");
    }
    for wide in [EvidenceWindow { before_s: 61, ..window() }, EvidenceWindow { after_s: 61, ..window() }] {
        assert_eq!(judged(&frame(&head(), wide), &context()), Err(RefuseReason::Cap));
    }
    let lost = CommandContext { now: None, ..context() };
    assert_eq!(judged(&frame(&head(), window()), &lost), Err(RefuseReason::NoTrustedTime));
}

#[test]
fn no_bit_of_a_command_can_change() {
    let good = frame(&head(), window());
    for offset in 0..good.len() {
        let mut bad = good.clone();
        bad[offset] ^= 1;
        let reason = judged(&bad, &context()).expect_err("a changed frame is refused");
        assert!(
            matches!(reason, RefuseReason::Malformed | RefuseReason::Signature),
            "offset {offset}: {reason:?}"
        );
    }
    assert_eq!(judged(&good[..good.len() - 1], &context()), Err(RefuseReason::Malformed));
}

#[test]
fn an_unknown_kind_and_wrong_parameters_are_told_apart() {
    for (offset, value, reason) in [(68, 9, RefuseReason::UnknownKind), (128, 7, RefuseReason::Parameters)] {
        let mut signed = frame(&head(), window());
        signed.truncate(signed.len() - 64);
        signed[offset] = value;
        let signature =
            outrider_wire::Signer::sign(&Ed25519Signer::new(&[1; 32]), &signed).expect("key in memory");
        signed.extend(signature);
        assert_eq!(judged(&signed, &context()), Err(reason));
    }
}

#[test]
fn the_last_command_again_is_neither_obeyed_nor_refused() {
    let context = CommandContext { last: LastCommand { sequence: 6, id: CommandId([6; 16]) }, ..context() };
    assert_eq!(judged(&frame(&head(), window()), &context), Ok(Verdict::Repeated(head())));
    let other = CommandHead { id: CommandId([7; 16]), ..head() };
    assert_eq!(judged(&frame(&other, window()), &context), Err(RefuseReason::Sequence));
}
