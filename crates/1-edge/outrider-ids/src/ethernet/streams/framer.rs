//! Messages of a stream of bytes.
//!
//! A message is handed out when it is whole, or when as much of it is there as a detector looks at; how it was cut into
//! segments does not show. Where bytes are no message, the next strict header is looked for.

use outrider_bus::{doip, someip, v2g};

/// Bytes of a message that are handed out: what detectors look at lies in front, and longer messages are transfers.
pub(in crate::ethernet) const HEAD_BYTES: usize = 256;
/// Longest header.
const HEADER_MAX: usize = someip::HEADER_BYTES;
/// Longest DoIP or SOME/IP message that is believed, in bytes (guess: a flash block of an ECU is below 64 KiB, and a
/// camera's picture is no message). A longer one is a lie that would hide what follows it.
const MESSAGE_MAX: usize = 1 << 20;
/// Longest charging message that is believed: certificate chains are some thousand bytes (guess).
const V2G_MAX: usize = 1 << 16;

/// How messages of a stream begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ethernet) enum Framing {
    /// Diagnosis over IP.
    Doip,
    /// Services.
    SomeIp,
    /// Charging.
    V2gtp,
}

impl Framing {
    /// Bytes of a header.
    const fn header_bytes(self) -> usize {
        match self {
            Self::Doip => doip::HEADER_BYTES,
            Self::SomeIp => someip::HEADER_BYTES,
            Self::V2gtp => v2g::HEADER_BYTES,
        }
    }

    /// Returns the length of the message that begins here, header included, or `None` if none does.
    fn message_bytes(self, bytes: &[u8]) -> Option<usize> {
        let (payload_bytes, limit) = match self {
            Self::Doip => (doip::HeaderView::new(bytes).ok()?.payload_bytes(), MESSAGE_MAX),
            Self::V2gtp => (v2g::payload_bytes(bytes)?, V2G_MAX),
            Self::SomeIp => {
                let (_, payload_bytes) = someip::Header::parse(bytes).ok()?;
                (u32::try_from(payload_bytes).ok()?, MESSAGE_MAX)
            }
        };
        let total = usize::try_from(payload_bytes).ok()?.saturating_add(self.header_bytes());
        (total <= limit).then_some(total)
    }

    /// Returns whether a message surely begins here: of random places fewer than one in a hundred million does.
    fn is_sure(self, bytes: &[u8]) -> bool {
        if self.message_bytes(bytes).is_none() {
            return false;
        }
        match self {
            Self::Doip => doip::HeaderView::new(bytes).is_ok_and(|view| {
                matches!(view.version(), 1..=4 | 0xFF)
                    && !matches!(view.payload_type(), doip::PayloadType::Unknown(_))
            }),
            Self::SomeIp => someip::Header::parse(bytes).is_ok_and(|(header, _)| {
                !matches!(header.kind, someip::MessageKind::Unknown(_))
                    && !matches!(header.return_code, someip::ReturnCode::Unknown(_))
            }),
            Self::V2gtp => v2g::is_message_type(bytes),
        }
    }
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub(in crate::ethernet) struct Framed<'a> {
    /// Its beginning, header included: all of it, or [`HEAD_BYTES`].
    pub(in crate::ethernet) head: &'a [u8],
}

/// Where in a message a stream stands.
#[derive(Debug, Clone)]
pub(super) struct Framer {
    /// Beginning of the message at hand; while a beginning is looked for, the last bytes that could hold one.
    head: [u8; HEAD_BYTES],
    len: usize,
    /// Bytes of the message at hand that are still to come.
    left: usize,
    /// A message begins at the next byte; otherwise a beginning is looked for.
    is_aligned: bool,
}

impl Framer {
    pub(super) const EMPTY: Self = Self { head: [0; HEAD_BYTES], len: 0, left: 0, is_aligned: false };

    /// Begins anew, with a message if the stream is known from its first byte.
    pub(super) const fn begin(&mut self, is_aligned: bool) {
        (self.len, self.left, self.is_aligned) = (0, 0, is_aligned);
    }

    /// Returns whether a message has begun and is not whole.
    pub(super) const fn is_within(&self) -> bool {
        self.left > 0 || (self.is_aligned && self.len > 0)
    }

    /// Takes bytes in order and hands out messages; returns whether bytes were no message where one had to begin.
    pub(super) fn feed(&mut self, framing: Framing, bytes: &[u8], take: &mut impl FnMut(Framed<'_>)) -> bool {
        let mut rest = bytes;
        let mut lost = false;
        while !rest.is_empty() {
            if self.left > 0 {
                rest = self.go_on(rest, take);
                continue;
            }
            if !self.is_aligned {
                rest = self.search(framing, rest);
                continue;
            }
            let header = framing.header_bytes();
            if self.len == 0 && rest.len() >= header {
                let Some(total) = framing.message_bytes(rest) else {
                    (self.is_aligned, lost) = (false, true);
                    continue;
                };
                // The usual case: all that is looked at lies in this segment.
                let looked_at = total.min(HEAD_BYTES);
                if let Some(head) = rest.get(..looked_at) {
                    take(Framed { head });
                    self.left = total.saturating_sub(rest.len());
                    self.len = if self.left > 0 { looked_at } else { 0 };
                    rest = rest.get(total..).unwrap_or(&[]);
                    continue;
                }
            }
            let missing = header.saturating_sub(self.len).min(rest.len());
            rest = self.append(rest, missing);
            if self.len < header {
                continue;
            }
            let whole = self.head.get(..self.len).unwrap_or(&[]);
            if let Some(total) = framing.message_bytes(whole) {
                self.left = total.saturating_sub(header);
                self.say_if_whole(take);
            } else {
                (self.is_aligned, lost) = (false, true);
                self.drop_front(1);
            }
        }
        lost
    }

    /// Takes bytes of the message at hand.
    fn go_on<'a>(&mut self, bytes: &'a [u8], take: &mut impl FnMut(Framed<'_>)) -> &'a [u8] {
        let (mine, rest) = bytes.split_at(self.left.min(bytes.len()));
        let was_said = self.len >= HEAD_BYTES;
        self.append(mine, HEAD_BYTES.saturating_sub(self.len).min(mine.len()));
        self.left = self.left.saturating_sub(mine.len());
        if was_said {
            if self.left == 0 {
                self.len = 0;
            }
        } else {
            self.say_if_whole(take);
        }
        rest
    }

    /// Hands the message at hand out if enough of it is there.
    fn say_if_whole(&mut self, take: &mut impl FnMut(Framed<'_>)) {
        if self.left == 0 || self.len >= HEAD_BYTES {
            take(Framed { head: self.head.get(..self.len).unwrap_or(&[]) });
        }
        if self.left == 0 {
            self.len = 0;
        }
    }

    fn append<'a>(&mut self, bytes: &'a [u8], number: usize) -> &'a [u8] {
        let (front, rest) = bytes.split_at(number.min(bytes.len()));
        for (slot, byte) in self.head.iter_mut().skip(self.len).zip(front) {
            *slot = *byte;
            self.len = self.len.saturating_add(1);
        }
        rest
    }

    fn drop_front(&mut self, number: usize) {
        let number = number.min(self.len);
        let left = self.len.saturating_sub(number);
        for to in 0..left {
            let byte = self.head.get(to.saturating_add(number)).copied().unwrap_or(0);
            if let Some(slot) = self.head.get_mut(to) {
                *slot = byte;
            }
        }
        self.len = left;
    }

    /// Looks for a beginning and returns the bytes from it on, or none; those that could hold one are kept.
    fn search<'a>(&mut self, framing: Framing, bytes: &'a [u8]) -> &'a [u8] {
        let header = framing.header_bytes();
        // What was kept, and as much behind it as a header needs.
        let mut joint = [0; 2 * HEADER_MAX];
        let kept = self.len.min(HEADER_MAX);
        let more = header.saturating_sub(1).min(bytes.len());
        let joined = kept.saturating_add(more);
        for (slot, byte) in joint.iter_mut().zip(self.head.iter().take(kept).chain(bytes.iter().take(more))) {
            *slot = *byte;
        }
        let joint = joint.get(..joined).unwrap_or(&[]);
        for at in 0..kept {
            let Some(place) = joint.get(at..at.saturating_add(header)) else {
                // Too short to tell: all of it is kept.
                self.len = 0;
                self.append(joint.get(at..).unwrap_or(&[]), HEADER_MAX);
                return &[];
            };
            if framing.is_sure(place) {
                self.drop_front(at);
                self.is_aligned = true;
                return bytes;
            }
        }
        self.len = 0;
        let last = bytes.len().saturating_sub(header);
        let sure = |at: &usize| {
            bytes.get(*at..at.saturating_add(header)).is_some_and(|place| framing.is_sure(place))
        };
        let found = (0..=last).find(sure);
        if found.is_some() {
            self.is_aligned = true;
        } else {
            let tail = bytes.len().saturating_sub(header.saturating_sub(1));
            self.append(bytes.get(tail..).unwrap_or(&[]), HEADER_MAX);
        }
        found.and_then(|found| bytes.get(found..)).unwrap_or(&[])
    }
}
