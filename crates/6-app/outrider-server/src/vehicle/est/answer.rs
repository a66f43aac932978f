//! Answers of EST: certificates-only PKCS#7, and what requests may ask for.

use base64::Engine as _;

/// Answer of `csrattrs` (RFC 8951, 3.2; CsrAttrs): any of the kinds of keys in the table, P-256 with SHA-256 first.
///
/// ```text
/// SEQUENCE {
///   SEQUENCE { id-ecPublicKey, SET { secp256r1, secp384r1 } }
///   ecdsa-with-SHA256, ecdsa-with-SHA384, id-Ed25519 }
/// ```
pub const CSR_ATTRIBUTES: &[u8] = &[
    0x30, 0x37, 0x30, 0x1c, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x31, 0x11, 0x06, 0x05,
    0x2b, 0x81, 0x04, 0x00, 0x22, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03,
    0x03, 0x06, 0x03, 0x2b, 0x65, 0x70,
];

/// id-signedData, version 1, no digests, no content, and behind the certificates no signers (RFC 5652, 5.1).
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const DATA: &[u8] = &[0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const VERSION_1: &[u8] = &[0x02, 0x01, 0x01];
const EMPTY_SET: &[u8] = &[0x31, 0x00];

/// Writes certificates as certs-only CMC simple PKI response (RFC 5272, 4.1), base64 in one line. The order of a SET is
/// that of DER (X.690, 11.6), so it says nothing: who reads it looks at what each certificate is.
#[must_use]
pub fn certificates_only(certificates: &[Vec<u8>]) -> String {
    let mut sorted: Vec<&Vec<u8>> = certificates.iter().collect();
    sorted.sort();
    let certificates = wrap(0xa0, &sorted.into_iter().flatten().copied().collect::<Vec<_>>());
    let signed = wrap(0x30, &[VERSION_1, EMPTY_SET, DATA, &certificates, EMPTY_SET].concat());
    let content = wrap(0x30, &[SIGNED_DATA, &wrap(0xa0, &signed)].concat());
    base64::engine::general_purpose::STANDARD.encode(content)
}

/// Writes a DER element; lengths up to four octets.
fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=0x7f => out.push(u8::try_from(short).unwrap_or(0x7f)),
        _ => {
            let skip = length.iter().take_while(|octet| **octet == 0).count();
            let octets = length.get(skip..).unwrap_or_default();
            out.push(0x80 | u8::try_from(octets.len()).unwrap_or(4));
            out.extend_from_slice(octets);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_shortest() {
        assert_eq!(wrap(0x04, &[]), [4, 0]);
        assert_eq!(wrap(0x04, &[0; 127])[..2], [4, 127]);
        assert_eq!(wrap(0x04, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(wrap(0x04, &[0; 256])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn the_attributes_are_der() {
        use x509_parser::der_parser::der::parse_der;
        let (rest, element) = parse_der(CSR_ATTRIBUTES).expect("it parses");
        assert!(rest.is_empty());
        assert_eq!(element.as_sequence().expect("a sequence").len(), 4);
    }
}
