//! Finds, for a text value, all text tests of a field at once.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aho_corasick::{AhoCorasick, MatchKind};
use ipnet::IpNet;

use crate::literals;
use crate::pattern::{Literal, Pattern, Place, fold_case};
use crate::predicate::TextTest;

/// Every text test on one field.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextIndex {
    /// Tests that the literals find; the position is what [`TextIndex::find`] reports.
    fast: Vec<TextTest>,
    /// Tests that are evaluated one by one, when a rule asks.
    slow: Vec<TextTest>,
    folded: Literals,
    cased: Literals,
    networks: Networks,
}

/// Where a test of a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextSlot {
    /// Among the tests that the literals find.
    Fast(u32),
    /// Among the tests that are evaluated one by one.
    Slow(u32),
}

impl TextIndex {
    /// Adds a test; [`TextIndex::finish`] must follow before the index is used.
    pub(crate) fn add(&mut self, test: &TextTest) -> TextSlot {
        let index = count(self.fast.len());
        let found = match test {
            TextTest::Patterns { cased, any } => {
                let into = if *cased { &mut self.cased } else { &mut self.folded };
                let literals: Option<Vec<Literal<'_>>> = any.iter().map(Pattern::literal).collect();
                literals.map(|literals| literals.iter().for_each(|literal| into.add(*literal, index)))
            }
            TextTest::Regexes(any) => literals::of_all(any).map(|literals| {
                let texts = literals.iter().map(|text| Literal::Contains { text, exact: None });
                texts.for_each(|literal| self.cased.add(literal, index));
            }),
            TextTest::Networks(any) => {
                any.iter().for_each(|network| self.networks.add(*network, index));
                Some(())
            }
            TextTest::Number(..) | TextTest::Part(..) => None,
        };
        if found.is_none() {
            self.slow.push(test.clone());
            return TextSlot::Slow(count(self.slow.len() - 1));
        }
        self.fast.push(test.clone());
        TextSlot::Fast(index)
    }

    /// Builds the automata.
    pub(crate) fn finish(&mut self) {
        self.folded.finish();
        self.cased.finish();
    }

    /// Returns the number of tests that the literals find.
    pub(crate) fn fast_len(&self) -> usize {
        self.fast.len()
    }

    /// Returns the number of tests that are evaluated one by one.
    pub(crate) fn slow_len(&self) -> usize {
        self.slow.len()
    }

    /// Appends the fast tests that a value meets, ascending, without repeats.
    pub(crate) fn find(&self, value: &str, found: &mut Vec<u32>) {
        let start = found.len();
        if !self.folded.is_empty() {
            self.folded.find(&fold_case(value), value, &self.fast, found);
        }
        self.cased.find(value, value, &self.fast, found);
        self.networks.find(value, found);
        found[start..].sort_unstable();
        let mut kept = start;
        for index in start..found.len() {
            if index == start || found[index] != found[kept - 1] {
                found[kept] = found[index];
                kept += 1;
            }
        }
        found.truncate(kept);
    }

    /// Evaluates one slow test.
    pub(crate) fn slow(&self, index: u32, value: &str) -> bool {
        self.slow.get(index as usize).is_some_and(|test| test.holds(value))
    }
}

/// Networks of tests: for each length of prefix, the tests by prefix.
#[derive(Debug, Clone, Default)]
struct Networks {
    by_length: BTreeMap<(bool, u8), BTreeMap<u128, Vec<u32>>>,
}

impl Networks {
    fn add(&mut self, network: IpNet, test: u32) {
        let (is_v6, bits) = bits_of(network.addr());
        let length = network.prefix_len();
        let prefix = prefix(bits, length);
        self.by_length.entry((is_v6, length)).or_default().entry(prefix).or_default().push(test);
    }

    fn find(&self, value: &str, found: &mut Vec<u32>) {
        if self.by_length.is_empty() {
            return;
        }
        let Ok(address) = value.parse::<IpAddr>() else { return };
        let (is_v6, bits) = bits_of(address);
        for ((_, length), tests) in self.by_length.range((is_v6, 0)..=(is_v6, u8::MAX)) {
            found.extend(tests.get(&prefix(bits, *length)).into_iter().flatten());
        }
    }
}

/// Returns the family and the address, from the highest bit of 128 on.
fn bits_of(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (true, address.to_bits()),
    }
}

/// Keeps the first `length` bits.
fn prefix(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// Literals of tests that see values in one form, folded or as they are.
#[derive(Debug, Clone, Default)]
struct Literals {
    equal: BTreeMap<String, Vec<u32>>,
    contained: Vec<(String, Contained)>,
    automaton: Option<AhoCorasick>,
}

#[derive(Debug, Clone, Copy)]
struct Contained {
    test: u32,
    /// Where the literal must be; `None` if the test must be evaluated to know.
    place: Option<Place>,
}

impl Literals {
    fn is_empty(&self) -> bool {
        self.equal.is_empty() && self.contained.is_empty()
    }

    fn add(&mut self, literal: Literal<'_>, test: u32) {
        match literal {
            Literal::Equal(text) => self.equal.entry(text.to_owned()).or_default().push(test),
            Literal::Contains { text, exact } => {
                self.contained.push((text.to_owned(), Contained { test, place: exact }));
            }
        }
    }

    fn finish(&mut self) {
        if self.contained.is_empty() {
            return;
        }
        let literals = self.contained.iter().map(|(text, _)| text);
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(literals);
        self.automaton = Some(automaton.expect("literals are capped far below the automaton's limits"));
    }

    /// `seen` is the value in the form of the literals, `value` as it is.
    fn find(&self, seen: &str, value: &str, tests: &[TextTest], found: &mut Vec<u32>) {
        if let Some(equal) = self.equal.get(seen) {
            found.extend_from_slice(equal);
        }
        let Some(automaton) = &self.automaton else { return };
        for hit in automaton.find_overlapping_iter(seen) {
            let Some((_, contained)) = self.contained.get(hit.pattern().as_usize()) else { continue };
            let holds = match contained.place {
                Some(Place::Whole) => hit.start() == 0 && hit.end() == seen.len(),
                Some(Place::Start) => hit.start() == 0,
                Some(Place::End) => hit.end() == seen.len(),
                Some(Place::Inside) => true,
                None => tests.get(contained.test as usize).is_some_and(|test| test.holds(value)),
            };
            if holds {
                found.push(contained.test);
            }
        }
    }
}

fn count(value: usize) -> u32 {
    u32::try_from(value).expect("tests of a set are capped far below 2^32")
}

/// Which tests each distinct value of a column meets; rebuilt for every batch, memory is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextTable {
    /// End of each value's tests in `found`.
    ends: Vec<u32>,
    found: Vec<u32>,
    /// Answers of slow tests by value; empty until a rule asks in this batch.
    slow: Vec<Vec<Answer>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Unknown,
    No,
    Yes,
}

impl TextTable {
    /// Evaluates the fast tests of an index on the values of a column.
    pub(crate) fn fill(&mut self, index: &TextIndex, values: &[String]) {
        self.ends.clear();
        self.found.clear();
        self.slow.resize_with(index.slow_len(), Vec::new);
        self.slow.iter_mut().for_each(Vec::clear);
        if index.fast_len() == 0 {
            return;
        }
        for value in values {
            index.find(value, &mut self.found);
            self.ends.push(count(self.found.len()));
        }
    }

    /// Returns the fast tests that a value meets, ascending.
    pub(crate) fn met(&self, code: u32) -> &[u32] {
        let end = self.ends.get(code as usize).copied().unwrap_or(0);
        let start =
            (code as usize).checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.found.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// Evaluates a slow test on a value once a batch.
    pub(crate) fn slow(&mut self, index: &TextIndex, test: u32, code: u32, values: &[String]) -> bool {
        let Some(answers) = self.slow.get_mut(test as usize) else { return false };
        if answers.is_empty() {
            answers.resize(values.len(), Answer::Unknown);
        }
        let (Some(answer), Some(value)) = (answers.get_mut(code as usize), values.get(code as usize)) else {
            return false;
        };
        if *answer == Answer::Unknown {
            *answer = if index.slow(test, value) { Answer::Yes } else { Answer::No };
        }
        *answer == Answer::Yes
    }
}
