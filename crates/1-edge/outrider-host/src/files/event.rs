//! Events of a fanotify group that reports names (fanotify(7)), in the machine's byte order.
//!
//! An event: `event_len: u32, vers: u8, reserved: u8, metadata_len: u16, mask: u64, fd: i32, pid: i32`, then
//! information records: `type: u8, pad: u8, len: u16`, and for files `fsid: 8 bytes, handle_bytes: u32,
//! handle_type: i32, handle`, and for names a text with its end.

/// Version of the layout that this is.
const VERSION: u8 = 3;
const METADATA_BYTES: usize = 24;
const RECORD_HEAD_BYTES: usize = 4;
/// File system and head of the handle.
const IDENTITY_HEAD_BYTES: usize = 16;
/// Longest handle.
const HANDLE_BYTES_MAX: usize = 128;
const INFO_FILE: u8 = 1;
const INFO_NAME: u8 = 2;
const INFO_FOLDER: u8 = 3;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRecord<'a> {
    /// What happened, several bits if it happened several times (`FAN_CREATE`, …).
    pub mask: u64,
    /// Who did it.
    pub process: u32,
    /// Identity of the folder, as `name_to_handle_at` gives it.
    pub folder: Option<&'a [u8]>,
    /// Name in the folder; empty if it is about the folder itself.
    pub name: &'a [u8],
    /// Identity of the object itself, where the kernel reports it.
    pub target: Option<&'a [u8]>,
}

/// Why the rest of a buffer cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes end inside an event.
    Truncated {
        /// Offset of the event.
        at: usize,
    },
    /// Another layout than version 3.
    Version {
        /// Offset of the event.
        at: usize,
    },
    /// A length that does not fit what it is the length of.
    Length {
        /// Offset of the event.
        at: usize,
    },
}

/// Events of one read; ends after the first error.
#[derive(Debug, Clone)]
pub struct FileRecords<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> FileRecords<'a> {
    /// Views the bytes of one read.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl<'a> Iterator for FileRecords<'a> {
    type Item = Result<FileRecord<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        let outcome = parse(rest, at);
        match outcome {
            Ok((record, length)) => {
                self.at += length;
                Some(Ok(record))
            }
            Err(error) => {
                self.at = self.bytes.len();
                Some(Err(error))
            }
        }
    }
}

fn parse(rest: &[u8], at: usize) -> Result<(FileRecord<'_>, usize), RecordError> {
    let cut = RecordError::Truncated { at };
    let length = array(rest, 0).map(u32::from_ne_bytes).ok_or(cut)? as usize;
    if rest.get(4).ok_or(cut)? != &VERSION {
        return Err(RecordError::Version { at });
    }
    let head = usize::from(array(rest, 6).map(u16::from_ne_bytes).ok_or(cut)?);
    if head < METADATA_BYTES || length < head {
        return Err(RecordError::Length { at });
    }
    let event = rest.get(..length).ok_or(cut)?;
    let mut record = FileRecord {
        mask: array(event, 8).map(u64::from_ne_bytes).ok_or(cut)?,
        process: array(event, 20).map(u32::from_ne_bytes).ok_or(cut)?,
        folder: None,
        name: &[],
        target: None,
    };
    let mut infos = event.get(head..).unwrap_or(&[]);
    while !infos.is_empty() {
        let bad = RecordError::Length { at };
        let size = usize::from(array(infos, 2).map(u16::from_ne_bytes).ok_or(bad)?);
        let info = infos.get(..size).filter(|info| info.len() >= RECORD_HEAD_BYTES).ok_or(bad)?;
        match info[0] {
            INFO_FILE => record.target = Some(identity(info).ok_or(bad)?.0),
            INFO_FOLDER => record.folder = Some(identity(info).ok_or(bad)?.0),
            INFO_NAME => {
                let (folder, rest) = identity(info).ok_or(bad)?;
                let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
                record.folder = Some(folder);
                record.name = if &rest[..end] == b"." { &[] } else { &rest[..end] };
            }
            // Descriptors and errors are not asked for.
            _ => {}
        }
        infos = &infos[size..];
    }
    Ok((record, length))
}

/// Returns the identity in an information record, and what follows it.
fn identity(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = info.get(RECORD_HEAD_BYTES..)?;
    let handle = array(body, 8).map(u32::from_ne_bytes)? as usize;
    if handle > HANDLE_BYTES_MAX {
        return None;
    }
    body.split_at_checked(IDENTITY_HEAD_BYTES + handle)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn info(kind: u8, handle: &[u8], name: &str) -> Vec<u8> {
        let mut body = vec![9; 8];
        body.extend(u32::try_from(handle.len()).expect("it is short").to_ne_bytes());
        body.extend(1i32.to_ne_bytes());
        body.extend(handle);
        if !name.is_empty() {
            body.extend(name.as_bytes());
            body.push(0);
        }
        while !body.len().is_multiple_of(4) {
            body.push(0);
        }
        let mut out = vec![kind, 0];
        out.extend(u16::try_from(body.len() + 4).expect("it is short").to_ne_bytes());
        out.extend(body);
        out
    }

    pub(crate) fn event(mask: u64, infos: &[Vec<u8>]) -> Vec<u8> {
        let infos = infos.concat();
        let mut out = u32::try_from(24 + infos.len()).expect("it is short").to_ne_bytes().to_vec();
        out.extend([VERSION, 0]);
        out.extend(24u16.to_ne_bytes());
        out.extend(mask.to_ne_bytes());
        out.extend((-1i32).to_ne_bytes());
        out.extend(77u32.to_ne_bytes());
        out.extend(infos);
        out
    }

    #[test]
    fn an_event_names_folder_name_and_object() {
        let mut bytes =
            event(0x200, &[info(INFO_NAME, &[1, 2, 3, 4], "gone.txt"), info(INFO_FILE, &[5; 8], "")]);
        bytes.extend(event(0x4000, &[]));
        let records: Vec<_> = FileRecords::new(&bytes).collect::<Result<_, _>>().expect("both are whole");
        let [first, second] = records.as_slice() else { panic!("two events") };
        assert_eq!((first.mask, first.process, first.name), (0x200, 77, b"gone.txt".as_slice()));
        assert_eq!(first.folder.map(|folder| folder[16..].to_vec()), Some(vec![1, 2, 3, 4]));
        assert_eq!(first.target.map(<[u8]>::len), Some(24));
        assert_eq!((second.mask, second.folder), (0x4000, None));
    }

    #[test]
    fn lengths_that_lie_end_the_reading_with_their_place() {
        let good = event(0x200, &[info(INFO_NAME, &[1], "a")]);
        let error = |bytes: &[u8]| FileRecords::new(bytes).find_map(Result::err);
        assert_eq!(error(&good[..good.len() - 1]), Some(RecordError::Truncated { at: 0 }));
        let mut bad = good.clone();
        bad.extend(&good);
        bad[good.len() + 4] = 2;
        assert_eq!(error(&bad), Some(RecordError::Version { at: good.len() }));
        let mut bad = good.clone();
        bad[26] = 200;
        assert_eq!(error(&bad), Some(RecordError::Length { at: 0 }));
        let mut bad = good;
        bad[0] = 8;
        assert_eq!(error(&bad), Some(RecordError::Length { at: 0 }));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(FileRecords::new(&bytes).count() <= 13);
        }

        #[test]
        fn a_damaged_event_ends(at in 0usize..80, value in any::<u8>()) {
            let mut bytes = event(0x200, &[info(INFO_NAME, &[1, 2, 3, 4], "gone.txt"), info(INFO_FILE, &[5; 8], "")]);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = FileRecords::new(&bytes).count();
        }
    }
}
