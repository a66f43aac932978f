//! The bytes of a capture: decompressed, capped, by line or by length.

use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};

use flate2::read::MultiGzDecoder;

use super::CaptureError;

/// Longest line, in bytes; the longest real one (ASC, CAN FD of 64 bytes with all its fields) has about 400.
pub const LINE_BYTES_MAX: usize = 4096;
/// Longest packet or block that is read, in bytes: the largest snap length tools use.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Default of the most bytes of a capture: a day of two loaded 500 kbit/s buses as text is below it.
pub const BYTES_MAX_DEFAULT: u64 = 16 * 1024 * 1024 * 1024;
/// Most bytes one compressed byte may become. Text captures reach 10 to 20; deflate's own limit is 1032.
pub const EXPANSION_MAX: u64 = 256;
/// Bytes that may come out before the ratio is looked at.
const EXPANSION_SLACK_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes the format is detected from.
const HEAD_BYTES: usize = 8192;

/// What one call of [`Input::line`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, in the caller's buffer, without its end.
    Whole,
    /// A line that was longer than the bound and is gone.
    TooLong,
    /// A line that ends because the compressed bytes do.
    Cut,
    /// Nothing any more.
    End,
}

/// Counting reader below a decompressor.
struct Counted {
    inner: Box<dyn Read + Send>,
    count: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.count.fetch_add(got as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(got)
    }
}

/// A capture's bytes.
pub(super) struct Input {
    reader: BufReader<Box<dyn Read + Send>>,
    head: Vec<u8>,
    /// Bytes taken so far.
    offset: u64,
    lines: u64,
    bytes_max: u64,
    compressed: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
    /// The compressed bytes ended early.
    is_cut: bool,
    /// [`Line::Cut`] has been returned.
    is_cut_told: bool,
}

impl Input {
    /// Looks at the first bytes and decompresses if they say so.
    pub(super) fn new(mut reader: Box<dyn Read + Send>, bytes_max: u64) -> Result<Self, CaptureError> {
        let head = read_head(&mut reader).map_err(CaptureError::Io)?;
        if head.is_empty() {
            return Err(CaptureError::Empty);
        }
        let is_gzip = head.starts_with(&[0x1F, 0x8B]);
        let whole: Box<dyn Read + Send> = Box::new(Cursor::new(head.clone()).chain(reader));
        let mut input = Self {
            reader: BufReader::new(Box::new(std::io::empty())),
            head,
            offset: 0,
            lines: 0,
            bytes_max,
            compressed: None,
            is_cut: false,
            is_cut_told: false,
        };
        if !is_gzip {
            input.reader = BufReader::new(whole);
            return Ok(input);
        }
        let count = std::sync::Arc::default();
        let counted = Counted { inner: whole, count: std::sync::Arc::clone(&count) };
        let mut plain: Box<dyn Read + Send> = Box::new(MultiGzDecoder::new(counted));
        input.compressed = Some(count);
        input.head.clear();
        loop {
            let mut piece = [0u8; 512];
            match plain.read(&mut piece) {
                Ok(0) => break,
                Ok(got) => input.head.extend(piece.iter().take(got)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    input.is_cut = true;
                    break;
                }
                Err(_) => return Err(CaptureError::Compression { offset: input.head.len() as u64 }),
            }
            if input.head.len() >= HEAD_BYTES {
                break;
            }
        }
        if input.head.is_empty() {
            return Err(if input.is_cut {
                CaptureError::Compression { offset: 0 }
            } else {
                CaptureError::Empty
            });
        }
        let rest: Box<dyn Read + Send> = if input.is_cut { Box::new(std::io::empty()) } else { plain };
        input.reader = BufReader::new(Box::new(Cursor::new(input.head.clone()).chain(rest)));
        Ok(input)
    }

    /// Returns the first bytes, decompressed.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Returns how many bytes have been taken.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the number of the line read last, from 1.
    pub(super) const fn line_number(&self) -> u64 {
        self.lines
    }

    /// Accounts for `count` bytes more.
    fn take(&mut self, count: usize) -> Result<(), CaptureError> {
        self.offset = self.offset.saturating_add(count as u64);
        if self.offset > self.bytes_max {
            return Err(CaptureError::TooLarge { bytes_max: self.bytes_max });
        }
        if let Some(compressed) = &self.compressed {
            let read = compressed.load(std::sync::atomic::Ordering::Relaxed);
            let allowed = read.saturating_mul(EXPANSION_MAX).saturating_add(EXPANSION_SLACK_BYTES);
            if self.offset > allowed {
                return Err(CaptureError::Expansion { ratio_max: EXPANSION_MAX });
            }
        }
        Ok(())
    }

    /// Returns the buffered bytes; none at the end. Compressed bytes that end early are an end too.
    fn fill(&mut self) -> Result<&[u8], CaptureError> {
        loop {
            match self.reader.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if self.compressed.is_some() => {
                    if error.kind() != ErrorKind::UnexpectedEof {
                        return Err(CaptureError::Compression { offset: self.offset });
                    }
                    self.is_cut = true;
                    self.reader = BufReader::new(Box::new(std::io::empty()));
                }
                Err(error) => return Err(CaptureError::Io(error)),
            }
        }
        Ok(self.reader.buffer())
    }

    /// Reads the next line into `line`, without `\n` or `\r\n`.
    pub(super) fn line(&mut self, line: &mut Vec<u8>) -> Result<Line, CaptureError> {
        line.clear();
        let mut is_long = false;
        let mut is_begun = false;
        loop {
            let buffer = self.fill()?;
            if buffer.is_empty() {
                break;
            }
            is_begun = true;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let text = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(&[]);
            if line.len() + text.len() > LINE_BYTES_MAX {
                is_long = true;
            } else {
                line.extend_from_slice(text);
            }
            let taken = text.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            self.take(taken)?;
            if end.is_some() {
                self.lines += 1;
                return Ok(finish(line, is_long));
            }
        }
        if self.is_cut && !self.is_cut_told {
            self.is_cut_told = true;
            self.lines += 1;
            return Ok(Line::Cut);
        }
        if !is_begun {
            return Ok(Line::End);
        }
        self.lines += 1;
        Ok(finish(line, is_long))
    }

    /// Reads up to `count` bytes into `bytes`, fewer only at the end. The caller bounds `count`.
    pub(super) fn bytes(&mut self, bytes: &mut Vec<u8>, count: usize) -> Result<(), CaptureError> {
        bytes.clear();
        while bytes.len() < count {
            let missing = count - bytes.len();
            let buffer = self.fill()?;
            let piece = buffer.get(..missing.min(buffer.len())).unwrap_or(&[]);
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(piece);
            let taken = piece.len();
            self.reader.consume(taken);
            self.take(taken)?;
        }
        Ok(())
    }

    /// Passes over up to `count` bytes and returns whether they were all there.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<bool, CaptureError> {
        while count > 0 {
            let have = self.fill()?.len();
            let taken = usize::try_from(count).unwrap_or(usize::MAX).min(have);
            if taken == 0 {
                return Ok(false);
            }
            self.reader.consume(taken);
            self.take(taken)?;
            count -= taken as u64;
        }
        Ok(true)
    }

    /// Returns whether compressed bytes ended early.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }
}

fn finish(line: &mut Vec<u8>, is_long: bool) -> Line {
    if is_long {
        line.clear();
        return Line::TooLong;
    }
    while line.last() == Some(&b'\r') {
        line.pop();
    }
    Line::Whole
}

#[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
fn read_head(reader: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
