//! Bytes of a segment: two copies of a header, then a chain of sealed records.
//!
//! ```text
//! header:  magic "ORSG", format u16, chain u8, flags u8, number u64, epoch u64, salt u64, generation u64,
//!          first_place u64, before u64, previous seal 16, signature 64, check 16, seal 16        172 bytes, twice
//! record:  marker u16, text_bytes u16, kind u8, attempt u8, place u16, text, tag 16, seal 16     40 bytes + text
//! resume:  the same with kind 14, whose text is epoch u64, salt u64, and whose tag is a check    56 bytes
//! ```
//!
//! A boot goes on in the segment that the boot before left, after a *resume* record: from there on rows are encrypted with
//! the key of that boot. Its text cannot be, for the key hangs on it; its tag is an HMAC under the vehicle's secret.
//!
//! Little endian. `place` counts from the header's `first_place`. The text is encrypted with ChaCha20-Poly1305 under the
//! boot's row key; nonce = segment number, offset (3 bytes), attempt; associated bytes = the 8 before the text and the
//! seal before the record, which are the 16 bytes that stand in front of it. The seal is an HMAC-SHA256 of all that
//! under the chain's key of the place. The marker differs from segment to segment, so that what an earlier segment left in the slot
//! is not looked at twice.

use outrider_types::{BootEpoch, Lane};
use outrider_wire::SIGNATURE_BYTES;

use super::seal::{ChainKey, RowKey, SEAL_INTERVAL, Seal, TAG_BYTES, derive, seal};

const MAGIC: [u8; 4] = *b"ORSG";
const FORMAT: u16 = 4;
const FIELDS_BYTES: usize = 4 + 2 + 2 + 8 * 6 + TAG_BYTES;
const HEADER_COPY_BYTES: usize = FIELDS_BYTES + SIGNATURE_BYTES + 2 * TAG_BYTES;
/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 2 * HEADER_COPY_BYTES;
const HEAD_BYTES: usize = 8;
/// Bytes that a record costs beyond its text.
pub(super) const RECORD_OVERHEAD_BYTES: usize = HEAD_BYTES + 2 * TAG_BYTES;
/// Kind of the record with which a boot goes on in a segment of an earlier one.
pub(super) const RESUME: u8 = 14;
/// Bytes of that record.
pub(super) const RESUME_BYTES: usize = RECORD_OVERHEAD_BYTES + 16;
/// Says in front of what the device key signs that it is a segment's header.
const SIGN_HEADER: &[u8] = b"outrider spool segment 3\0";

/// A sealed sequence of records: each lane has one, and the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// Rows of a lane.
    Lane(Lane),
    /// What is known of the lanes: balances, watermarks, tombstones, boots, anchors.
    Journal,
}

impl Chain {
    pub(super) const ALL: [Self; 4] =
        [Self::Lane(Lane::Critical), Self::Lane(Lane::Batched), Self::Lane(Lane::Deferred), Self::Journal];

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Lane(lane) => lane.code(),
            Self::Journal => 3,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        if code == 3 { Some(Self::Journal) } else { Lane::from_code(code).map(Self::Lane) }
    }
}

/// What a segment was begun for. The header says it, so that no part of a snapshot that was broken off, not even an empty
/// one, is taken for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    /// Rows, or news of the journal.
    News = 0,
    /// A snapshot of the journal begins with it.
    Snapshot = 1,
    /// A snapshot that began before goes on. News may follow behind its end.
    SnapshotRest = 2,
}

impl Purpose {
    fn from_code(code: u8) -> Option<Self> {
        [Self::News, Self::Snapshot, Self::SnapshotRest].into_iter().find(|purpose| *purpose as u8 == code)
    }
}

/// Header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) chain: Chain,
    /// What it was begun for.
    pub(super) purpose: Purpose,
    pub(super) number: u64,
    pub(super) epoch: BootEpoch,
    pub(super) salt: u64,
    /// Root of the keys: grows when the vehicle lost its keys and began anew.
    pub(super) generation: u64,
    pub(super) first_place: u64,
    /// Number of the chain's segment before this one; 0 for the first.
    pub(super) before: u64,
    /// Seal that the chain ended with before this segment.
    pub(super) previous: Seal,
    /// Seal of the header itself, which the first record follows.
    pub(super) seal: Seal,
}

impl Header {
    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_COPY_BYTES);
        out.extend(MAGIC);
        out.extend(FORMAT.to_le_bytes());
        out.extend([self.chain.code(), self.purpose as u8]);
        for number in [self.number, self.epoch.0, self.salt, self.generation, self.first_place, self.before] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.previous);
        out
    }

    /// Returns the boot that began it.
    pub(super) const fn boot(&self) -> BootMark {
        BootMark { epoch: self.epoch, salt: self.salt }
    }

    /// Returns what the device key signs.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        [SIGN_HEADER, &self.fields()].concat()
    }

    /// Sets the seal and returns both copies.
    pub(super) fn emit(
        &mut self,
        signature: &[u8; SIGNATURE_BYTES],
        secret: &[u8; 32],
        key: &ChainKey,
    ) -> Vec<u8> {
        let mut copy = self.fields();
        copy.extend(signature);
        copy.extend(check(secret, &copy));
        self.seal = seal(&key.key, &[b"header", &copy]);
        copy.extend(self.seal);
        copy.extend_from_within(..);
        copy
    }

    /// Reads one copy as this vehicle wrote it.
    fn parse(copy: &[u8], secret: &[u8; 32]) -> Option<Self> {
        let (before, _) = copy.split_at_checked(FIELDS_BYTES + SIGNATURE_BYTES)?;
        let mut cursor = Cursor(copy);
        if cursor.array()? != MAGIC || cursor.array()? != FORMAT.to_le_bytes() {
            return None;
        }
        let [chain, purpose] = cursor.array()?;
        let header = Self {
            chain: Chain::from_code(chain)?,
            purpose: Purpose::from_code(purpose)?,
            number: cursor.u64()?,
            epoch: BootEpoch(cursor.u64()?),
            salt: cursor.u64()?,
            generation: cursor.u64()?,
            first_place: cursor.u64()?,
            before: cursor.u64()?,
            previous: cursor.array()?,
            seal: *copy.last_chunk()?,
        };
        cursor.array::<SIGNATURE_BYTES>()?;
        (cursor.array()? == check(secret, before)).then_some(header)
    }

    /// Reads whichever copy is whole, and says whether the two are the same.
    pub(super) fn read(bytes: &[u8], secret: &[u8; 32]) -> (Option<Self>, bool) {
        let Some((one, two)) =
            bytes.get(..HEADER_BYTES).and_then(|both| both.split_at_checked(HEADER_COPY_BYTES))
        else {
            return (None, false);
        };
        (Self::parse(one, secret).or_else(|| Self::parse(two, secret)), one == two)
    }

    /// Returns the signature of the first copy.
    pub(super) fn signature(bytes: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
        bytes.get(FIELDS_BYTES..)?.first_chunk().copied()
    }

    /// Returns whether the first copy carries the seal of `key`, which must be that of its place.
    pub(super) fn is_sealed(bytes: &[u8], header: &Self, key: &ChainKey) -> bool {
        key.index == header.first_place / SEAL_INTERVAL
            && bytes
                .get(..HEADER_COPY_BYTES - TAG_BYTES)
                .is_some_and(|copy| seal(&key.key, &[b"header", copy]) == header.seal)
    }

    const fn marker(&self) -> [u8; 2] {
        // The high bits of a multiplication differ between neighbouring numbers.
        let mixed = self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        [mixed[0] | 1, mixed[1]]
    }

    const fn nonce(&self, offset: usize, attempt: u8) -> [u8; 12] {
        let [a, b, c, d, e, f, g, h] = self.number.to_le_bytes();
        let [i, j, k, ..] = offset.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, attempt]
    }
}

/// Key of the check that tells a vehicle its own headers.
fn check(secret: &[u8; 32], bytes: &[u8]) -> Seal {
    seal(&derive(secret, b"outrider spool header", &[]), &[bytes])
}

/// Boot in force at some place of a segment: whose rows they are, and what their key hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BootMark {
    pub(super) epoch: BootEpoch,
    pub(super) salt: u64,
}

impl BootMark {
    fn text(self) -> [u8; 16] {
        let [a, b] = [self.epoch.0, self.salt].map(u64::to_le_bytes);
        let mut text = [0; 16];
        text.iter_mut().zip(a.into_iter().chain(b)).for_each(|(slot, byte)| *slot = byte);
        text
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(text);
        let mark = Self { epoch: BootEpoch(cursor.u64()?), salt: cursor.u64()? };
        cursor.0.is_empty().then_some(mark)
    }

    /// Returns the key of its rows.
    pub(super) fn rows(self, secret: &[u8; 32]) -> RowKey {
        RowKey::new(secret, self.epoch, self.salt)
    }
}

/// Tag of a resume record: only this vehicle can make it, and only for this place.
fn resume_tag(header: &Header, secret: &[u8; 32], offset: usize, previous: &Seal, record: &[u8]) -> Seal {
    let place = [header.number, offset as u64].map(u64::to_le_bytes).concat();
    seal(&derive(secret, b"outrider spool resume", &[]), &[&place, previous, record])
}

/// Where in a segment a record stands, and what stands before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) offset: usize,
    /// Tries to write at this offset that failed: no nonce is used twice.
    pub(super) attempt: u8,
    /// Counted from the segment's first place.
    pub(super) place: u16,
    pub(super) previous: Seal,
}

/// Returns the bytes of a resume record and its seal. `key` is that of the record's place.
pub(super) fn emit_resume(
    header: &Header,
    secret: &[u8; 32],
    key: &ChainKey,
    at: At,
    mark: BootMark,
) -> (Vec<u8>, Seal) {
    let text = mark.text();
    let mut out = Vec::with_capacity(RESUME_BYTES);
    out.extend(header.marker());
    out.extend([16, 0, RESUME, at.attempt]);
    out.extend(at.place.to_le_bytes());
    out.extend(text);
    out.extend(resume_tag(header, secret, at.offset, &at.previous, &out));
    let sealed = seal_of(header, at.offset, &at.previous, &out, key);
    out.extend(sealed);
    (out, sealed)
}

/// Returns a record's bytes and its seal. `key` is that of the record's place.
pub(super) fn emit(
    header: &Header,
    rows: &RowKey,
    key: &ChainKey,
    at: At,
    (kind, text): (u8, &[u8]),
) -> (Vec<u8>, Seal) {
    let mut out = Vec::with_capacity(RECORD_OVERHEAD_BYTES + text.len());
    out.extend(header.marker());
    let length = u16::try_from(text.len()).expect("rows are capped at EVENT_BYTES_MAX, state is smaller");
    out.extend(length.to_le_bytes());
    out.extend([kind, at.attempt]);
    out.extend(at.place.to_le_bytes());
    let head = out.clone();
    out.extend_from_slice(text);
    rows.encrypt(header.nonce(at.offset, at.attempt), &[&head, &at.previous], &mut out, HEAD_BYTES);
    let sealed = seal_of(header, at.offset, &at.previous, &out, key);
    out.extend(sealed);
    (out, sealed)
}

fn seal_of(header: &Header, offset: usize, previous: &Seal, record: &[u8], key: &ChainKey) -> Seal {
    let place = [header.number, offset as u64].map(u64::to_le_bytes).concat();
    seal(&key.key, &[b"record", &place, previous, record])
}

/// A record that was found, decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) place: u64,
    pub(super) kind: u8,
    pub(super) text: Vec<u8>,
    pub(super) previous: Seal,
    pub(super) seal: Seal,
    /// Boot that wrote it; of a resume record the one that begins there.
    pub(super) boot: BootMark,
    /// Bytes before it that belong to no record.
    pub(super) skipped: usize,
}

impl Found {
    /// Returns whether the record carries the seal of `key`, which must be that of its place.
    pub(super) fn is_sealed(&self, header: &Header, bytes: &[u8], key: &ChainKey) -> bool {
        let body = bytes.get(self.offset..self.offset + self.length - TAG_BYTES);
        key.index == self.place / SEAL_INTERVAL
            && body.is_some_and(|body| seal_of(header, self.offset, &self.previous, body, key) == self.seal)
    }
}

/// Reads the record at `offset` of the segment, written by `boot`, or by one that begins there. `bytes` begins with the 16
/// bytes before the record.
pub(super) fn read(
    header: &Header,
    secret: &[u8; 32],
    (boot, rows): (BootMark, &RowKey),
    offset: usize,
    bytes: &[u8],
) -> Option<Found> {
    let mut cursor = Cursor(bytes);
    let mut previous: Seal = cursor.array()?;
    if offset == HEADER_BYTES {
        // The second copy may be the broken one.
        previous = header.seal;
    }
    let record = cursor.0;
    let head: [u8; HEAD_BYTES] = cursor.array()?;
    let [m0, m1, l0, l1, kind, attempt, p0, p1] = head;
    if [m0, m1] != header.marker() {
        return None;
    }
    let text_bytes = usize::from(u16::from_le_bytes([l0, l1]));
    let (text, rest) = cursor.0.split_at_checked(text_bytes + TAG_BYTES)?;
    let seal = *rest.first_chunk()?;
    let (text, boot) = if kind == RESUME {
        let (body, tag) = record.get(..HEAD_BYTES + text.len())?.split_last_chunk::<TAG_BYTES>()?;
        let mark = BootMark::parse(body.get(HEAD_BYTES..)?)?;
        (resume_tag(header, secret, offset, &previous, body) == *tag)
            .then_some((mark.text().to_vec(), mark))?
    } else {
        (rows.decrypt(header.nonce(offset, attempt), &[&head, &previous], text)?, boot)
    };
    let place = header.first_place.checked_add(u64::from(u16::from_le_bytes([p0, p1])))?;
    let length = RECORD_OVERHEAD_BYTES + text_bytes;
    Some(Found { offset, length, place, kind, text, previous, seal, boot, skipped: 0 })
}

/// Finds every whole record of a segment in order; steps over broken bytes, O(length), as the marker is checked first.
pub(super) fn scan<'a>(
    header: &'a Header,
    secret: &'a [u8; 32],
    bytes: &'a [u8],
) -> impl Iterator<Item = Found> + 'a {
    let marker = header.marker();
    let mut at = HEADER_BYTES;
    let mut next_place = header.first_place;
    let mut boot = header.boot();
    let mut rows = boot.rows(secret);
    std::iter::from_fn(move || {
        let begin = at;
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= RECORD_OVERHEAD_BYTES) {
            let found = rest
                .starts_with(&marker)
                .then(|| read(header, secret, (boot, &rows), at, bytes.get(at - TAG_BYTES..)?))
                .flatten()
                .filter(|found| found.place >= next_place);
            match found {
                Some(found) => {
                    at += found.length;
                    next_place = found.place.saturating_add(1);
                    if found.boot != boot {
                        boot = found.boot;
                        rows = boot.rows(secret);
                    }
                    return Some(Found { skipped: found.offset - begin, ..found });
                }
                None => at += 1,
            }
        }
        None
    })
}

/// Reads fields from the front of a slice.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl Cursor<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
