//! The first bits of an EXI message.
//!
//! A message of DIN 70121 or ISO 15118-2 begins with the same few productions whatever follows: EXI header, root
//! element, header with the session's number, an optional notification, and the kind of the body. They are read bit by
//! bit; of what follows, [`Values`] reads the loops.

use super::bits::Bits;
use super::kind::Kind;
use super::values::Values;

/// Longest session number: eight bytes.
const SESSION_BYTES_MAX: usize = 8;
/// EXI header without options, version 1.
const EXI_HEADER: u32 = 0x80;

/// Which standard a message follows, by its root element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// DIN 70121.
    Din,
    /// ISO 15118-2.
    Iso2,
}

/// Session number: 0 to 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId {
    bytes: [u8; SESSION_BYTES_MAX],
    len: u8,
}

impl SessionId {
    /// Takes up to eight bytes, or returns `None` for more.
    #[must_use]
    pub fn new(number: &[u8]) -> Option<Self> {
        let mut bytes = [0; SESSION_BYTES_MAX];
        bytes.get_mut(..number.len())?.copy_from_slice(number);
        Some(Self { bytes, len: u8::try_from(number.len()).ok()? })
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns whether the number is empty or zero, as in the request that asks for one.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.bytes == [0; SESSION_BYTES_MAX]
    }
}

/// What the beginning of a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Facts {
    /// Which standard it follows.
    pub schema: Schema,
    /// The session's number.
    pub session: SessionId,
    /// Whether the header carries a notification, with which a side says that it could not work.
    pub has_notification: bool,
    /// Kind, where no notification or signature stands before it.
    pub kind: Option<Kind>,
    /// The car's identifier in a session setup: its Ethernet address, six bytes as a rule.
    pub evcc_id: Option<SessionId>,
    /// The response code of a response, by its number in the standard; 0 is OK in both.
    pub response_code: Option<u8>,
    /// What a message of the precharge or of the charging loop says in numbers.
    pub values: Values,
}

impl Facts {
    /// Reads the beginning of an EXI payload, or returns `None` if it is no message of either standard or is cut in
    /// front of its session number.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        if bits.take(8)? != EXI_HEADER {
            return None;
        }
        let schema = match bits.take(7)? {
            77 => Schema::Din,
            76 => Schema::Iso2,
            _ => return None,
        };
        // Start of header, start of session number, characters.
        if bits.take(3)? != 0 {
            return None;
        }
        let session = bits.number()?;
        let mut facts = Self {
            schema,
            session,
            has_notification: false,
            kind: None,
            evcc_id: None,
            response_code: None,
            values: Values::default(),
        };
        // End of session number, then: notification, signature, or end of header.
        match (bits.take(1), bits.take(2)) {
            (Some(0), Some(0)) => facts.has_notification = true,
            (Some(0), Some(2)) => facts.body(&mut bits),
            _ => {}
        }
        Some(facts)
    }

    fn body(&mut self, bits: &mut Bits<'_>) {
        if bits.take(1) != Some(0) {
            return;
        }
        self.kind = bits.take(6).and_then(|number| Kind::of(self.schema, number));
        let Some(kind) = self.kind else { return };
        if kind == Kind::SessionSetupReq {
            self.evcc_id = bits.begin().and_then(|()| bits.number());
        } else if !kind.is_request() {
            self.response_code =
                bits.begin().and_then(|()| bits.take(5)).and_then(|code| u8::try_from(code).ok());
            if self.response_code.is_none() || bits.end().is_none() {
                return;
            }
        }
        self.values = Values::parse(bits, self.schema, kind).unwrap_or_default();
    }
}

impl Bits<'_> {
    /// Takes a length of one byte and as many bytes, at most eight.
    fn number(&mut self) -> Option<SessionId> {
        let len = self.take(8)?;
        let mut number = SessionId { bytes: [0; SESSION_BYTES_MAX], len: u8::try_from(len).ok()? };
        let slots = number.bytes.get_mut(..usize::try_from(len).ok()?)?;
        for slot in slots {
            *slot = u8::try_from(self.take(8)?).ok()?;
        }
        Some(number)
    }
}
