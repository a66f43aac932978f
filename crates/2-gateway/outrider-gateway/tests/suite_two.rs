//! Golden vector of suite 2: a frame that a P-256 key signed once is read for ever. ECDSA signs with random numbers, so it
//! cannot be written again.

use std::path::Path;

use outrider_gateway::{EcdsaP256Verifier, Ed25519Signer, Ed25519Verifier};
use outrider_types::{BootEpoch, TenantId, VehicleId};
use outrider_wire::low_s;
use outrider_wire::{
    DictId, Envelope, EnvelopeHeader, FrameError, SealedEnvelope, Signer, SignerError, Suite,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let secret = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("random");
        Self(EcdsaKeyPair::from_pkcs8(algorithm, secret.as_ref(), &SystemRandom::new()).expect("just made"))
    }

    fn point(&self) -> [u8; 65] {
        self.0.public_key().as_ref().try_into().expect("a point")
    }
}

impl Signer for Key {
    fn suite(&self) -> Suite {
        Suite::EcdsaP256
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| SignerError)?;
        signature.as_ref().try_into().map(low_s).map_err(|_| SignerError)
    }
}

fn frame(signer: &dyn Signer) -> Vec<u8> {
    let header = EnvelopeHeader {
        dict: DictId::STORED,
        catalogue_id: 1,
        tenant: TenantId(42),
        vehicle: VehicleId([0xA1; 16]),
        epoch: BootEpoch(7),
        batch_number: 3,
        raw_bytes: 4,
    };
    let mut out = vec![0; Envelope::frame_bytes(4)];
    let length = Envelope { header, payload: b"rows" }.emit(signer, &mut out).expect("within all caps");
    assert_eq!(length, out.len());
    out
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../0-spine/outrider-wire/golden/suite-2").join(name)
}

fn golden(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(path(name)).expect("the vector is part of the repository");
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

fn open(frame: &[u8], key: &dyn outrider_wire::Verifier) -> Result<(), FrameError> {
    SealedEnvelope::parse(frame)?.open(key).map(|envelope| assert_eq!(envelope.payload, b"rows"))
}

#[test]
fn the_golden_frame_is_read_as_ever() {
    let point = golden("public_point.hex").as_slice().try_into().expect("65 bytes");
    let key = EcdsaP256Verifier::new(&point).expect("a point");
    let stored = golden("batch_stored.hex");
    assert_eq!(open(&stored, &key), Ok(()));
    let (signed, fresh) = (&stored[..stored.len() - 64], frame(&Key::new()));
    assert_eq!(signed, &fresh[..fresh.len() - 64], "the bytes that are signed are written differently now");
    for byte in 0..stored.len() {
        let mut changed = stored.clone();
        changed[byte] ^= 1;
        assert!(open(&changed, &key).is_err(), "byte {byte}");
    }
}

#[test]
fn a_frame_of_one_suite_is_not_read_with_a_key_of_the_other() {
    let (two, one) = (Key::new(), Ed25519Signer::new(&[1; 32]));
    let of_two = EcdsaP256Verifier::new(&two.point()).expect("a point");
    let of_one = Ed25519Verifier::new(&one.public_key()).expect("a point");
    assert_eq!((open(&frame(&two), &of_two), open(&frame(&one), &of_one)), (Ok(()), Ok(())));
    assert_eq!(open(&frame(&two), &of_one), Err(FrameError::Suite { expected: 1, got: 2 }));
    assert_eq!(open(&frame(&one), &of_two), Err(FrameError::Suite { expected: 2, got: 1 }));
    let mut third = frame(&two);
    third[6] = 3;
    assert_eq!(open(&third, &of_two), Err(FrameError::Suite { expected: 1, got: 3 }));
}

#[test]
#[ignore = "writes the vector if it is missing"]
fn write_missing_vector() {
    let key = Key::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    if !path("batch_stored.hex").exists() {
        std::fs::create_dir_all(path("")).expect("writable");
        std::fs::write(path("batch_stored.hex"), hex(&frame(&key))).expect("writable");
        std::fs::write(path("public_point.hex"), hex(&key.point())).expect("writable");
    }
}
