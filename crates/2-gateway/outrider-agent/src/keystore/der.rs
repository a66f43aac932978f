//! The few bytes of DER around P-256 keys and signatures.

use outrider_wire::SIGNATURE_BYTES;

/// Bytes of an uncompressed point.
pub const POINT_BYTES: usize = 65;

/// `SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING` up to the point (RFC 5480, 2).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86,
    0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Writes the DER `SubjectPublicKeyInfo` of a point, 91 bytes.
#[must_use]
pub fn spki(point: &[u8; POINT_BYTES]) -> Vec<u8> {
    [&SPKI_HEAD[..], point].concat()
}

/// Returns the point of a DER `SubjectPublicKeyInfo` of P-256; `None` if it is something else.
#[must_use]
pub fn point_of(spki: &[u8]) -> Option<[u8; POINT_BYTES]> {
    let point: [u8; POINT_BYTES] = spki.strip_prefix(&SPKI_HEAD)?.try_into().ok()?;
    (point.first() == Some(&4)).then_some(point)
}

/// Writes the DER `ECDSA-Sig-Value` of r and s, at most 72 bytes.
#[must_use]
pub fn signature_der(signature: &[u8; SIGNATURE_BYTES]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    let (r, s) = (integer(r), integer(s));
    let length = u8::try_from(r.len() + s.len()).unwrap_or(u8::MAX);
    [&[0x30, length][..], &r, &s].concat()
}

/// Writes a positive integer, as short as DER asks for.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len().saturating_sub(1));
    let digits = bytes.get(zeros..).unwrap_or_default();
    let pad = usize::from(digits.first().is_some_and(|byte| byte & 0x80 != 0));
    let length = u8::try_from(digits.len() + pad).unwrap_or(u8::MAX);
    let mut out = vec![0x02, length];
    out.extend(std::iter::repeat_n(0, pad));
    out.extend_from_slice(digits);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_comes_back_from_its_der_and_other_keys_do_not() {
        let mut point = [7; POINT_BYTES];
        point[0] = 4;
        let der = spki(&point);
        assert_eq!((der.len(), point_of(&der)), (91, Some(point)));
        assert_eq!(point_of(&der[..90]), None);
        let mut compressed = der.clone();
        compressed[26] = 2;
        assert_eq!(point_of(&compressed), None);
        let mut curve = der;
        curve[22] ^= 1;
        assert_eq!(point_of(&curve), None);
    }

    #[test]
    fn integers_are_short_and_positive() {
        let mut signature = [0; SIGNATURE_BYTES];
        signature[31] = 1;
        signature[32] = 0x80;
        let der = signature_der(&signature);
        assert_eq!(der[..5], [0x30, 38, 2, 1, 1]);
        assert_eq!(der[5..9], [2, 33, 0, 0x80]);
    }
}
