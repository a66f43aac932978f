//! Certificates-only PKCS#7 (RFC 5652, RFC 5272 4.1), as EST answers it: hostile until read.

/// Longest answer. Ten generations of a CA with their links are 20 KiB; certificates with ML-DSA are ten times as long.
pub const BUNDLE_BYTES_MAX: usize = 256 << 10;
/// Most certificates in an answer.
const CERTIFICATES_MAX: usize = 64;

const SEQUENCE: u8 = 0x30;
const CONTEXT_0: u8 = 0xa0;
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/// Why an answer holds no certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer than [`BUNDLE_BYTES_MAX`].
    #[error("the answer is too long")]
    TooLong,
    /// Not base64.
    #[error("the answer is not base64")]
    Base64,
    /// Not certificates-only PKCS#7 in DER.
    #[error("the answer is not certificates-only PKCS#7")]
    Structure,
}

/// Reads the certificates of an answer in base64, in its order; DER, not checked any further. White space is skipped.
///
/// # Errors
/// [`BundleError`].
pub fn certificates(body: &[u8]) -> Result<Vec<Vec<u8>>, BundleError> {
    use base64::Engine as _;
    if body.len() > BUNDLE_BYTES_MAX {
        return Err(BundleError::TooLong);
    }
    let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| BundleError::Base64)?;
    parse(&der).ok_or(BundleError::Structure)
}

fn parse(der: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (content, rest) = element(der, SEQUENCE)?;
    let signed = content.strip_prefix(SIGNED_DATA).filter(|_| rest.is_empty())?;
    let (signed, rest) = element(signed, CONTEXT_0)?;
    let (signed, after) = element(signed, SEQUENCE).filter(|_| rest.is_empty())?;
    // Version, digests, and content that says only what it would be.
    let (_, signed) = element(signed, 0x02).filter(|_| after.is_empty())?;
    let (_, signed) = element(signed, 0x31)?;
    let (_, signed) = element(signed, SEQUENCE)?;
    let (mut set, _) = element(signed, CONTEXT_0)?;
    let mut certificates = Vec::new();
    while !set.is_empty() {
        let (_, rest) = element(set, SEQUENCE)?;
        if certificates.len() >= CERTIFICATES_MAX {
            return None;
        }
        certificates.push(set.get(..set.len() - rest.len())?.to_vec());
        set = rest;
    }
    (!certificates.is_empty()).then_some(certificates)
}

/// Splits off one DER element with this tag: its content, and what follows. Lengths of at most four octets.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            (octets.iter().fold(0usize, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| first == tag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two "certificates" `30 01 XX`, as the cloud writes them.
    const GOOD: &[u8] = &[
        0x30, 0x28, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x1b, 0x30, 0x19,
        0x02, 0x01, 0x01, 0x31, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07,
        0x01, 0xa0, 0x06, 0x30, 0x01, 0x05, 0x30, 0x01, 0x06,
    ];

    fn good() -> Vec<u8> {
        let mut bytes = GOOD.to_vec();
        // Lengths of the outer elements follow from their content.
        bytes.extend([0x31, 0x00]);
        for (at, start) in [(1, 2), (14, 15), (16, 17)] {
            bytes[at] = u8::try_from(bytes.len() - start).expect("it is short");
        }
        bytes
    }

    #[test]
    fn the_certificates_come_out_in_order_and_nothing_torn_is_taken() {
        assert_eq!(parse(&good()), Some(vec![vec![0x30, 1, 5], vec![0x30, 1, 6]]));
        for length in 0..good().len() {
            assert_eq!(parse(&good()[..length]), None, "{length} bytes");
        }
        let trailing = [good(), vec![0]].concat();
        assert_eq!(parse(&trailing), None);
        assert_eq!(certificates(b"%%"), Err(BundleError::Base64));
        assert_eq!(certificates(b"MAA="), Err(BundleError::Structure));
        assert_eq!(certificates(&vec![b'A'; BUNDLE_BYTES_MAX + 1]), Err(BundleError::TooLong));
    }

    #[test]
    fn the_corpus_of_the_fuzz_target_is_read_without_panic() {
        let mut good = 0;
        let files = crate::io::corpus("est_answer", |bytes| good += usize::from(certificates(bytes).is_ok()));
        assert!(good >= 1 && files > good, "{good} of {files}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..60, flip: u8) {
            let _ = certificates(&bytes);
            let _ = parse(&bytes);
            let mut changed = good();
            let at = at % changed.len();
            changed[at] ^= flip;
            for certificate in parse(&changed).unwrap_or_default() {
                prop_assert!(changed.windows(certificate.len()).any(|window| window == certificate));
            }
        }
    }
}
