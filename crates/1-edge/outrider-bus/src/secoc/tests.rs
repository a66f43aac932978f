//! Tests of secured PDUs, with a keyed toy checksum in the place of a CMAC.

extern crate std;

use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::crc::CRC32_P4;

/// Toy authenticator: four keyed CRCs. Good enough to tell one input from another, and nothing else.
struct Toy {
    asked: u32,
}

fn toy(data: &Authentic<'_>) -> [u8; 16] {
    let mut whole = [0; 16];
    for (salt, slot) in (0u8..).zip(whole.chunks_mut(4)) {
        let mut register = CRC32_P4.update(CRC32_P4.begin(), &[0x5A, salt]);
        register = CRC32_P4.update(register, &data.data_id.to_be_bytes());
        register = CRC32_P4.update(register, data.payload);
        register = CRC32_P4.update(register, &data.freshness.to_be_bytes());
        slot.copy_from_slice(&CRC32_P4.finish(register).to_be_bytes());
    }
    whole
}

impl Verifier for Toy {
    fn verify(&mut self, data: &Authentic<'_>, mac: &Mac) -> bool {
        self.asked += 1;
        Mac::truncate(&toy(data), mac.bits()) == *mac
    }
}

/// Writes a secured PDU bit by bit.
fn secure(layout: Layout, data_id: u16, payload: &[u8], freshness: u64) -> Vec<u8> {
    let mac = toy(&Authentic { data_id, payload, freshness });
    let mut bits: Vec<bool> =
        (0..layout.freshness_bits()).rev().map(|bit| freshness >> bit & 1 == 1).collect();
    bits.extend((0..usize::from(layout.mac_bits())).map(|bit| mac[bit / 8] >> (7 - bit % 8) & 1 == 1));
    let mut bytes = payload.to_vec();
    bytes.extend(bits.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))));
    bytes
}

#[test]
fn payload_freshness_and_authenticator_are_cut_at_bits() {
    let view = Layout::PROFILE_3.view(&[1, 2, 0xA1, 0x23, 0x45, 0x67]).expect("long enough");
    assert_eq!((view.payload, view.freshness), ([1u8, 2].as_slice(), 0xA));
    assert_eq!(view.mac.bytes()[..5], [0x12, 0x34, 0x56, 0x70, 0]);
    assert_eq!(Layout::PROFILE_3.view(&[0xA1, 0x23, 0x45, 0x67]), None);
    assert_eq!(Layout::new(4, 24), None);
    assert_eq!(Layout::new(8, 0), None);
    assert_eq!(Layout::new(72, 24), None);
}

#[test]
fn fresh_replayed_and_forged_are_told_apart() {
    let mut receiver = Receiver::new(7, Layout::PROFILE_1, Some(0x1FE));
    let mut toy = Toy { asked: 0 };
    let pdu = |freshness| secure(Layout::PROFILE_1, 7, &[1, 2, 3, 4], freshness);
    assert_eq!(receiver.receive(&pdu(0x1FF), &mut toy), Outcome::Verified { freshness: 0x1FF });
    assert_eq!(
        receiver.receive(&pdu(0x201), &mut toy),
        Outcome::Verified { freshness: 0x201 },
        "the low byte wraps"
    );
    assert_eq!(toy.asked, 2);
    assert_eq!(receiver.receive(&pdu(0x201), &mut toy), Outcome::Replayed { freshness: 0x201 });
    assert_eq!(receiver.receive(&pdu(0x1FF), &mut toy), Outcome::Replayed { freshness: 0x1FF });
    let mut forged = pdu(0x202);
    forged[0] ^= 1;
    assert_eq!(receiver.receive(&forged, &mut toy), Outcome::MacFailure { freshness: 2 });
    assert_eq!(receiver.latest(), Some(0x201));
    assert_eq!(receiver.receive(&forged[..4], &mut toy), Outcome::Truncated);
    let whole = Layout::new(64, 24).expect("whole bytes");
    let mut full = Receiver::new(7, whole, Some(9));
    assert_eq!(full.receive(&secure(whole, 7, &[1], 9), &mut toy), Outcome::Replayed { freshness: 9 });
    let mut last = Receiver::new(7, Layout::PROFILE_1, Some(u64::MAX));
    assert_eq!(last.receive(&pdu(3), &mut toy), Outcome::Exhausted);
}

proptest! {
    #[test]
    fn every_fresh_pdu_verifies_and_no_flipped_bit_does(
        freshness_bits in 0u16..=64, extra in 0u16..6, payload in proptest::collection::vec(any::<u8>(), 1..20),
        latest in 0u64..1 << 40, step in 1u64..16, flip: usize,
    ) {
        let mac_bits = 24 + extra * 8 + (8 - freshness_bits % 8) % 8;
        let layout = Layout::new(freshness_bits, mac_bits).expect("whole bytes");
        // Nothing sent can say more than the bits allow.
        let step = if freshness_bits < 4 { 1 } else { step.min((1 << freshness_bits.min(40)) - 1) };
        let freshness = latest + step;
        let pdu = secure(layout, 9, &payload, freshness);
        let mut receiver = Receiver::new(9, layout, Some(latest));
        prop_assert_eq!(receiver.receive(&pdu, &mut Toy { asked: 0 }), Outcome::Verified { freshness });
        let mut forged = pdu.clone();
        let bit = flip % (payload.len() * 8);
        forged[bit / 8] ^= 0x80 >> (bit % 8);
        let mut receiver = Receiver::new(9, layout, Some(latest));
        let outcome = receiver.receive(&forged, &mut Toy { asked: 0 });
        let is_failure = matches!(outcome, Outcome::MacFailure { .. });
        prop_assert!(is_failure);
    }

    #[test]
    fn any_bytes_are_cut_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40), fresh in 0u16..70, mac in 0u16..140) {
        if let Some(view) = Layout::new(fresh, mac).and_then(|layout| layout.view(&bytes)) {
            prop_assert_eq!(view.payload.len() + usize::from((fresh + mac) / 8), bytes.len());
        }
    }
}
