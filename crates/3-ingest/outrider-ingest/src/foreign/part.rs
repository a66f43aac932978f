//! What a replay must know of bytes that were set aside.

use std::fmt;

use outrider_decode::VehicleName;
use outrider_model::SaveError;
use outrider_types::{UnixMicros, VehicleId};

use crate::feed::{BodyDigest, FeedId};
use crate::interval::StateCursor;

const VERSION: u8 = 1;
/// Most numbers of refused documents: the readers' cap, and what a list in each may add is beyond it never kept.
const REFUSED_MAX: u32 = 1 << 20;

/// Envelope around a payload that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopePart {
    /// Number of the envelope in its body.
    pub number: u32,
    /// Whose payload it is, as the source says.
    pub vehicle: VehicleName,
    /// When the source received or made it.
    pub time: Option<UnixMicros>,
    /// The source's own key.
    pub key: Option<String>,
}

/// Where bytes of the quarantine come from, and which of their documents are still to be taken.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignPart {
    /// Feed.
    pub feed: FeedId,
    /// Its name when it was set aside.
    pub feed_name: String,
    /// Body that they are from.
    pub body: BodyDigest,
    /// Format of the bytes.
    pub format: String,
    /// Decoder that refused them; empty if there was none.
    pub decoder: String,
    /// Envelope around them.
    pub envelope: Option<EnvelopePart>,
    /// Number of their first document.
    pub first: u32,
    /// Documents that were made of them; 0 if none is known of, and then they are whole.
    pub documents: u32,
    /// Which of those were refused, counted from the first; `None` means all.
    pub refused: Option<Vec<u32>>,
}

impl fmt::Debug for ForeignPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForeignPart(feed {}, {}, {} documents)", self.feed, self.format, self.documents)
    }
}

impl ForeignPart {
    /// Appends it in its saved form. It names vehicles: it belongs beside the bytes, and nowhere else.
    pub fn save(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend(self.feed.0.to_le_bytes());
        out.extend(self.body.0);
        for text in [&self.feed_name, &self.format, &self.decoder] {
            put_text(out, text);
        }
        out.push(u8::from(self.envelope.is_some()));
        if let Some(envelope) = &self.envelope {
            out.extend(envelope.number.to_le_bytes());
            let (kind, name) = match &envelope.vehicle {
                VehicleName::Vin(vin) => (0, vin.clone()),
                VehicleName::Id(id) => (1, id.to_string()),
                VehicleName::Foreign(name) => (2, name.clone()),
            };
            out.push(kind);
            put_text(out, &name);
            out.push(u8::from(envelope.time.is_some()));
            out.extend(envelope.time.unwrap_or_default().0.to_le_bytes());
            out.push(u8::from(envelope.key.is_some()));
            put_text(out, envelope.key.as_deref().unwrap_or_default());
        }
        out.extend(self.first.to_le_bytes());
        out.extend(self.documents.to_le_bytes());
        out.push(u8::from(self.refused.is_some()));
        let refused = self.refused.as_deref().unwrap_or_default();
        out.extend(u32::try_from(refused.len()).unwrap_or(u32::MAX).to_le_bytes());
        refused.iter().for_each(|number| out.extend(number.to_le_bytes()));
    }

    /// Reads the saved form.
    ///
    /// # Errors
    /// [`SaveError`].
    pub fn load(bytes: &[u8]) -> Result<Self, SaveError> {
        let mut cursor = StateCursor::new(bytes);
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(SaveError::Version { expected: u32::from(VERSION), got: u32::from(version) });
        }
        let (feed, body) = (FeedId(cursor.u32()?), BodyDigest(cursor.array()?));
        let (feed_name, format, decoder) =
            (take_text(&mut cursor)?, take_text(&mut cursor)?, take_text(&mut cursor)?);
        let envelope = if flag(&mut cursor)? { Some(take_envelope(&mut cursor)?) } else { None };
        let (first, documents) = (cursor.u32()?, cursor.u32()?);
        let has_refused = flag(&mut cursor)?;
        let count = cursor.u32()?;
        // One form each, so that what is read is written again as it was.
        if count > REFUSED_MAX || !has_refused && count > 0 {
            return Err(cursor.damaged());
        }
        let refused: Result<Vec<u32>, SaveError> = (0..count).map(|_| cursor.u32()).collect();
        let refused = has_refused.then_some(refused?);
        if !cursor.is_at_end() {
            return Err(cursor.damaged());
        }
        Ok(Self { feed, feed_name, body, format, decoder, envelope, first, documents, refused })
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = text.floor_char_boundary(text.len().min(usize::from(u16::MAX)));
    out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(text.bytes().take(length));
}

fn take_text(cursor: &mut StateCursor<'_>) -> Result<String, SaveError> {
    let length = u16::from_le_bytes(cursor.array()?);
    let bytes: Result<Vec<u8>, SaveError> = (0..length).map(|_| cursor.u8()).collect();
    String::from_utf8(bytes?).map_err(|_| cursor.damaged())
}

fn flag(cursor: &mut StateCursor<'_>) -> Result<bool, SaveError> {
    match cursor.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(cursor.damaged()),
    }
}

fn take_envelope(cursor: &mut StateCursor<'_>) -> Result<EnvelopePart, SaveError> {
    let number = cursor.u32()?;
    let (kind, name) = (cursor.u8()?, take_text(cursor)?);
    let vehicle = match kind {
        0 => VehicleName::Vin(name),
        1 => {
            let id = name.parse::<VehicleId>().ok().filter(|id| id.to_string() == name);
            VehicleName::Id(id.ok_or(cursor.damaged())?)
        }
        2 => VehicleName::Foreign(name),
        _ => return Err(cursor.damaged()),
    };
    let (has_time, time) = (flag(cursor)?, i64::from_le_bytes(cursor.array()?));
    let (has_key, key) = (flag(cursor)?, take_text(cursor)?);
    if !has_time && time != 0 || !has_key && !key.is_empty() {
        return Err(cursor.damaged());
    }
    let time = has_time.then_some(UnixMicros(time));
    Ok(EnvelopePart { number, vehicle, time, key: has_key.then_some(key) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(name: &str, refused: Option<Vec<u32>>, with_envelope: bool) -> ForeignPart {
        let envelope = with_envelope.then(|| EnvelopePart {
            number: 7,
            vehicle: VehicleName::Foreign(name.to_owned()),
            time: Some(UnixMicros(5)),
            key: None,
        });
        ForeignPart {
            feed: FeedId(3),
            feed_name: name.to_owned(),
            body: BodyDigest([9; 16]),
            format: "acme/1".to_owned(),
            decoder: String::new(),
            envelope,
            first: 4,
            documents: 5,
            refused,
        }
    }

    proptest! {
        #[test]
        fn a_part_comes_back_and_a_cut_one_does_not(
            name in "\\PC{0,40}", refused in proptest::option::of(proptest::collection::vec(any::<u32>(), 0..9)),
            with_envelope in any::<bool>(), cut in 0usize..200,
        ) {
            let part = part(&name, refused, with_envelope);
            let mut bytes = Vec::new();
            part.save(&mut bytes);
            prop_assert_eq!(ForeignPart::load(&bytes), Ok(part));
            if cut < bytes.len() {
                prop_assert!(ForeignPart::load(&bytes[..cut]).is_err());
            }
            bytes.push(0);
            prop_assert!(ForeignPart::load(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_a_part_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = ForeignPart::load(&[&[VERSION], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn debug_shows_no_name() {
        let shown = format!("{:?}", part("WVWZZZ1JZ3W386752", None, true));
        assert!(!shown.contains("WVW"), "{shown}");
    }
}
