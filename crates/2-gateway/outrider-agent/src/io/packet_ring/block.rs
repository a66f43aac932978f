//! Frames of one block (`linux/if_packet.h`, `tpacket_block_desc` and `tpacket3_hdr`); numbers are in the machine's
//! order. The kernel writes them, but nothing is believed beyond the block.

/// Where a block's header counts its frames, and says where the first one is.
const FRAMES_AT: usize = 12;
const FIRST_AT: usize = 16;
/// Parts of a frame's header.
const NEXT_AT: usize = 0;
const CAPTURED_AT: usize = 12;
const STATUS_AT: usize = 20;
const DATA_AT: usize = 24;
const TAG_AT: usize = 32;
const TAG_TYPE_AT: usize = 36;
/// A VLAN tag was taken off; its type is stated.
const TAG_VALID: u32 = 1 << 4;
const TAG_TYPE_VALID: u32 = 1 << 6;
/// VLAN tag type where none is stated.
const TAG_TYPE: u16 = 0x8100;
/// Bytes of both addresses, behind which a VLAN tag belongs.
const ADDRESS_BYTES: usize = 12;

/// What a block came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    pub(super) taken: u64,
    pub(super) damaged: u64,
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn usize_at(bytes: &[u8], offset: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, offset)?).ok()
}

/// Returns how many frames a block says it has.
pub(super) fn count(block: &[u8]) -> u64 {
    u32_at(block, FRAMES_AT).map_or(0, u64::from)
}

/// Gives every frame of a block to `each`, put together in `scratch` where a VLAN tag has to be put back.
pub(super) fn frames(block: &[u8], scratch: &mut [u8], each: &mut impl FnMut(&[u8])) -> Counted {
    let mut counted = Counted::default();
    let said = count(block);
    let mut at = usize_at(block, FIRST_AT).unwrap_or(usize::MAX);
    for index in 0..said {
        let Some(header) = block.get(at..) else {
            counted.damaged += said - index;
            break;
        };
        match frame(header) {
            Some((data, None)) => {
                counted.taken += 1;
                each(data);
            }
            Some((data, Some(tag))) => match tagged(data, tag, scratch) {
                Some(whole) => {
                    counted.taken += 1;
                    each(whole);
                }
                None => counted.damaged += 1,
            },
            None => counted.damaged += 1,
        }
        let step = usize_at(header, NEXT_AT).unwrap_or(0);
        if step == 0 {
            counted.damaged += said - index - 1;
            break;
        }
        at = at.saturating_add(step);
    }
    counted
}

/// Returns the bytes of a frame and the tag that was taken off.
fn frame(header: &[u8]) -> Option<(&[u8], Option<[u8; 4]>)> {
    let begin = usize::from(u16_at(header, DATA_AT)?);
    let data = header.get(begin..begin.checked_add(usize_at(header, CAPTURED_AT)?)?)?;
    let status = u32_at(header, STATUS_AT)?;
    if status & TAG_VALID == 0 {
        return Some((data, None));
    }
    let control = u16::try_from(u32_at(header, TAG_AT)? & 0xFFFF).ok()?;
    let kind = if status & TAG_TYPE_VALID == 0 { TAG_TYPE } else { u16_at(header, TAG_TYPE_AT)? };
    let ([a, b], [c, d]) = (kind.to_be_bytes(), control.to_be_bytes());
    Some((data, Some([a, b, c, d])))
}

/// Puts a tag behind the addresses.
fn tagged<'a>(data: &[u8], tag: [u8; 4], scratch: &'a mut [u8]) -> Option<&'a [u8]> {
    let (addresses, rest) = data.split_at_checked(ADDRESS_BYTES)?;
    let whole = scratch.get_mut(..data.len() + tag.len())?;
    let (head, tail) = whole.split_at_mut_checked(ADDRESS_BYTES)?;
    let (middle, end) = tail.split_at_mut_checked(tag.len())?;
    head.copy_from_slice(addresses);
    middle.copy_from_slice(&tag);
    end.copy_from_slice(rest);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A block of frames as the kernel writes them; the tag is in the second frame.
    fn block() -> Vec<u8> {
        let mut bytes = vec![0; 400];
        let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        put(FRAMES_AT, 2);
        put(FIRST_AT, 48);
        for (at, next, status) in [(48, 120, 0), (168, 0, TAG_VALID)] {
            put(at + NEXT_AT, next);
            put(at + CAPTURED_AT, 16);
            put(at + STATUS_AT, status);
            put(at + TAG_AT, 7);
        }
        for at in [48, 168] {
            bytes[at + DATA_AT..at + DATA_AT + 2].copy_from_slice(&80u16.to_ne_bytes());
            for (value, slot) in (0u8..).zip(&mut bytes[at + 80..at + 96]) {
                *slot = value;
            }
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Counted) {
        let mut seen = Vec::new();
        let counted = frames(bytes, &mut [0; 64], &mut |frame: &[u8]| seen.push(frame.to_vec()));
        (seen, counted)
    }

    #[test]
    fn frames_come_out_and_a_tag_is_put_back() {
        let (seen, counted) = read(&block());
        assert_eq!(counted, Counted { taken: 2, damaged: 0 });
        assert_eq!(seen[0], (0..16).collect::<Vec<u8>>());
        assert_eq!(seen[1][..12], seen[0][..12]);
        assert_eq!(seen[1][12..], [0x81, 0, 0, 7, 12, 13, 14, 15]);
    }

    #[test]
    fn what_lies_outside_the_block_is_counted() {
        let mut bytes = block();
        bytes[FRAMES_AT] = 9;
        assert_eq!(read(&bytes).1, Counted { taken: 2, damaged: 7 });
        bytes[FIRST_AT..FIRST_AT + 4].copy_from_slice(&1000u32.to_ne_bytes());
        assert_eq!(read(&bytes).1, Counted { taken: 0, damaged: 9 });
    }

    proptest! {
        #[test]
        fn any_block_is_read_to_an_end(at in 0usize..400, value: u8, cut in 0usize..400) {
            let mut bytes = block();
            bytes[at] = value;
            bytes.truncate(cut.max(1));
            bytes.resize(400, value);
            // The number of frames is the kernel's word: each costs one step at most.
            bytes[FRAMES_AT + 2..FRAMES_AT + 4].copy_from_slice(&[0, 0]);
            let (seen, counted) = read(&bytes);
            prop_assert_eq!(seen.len() as u64, counted.taken);
            prop_assert_eq!(counted.taken + counted.damaged, count(&bytes));
        }
    }
}
