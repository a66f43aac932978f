//! Jumps, starts of motion, and jumps there and back.

use super::*;

fn flagged(found: &[(u64, Finding)]) -> usize {
    found.iter().filter(|(_, finding)| finding.flagged && finding.surprise.is_some()).count()
}

/// A bench that saw the temperatures of [`temperatures`] long enough.
fn lived() -> Bench {
    let mut bench = Bench::new();
    assert_eq!(temperatures(&mut bench, 0, 1600, |_, value| value), []);
    bench
}

/// Gives the frame `n` of three temperatures, the second of which is `value`; returns what is said, and whether what was
/// said of the frame before is taken back.
fn give(bench: &mut Bench, n: u64, value: u8) -> (Option<Finding>, bool) {
    let data = [72, 0, value, 0, 61, 0, 0, 0];
    let (mut novel, mut withdrawn) = (false, false);
    let Bench { payload, calibration, histories, signals } = bench;
    let context = Context {
        follows: true,
        learns: true,
        calibration,
        novel: &mut novel,
        withdrawn: &mut withdrawn,
        histories,
        signals,
    };
    let finding = payload.receive(n * 50_000, &data, context);
    (finding, withdrawn)
}

/// Whether each of four values is flagged after the number has rested, and whether what was said before is taken back.
fn said(values: [u8; 4]) -> [(bool, bool); 4] {
    let mut bench = lived();
    // As it was left.
    (1600..1640).for_each(|n| assert_eq!(give(&mut bench, n, 67), (None, false)));
    let mut n = 1640;
    values.map(|value| {
        n += 1;
        let (finding, back) = give(&mut bench, n, value);
        (finding.is_some_and(|finding| finding.flagged), back)
    })
}

#[test]
fn a_start_of_motion_is_taken_back_and_a_jump_is_not() {
    let motion = said([77, 86, 94, 101]);
    assert_eq!(
        motion,
        [(true, false), (false, true), (false, false), (false, false)],
        "nobody is suspected of it"
    );
    assert_eq!(said([77; 4]), [(true, false); 4], "a jump stays");
}

#[test]
fn a_small_jump_is_an_attack_if_another_follows() {
    let mut bench = lived();
    let once = temperatures(&mut bench, 1600, 400, |n, value| if n >= 100 { value + 2 } else { value });
    assert_eq!(flagged(&once), 0, "two at once happen: {once:?}");
    let mut bench = lived();
    let twice = temperatures(
        &mut bench,
        1600,
        400,
        |n, value| if (100..200).contains(&n) { value + 2 } else { value },
    );
    assert!(flagged(&twice) > 0, "there and back within five seconds");
    let mut bench = lived();
    let late = temperatures(
        &mut bench,
        1600,
        800,
        |n, value| if (100..600).contains(&n) { value + 2 } else { value },
    );
    assert_eq!(flagged(&late), 0, "after twenty-five seconds it is its way: {late:?}");
}
