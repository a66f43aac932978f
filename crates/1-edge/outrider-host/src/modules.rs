//! Kernel modules that appear, from `/proc/modules` once a second.

use std::collections::BTreeSet;
use std::path::Path;

use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use crate::HostEvent;
use crate::known::{Known, Verdict};
use crate::sensor::{Counts, Degradation, FULL, Period, Sensor, SensorState, Turn};

const PERIOD_US: u64 = 1_000_000;
/// Bytes of the list: 10,000 modules.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// The sensor.
pub(crate) struct Modules {
    known: Known,
    loaded: BTreeSet<Box<str>>,
    period: Period,
    counts: Counts,
    degradation: Degradation,
}

impl Modules {
    /// # Errors
    /// The baseline cannot be read.
    pub(crate) fn open(baseline: &Path, learns_until: VehicleMicros) -> std::io::Result<Self> {
        Ok(Self {
            known: Known::open(baseline, learns_until)?,
            loaded: BTreeSet::new(),
            period: Period::of_us(PERIOD_US),
            counts: Counts::default(),
            degradation: Degradation::new("host.modules"),
        })
    }

    fn look(&mut self, turn: &mut Turn<'_>) {
        let Some(text) = turn.people.root.read("modules", LIST_BYTES_MAX) else {
            // A kernel without modules: nothing can be loaded, which is the best state.
            return;
        };
        let mut now_loaded = BTreeSet::new();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(name) = words.next() else { continue };
            now_loaded.insert(Box::from(name));
            if self.loaded.contains(name) {
                continue;
            }
            self.counts.received += 1;
            if self.known.judge(name) != Verdict::Unknown {
                self.counts.quiet += 1;
                continue;
            }
            self.counts.reported += 1;
            // The last word of a tainting module is such as `(OE)`: out of tree, unsigned.
            let taint = words.last().filter(|word| word.starts_with('(')).unwrap_or("");
            turn.out.push(
                HostEvent::new(event::HOST_MODULE_LOADED, turn.now)
                    .text(field::MODULE_NAME, name)
                    .text(field::REASON, taint.trim_matches(['(', ')'])),
            );
        }
        self.loaded = now_loaded;
        let is_cut = text.len() as u64 >= LIST_BYTES_MAX;
        self.degradation.set(if is_cut { "list cut" } else { FULL }, turn.now, turn.out);
    }
}

impl Sensor for Modules {
    fn name(&self) -> &'static str {
        "host.modules"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        if self.period.is_due(turn.now) {
            self.look(turn);
            self.known.keep(turn, &mut self.degradation);
        }
    }

    fn state(&self) -> SensorState {
        SensorState::new(self.name(), self.degradation.step(), self.counts)
            .with_known(&self.known)
            .with("loaded", self.loaded.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;
    use crate::people::People;
    use crate::proc_fs::ProcRoot;

    #[test]
    fn a_module_that_was_not_learned_is_reported_once_with_its_taint() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let list = folder.path().join("modules");
        std::fs::write(&list, "can 20480 0 - Live 0x0\n").expect("it writes");
        let mut sensor = Modules::open(&folder.path().join("known"), VehicleMicros(1)).expect("it opens");
        let (mut people, mut out) = (People::new(ProcRoot::new(folder.path())), Outbox::default());
        for second in 0..5u64 {
            let now = VehicleMicros(second * 1_000_000);
            sensor.turn(&mut Turn { now, people: &mut people, out: &mut out });
            if second == 2 {
                let text = "can 20480 0 - Live 0x0\nrootkit 16384 0 - Live 0x0 (OE)\n";
                std::fs::write(&list, text).expect("it writes");
            }
        }
        let found = out.pop().expect("one event");
        assert_eq!(found.text_of(field::MODULE_NAME), Some("rootkit"));
        assert_eq!(found.text_of(field::REASON), Some("OE"));
        assert_eq!(out.pop(), None);
        assert!(sensor.state().counts.is_balanced());
    }
}
