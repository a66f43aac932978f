//! Readings of a 10BASE-T1S PHY from text, as a driver's log has them.
//!
//! One reading a line: seconds since the capture began, node, nodes, 1 if beacons arrive in time else 0, then the counters:
//! unexpected beacons, early beacons, frames in this node's own turn, collisions, symbol errors. Blanks or commas between
//! them; `#` begins a comment. **Never:** a bad line that stops the rest, or more than [`READINGS_MAX`] readings.

use std::io::{BufRead, Read};

use outrider_bus::plca::{Counters, Reading};
use outrider_types::VehicleMicros;

use super::capture::LINE_BYTES_MAX;

/// Most readings: one a second for a day.
pub const READINGS_MAX: usize = 86_400;
/// Numbers behind the time.
const NUMBERS: usize = 8;

/// What a text came to; readings ascend by time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readings {
    /// The readings.
    pub readings: Vec<(VehicleMicros, Reading)>,
    /// Lines that are no reading, by number, from 1; those beyond the bound are among them.
    pub refused: Vec<usize>,
}

/// Reads a text to its end.
///
/// # Errors
/// The input fails, or is longer than all readings could be.
pub fn read(input: impl BufRead) -> std::io::Result<Readings> {
    let bytes_max = READINGS_MAX as u64 * 128;
    let mut all = Readings::default();
    let mut input = input.take(bytes_max);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = LINE_BYTES_MAX as u64;
        if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        match reading(text).filter(|_| all.readings.len() < READINGS_MAX) {
            Some(reading) => all.readings.push(reading),
            None => all.refused.push(number),
        }
    }
    all.readings.sort_by_key(|(at, _)| *at);
    Ok(all)
}

fn reading(text: &str) -> Option<(VehicleMicros, Reading)> {
    let mut words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let at = micros(words.next()?)?;
    let mut numbers = [0u32; NUMBERS];
    for slot in &mut numbers {
        *slot = words.next()?.parse().ok()?;
    }
    let [node, node_count, synchronised, unexpected, early, foreign, collisions, symbols] = numbers;
    let counters = Counters {
        unexpected_beacons: unexpected,
        early_beacons: early,
        foreign_in_own_turn: foreign,
        collisions,
        symbol_errors: symbols,
    };
    let reading = Reading {
        node: node.try_into().ok()?,
        node_count: node_count.try_into().ok()?,
        is_synchronised: synchronised == 1,
        counters,
    };
    (words.next().is_none() && synchronised <= 1).then_some((at, reading))
}

/// Reads seconds with up to six digits behind the point.
fn micros(word: &str) -> Option<VehicleMicros> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    if part.len() > 6 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    Some(VehicleMicros(whole.checked_mul(1_000_000)?.checked_add(part)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn readings_come_out_by_time_and_bad_lines_are_named() {
        let text = "# seconds node nodes sync …\n2.5, 1, 8, 1, 0,0,0,0,9\n\n1 1 8 1 0 0 0 0 0 # first\n1 1 8 2 0 0 0 0 0\nx\n1 1 8 1 0 0 0 0\n";
        let all = read(text.as_bytes()).expect("text");
        let times: Vec<u64> = all.readings.iter().map(|(at, _)| at.0).collect();
        assert_eq!((times, all.refused), (vec![1_000_000, 2_500_000], vec![5, 6, 7]));
        assert_eq!(all.readings[1].1.counters.symbol_errors, 9);
        assert_eq!((micros("1.1234567"), micros("99999999999999999999"), micros("1.-5")), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[0-9 .,#x\n]{0,200}") {
            let all = read(text.as_bytes()).expect("text");
            prop_assert!(all.readings.len() + all.refused.len() <= text.lines().count());
        }
    }
}
