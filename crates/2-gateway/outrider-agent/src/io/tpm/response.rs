//! Answers of a TPM 2.0. The other side may be an emulator, a driver or an attacker on the wire: every length is checked.

use super::command::{NO_SESSIONS, SESSIONS};

/// Longest answer read; ours have about 400 bytes (`TPM_BUFFER_MAX` of common TPMs is 4096).
pub const RESPONSE_BYTES_MAX: usize = 4096;
/// Tag, length and code.
pub const HEADER_BYTES: usize = 10;

/// What the TPM said instead of doing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It was not started: `TPM_RC_INITIALIZE`.
    NotStarted,
    /// Too many wrong passwords: `TPM_RC_LOCKOUT`.
    LockedOut,
    /// Wrong password of owner or index: `TPM_RC_AUTH_FAIL`, `TPM_RC_BAD_AUTH`.
    Password,
    /// Busy, testing itself, or its flash was written too often: to be tried again.
    Busy,
    /// No room for one more key.
    Memory,
    /// A key or index is not there, such as after a restart.
    Gone,
    /// The index is there already: `TPM_RC_NV_DEFINED`.
    Defined,
    /// The counter was never raised: `TPM_RC_NV_UNINITIALIZED`.
    Unwritten,
    /// Anything else.
    Other(u32),
}

impl Refusal {
    /// Returns what a response code means (part 2, 6.6).
    #[must_use]
    pub const fn of(code: u32) -> Self {
        match code {
            0x100 => Self::NotStarted,
            0x921 => Self::LockedOut,
            0x922 | 0x920 | 0x908 | 0x90A => Self::Busy,
            0x902 => Self::Memory,
            0x910..=0x916 => Self::Gone,
            0x14C => Self::Defined,
            0x14A => Self::Unwritten,
            // Format one: the low six bits say what, the others where.
            _ if code & 0x80 != 0 => match code & 0x3F {
                0x0B => Self::Gone,
                0x0E | 0x22 => Self::Password,
                _ => Self::Other(code),
            },
            _ => Self::Other(code),
        }
    }
}

/// An answer that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseError {
    /// The TPM refused.
    Refused(Refusal),
    /// Too short, too long, or a length that lies.
    Shape,
}

/// Reads the length of an answer from its first bytes; `None` if it is not possible.
#[must_use]
pub fn length(header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let [_, _, a, b, c, d, ..] = *header;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (HEADER_BYTES..=RESPONSE_BYTES_MAX).contains(&length).then_some(length)
}

/// Checks length and code of an answer; returns its tag and what follows.
///
/// # Errors
/// [`ResponseError`].
pub(super) fn accepted(bytes: &[u8]) -> Result<(u16, Reader<'_>), ResponseError> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(ResponseError::Shape)?;
    if length(header) != Some(bytes.len()) {
        return Err(ResponseError::Shape);
    }
    let mut reader = Reader(bytes);
    let tag = reader.u16()?;
    reader.u32()?;
    match reader.u32()? {
        0 => Ok((tag, reader)),
        code => Err(ResponseError::Refused(Refusal::of(code))),
    }
}

/// An answer's handle and parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// Handle of what was made; 0 if nothing was.
    pub handle: u32,
    /// Parameters.
    pub parameters: Reader<'a>,
}

impl<'a> Response<'a> {
    /// Reads an answer; `has_handle` says whether the command makes something.
    ///
    /// # Errors
    /// [`ResponseError`].
    pub fn parse(bytes: &'a [u8], has_handle: bool) -> Result<Self, ResponseError> {
        let (tag, mut reader) = accepted(bytes)?;
        let handle = if has_handle { reader.u32()? } else { 0 };
        match tag {
            NO_SESSIONS => Ok(Self { handle, parameters: reader }),
            SESSIONS => {
                let length = usize::try_from(reader.u32()?).map_err(|_| ResponseError::Shape)?;
                Ok(Self { handle, parameters: Reader(reader.take(length)?) })
            }
            _ => Err(ResponseError::Shape),
        }
    }
}

/// Cursor over parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], ResponseError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(ResponseError::Shape)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ResponseError> {
        self.take(N)?.try_into().map_err(|_| ResponseError::Shape)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ResponseError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ResponseError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a `TPM2B`.
    pub(super) fn sized(&mut self) -> Result<&'a [u8], ResponseError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// Reads a `TPM2B` of exactly this length.
    pub(super) fn sized_array<const N: usize>(&mut self) -> Result<[u8; N], ResponseError> {
        self.sized()?.try_into().map_err(|_| ResponseError::Shape)
    }
}

/// Reads the point of a `TPM2B_PUBLIC` of a P-256 key as 4, x, y.
///
/// # Errors
/// [`ResponseError::Shape`] if it is another kind of key.
pub fn point(parameters: &mut Reader<'_>) -> Result<[u8; 65], ResponseError> {
    let mut public = Reader(parameters.sized()?);
    let (kind, _) = (public.u16()?, public.u16()?);
    public.u32()?;
    public.sized()?;
    let symmetric = public.u16()?;
    let scheme = (public.u16()?, public.u16()?);
    let curve = (public.u16()?, public.u16()?);
    if (kind, symmetric, scheme, curve) != (0x23, 0x10, (0x18, 0x0B), (3, 0x10)) {
        return Err(ResponseError::Shape);
    }
    let mut point = [0; 65];
    let (mark, rest) = point.split_at_mut(1);
    mark.fill(4);
    for half in rest.chunks_exact_mut(32) {
        let digits = public.sized()?;
        let start = half.len().checked_sub(digits.len()).ok_or(ResponseError::Shape)?;
        half.get_mut(start..).ok_or(ResponseError::Shape)?.copy_from_slice(digits);
    }
    Ok(point)
}

/// Reads everything that an answer could hold, as a fuzz target does; returns how many readings made sense.
#[must_use]
pub fn read_all(bytes: &[u8]) -> usize {
    let mut right = 0;
    for has_handle in [false, true] {
        let Ok(response) = Response::parse(bytes, has_handle) else { continue };
        let parameters = response.parameters;
        right += 1;
        right += usize::from(point(&mut parameters.clone()).is_ok());
        right += usize::from(parameters.clone().sized_array::<8>().is_ok());
        right += usize::from(outrider_wire::attest::tpm_signature(parameters.0).is_ok());
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says_and_within_the_cap() {
        let ok = [0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 7, 7];
        assert_eq!(Response::parse(&ok, false).expect("whole").parameters.0, [7, 7]);
        assert_eq!(Response::parse(&ok[..11], false), Err(ResponseError::Shape));
        assert_eq!(Response::parse(&ok, true), Err(ResponseError::Shape));
        let mut long = ok;
        long[4] = 0xFF;
        assert_eq!((length(&[0x80, 1, 0, 0, 0x10, 1, 0, 0, 0, 0]), length(&[0; 10])), (None, None));
        assert_eq!(Response::parse(&long, false), Err(ResponseError::Shape));
        let sessions = [0x80, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 1, 9, 0];
        assert_eq!(Response::parse(&sessions, false).expect("whole").parameters.0, [9]);
        let lies = [0x80, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 3, 9, 0];
        assert_eq!(Response::parse(&lies, false), Err(ResponseError::Shape));
    }

    #[test]
    fn codes_say_what_can_be_done() {
        let cases = [
            (0x100, Refusal::NotStarted),
            (0x921, Refusal::LockedOut),
            (0x922, Refusal::Busy),
            (0x920, Refusal::Busy),
            (0x902, Refusal::Memory),
            (0x910, Refusal::Gone),
            (0x18B, Refusal::Gone),
            (0x98E, Refusal::Password),
            (0x9A2, Refusal::Password),
            (0x14A, Refusal::Unwritten),
            (0x14C, Refusal::Defined),
            (0x1C4, Refusal::Other(0x1C4)),
        ];
        for (code, refusal) in cases {
            assert_eq!(Refusal::of(code), refusal, "{code:#x}");
        }
    }

    #[test]
    fn the_corpus_is_read_without_harm() {
        let mut right = 0;
        let count = crate::io::corpus("tpm_response", |bytes| right += read_all(bytes));
        assert!(count >= 4 && right >= 4, "{count} files, {right} readings");
    }
}
