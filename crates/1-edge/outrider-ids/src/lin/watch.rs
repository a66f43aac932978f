//! What is judged by the rules of the bus, with or without a model: responses that are none, sleep, diagnosis.

use outrider_bus::lin::{Fault, Frame, Heard, Pid};
use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use super::{LinDetector, Target, limits};
use crate::evidence::{Evidence, Ladder};
use crate::observation::Fields;
use crate::verdict::{Rule, Verdict};

/// Identifier of the master's diagnostic requests.
const REQUEST: u8 = 0x3C;
/// Address of every node, in requests and in what functional diagnosis uses.
const BROADCAST: [u8; 2] = [0x7E, 0x7F];

/// State of these rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    /// When the header before this one came.
    before: Option<VehicleMicros>,
    wake_ups: Evidence,
    sleeps: Evidence,
    ignored: Evidence,
    /// A command to sleep after which nothing was heard yet.
    slept: Option<VehicleMicros>,
    /// Node addresses asked in the window, one a bit.
    asked: [u64; 4],
    asked_begun: VehicleMicros,
    /// Headers since the latest command to sleep.
    went_on: u32,
}

impl Watch {
    pub(super) const fn new() -> Self {
        Self {
            before: None,
            wake_ups: Evidence::NONE,
            sleeps: Evidence::NONE,
            ignored: Evidence::NONE,
            slept: None,
            asked: [0; 4],
            asked_begun: VehicleMicros(0),
            went_on: 0,
        }
    }

    /// Returns the time since the header before this one.
    pub(super) fn gap_us(&self, at: VehicleMicros) -> Option<u64> {
        self.before.map(|before| at.micros_since(before))
    }

    /// Notes when a header came.
    pub(super) fn at(&mut self, at: VehicleMicros) {
        self.before = Some(at);
    }

    /// Notes that the master speaks.
    pub(super) fn header(&mut self) {
        self.went_on = self.went_on.saturating_add(1);
    }

    /// Notes a request to a node and returns how many were asked in the window.
    fn ask(&mut self, at: VehicleMicros, nad: u8) -> u32 {
        if at.micros_since(self.asked_begun) > limits::SCAN_US {
            (self.asked, self.asked_begun) = ([0; 4], at);
        }
        if let Some(word) = self.asked.get_mut(usize::from(nad >> 6)) {
            *word |= 1u64.checked_shl(u32::from(nad & 0x3F)).unwrap_or(0);
        }
        self.asked.iter().fold(0, |sum: u32, word| sum.saturating_add(word.count_ones()))
    }
}

impl LinDetector {
    pub(super) fn fault(&mut self, at: VehicleMicros, pid: Pid, fault: Fault, verdict: &mut Verdict) {
        match fault {
            Fault::Silence => self.silence(at, pid, verdict),
            Fault::Checksum => self.damaged(at, pid, "checksum", verdict),
            Fault::Framing => self.damaged(at, pid, "framing", verdict),
        }
    }

    fn damaged(&mut self, at: VehicleMicros, pid: Pid, reason: &'static str, verdict: &mut Verdict) {
        self.stats.damaged = self.stats.damaged.saturating_add(1);
        let judges = self.judges();
        let Some(row) = self.row(pid) else { return };
        let count = row.damaged.add(at, limits::WINDOW_US);
        if !judges {
            // What collides while it is learned may: the frame is event-triggered.
            row.facts.get_or_insert_default().may_collide |= count > 1;
            return;
        }
        if row.facts.is_some_and(|facts| facts.may_collide) {
            return;
        }
        self.collision(at, pid, reason, (limits::DAMAGED, count), verdict);
    }

    fn silence(&mut self, at: VehicleMicros, pid: Pid, verdict: &mut Verdict) {
        self.stats.silent = self.stats.silent.saturating_add(1);
        let judges = self.judges();
        let Some(row) = self.row(pid) else { return };
        row.silent = row.silent.saturating_add(1);
        if !judges {
            row.facts.get_or_insert_default().may_be_silent = true;
            return;
        }
        let may = row.facts.is_none_or(|facts| facts.may_be_silent) || pid.is_diagnostic();
        if may || row.answered < limits::ANSWERED {
            return;
        }
        let silent = row.silent;
        let others = crate::count_of(self.rows.iter().filter(|row| row.silent >= limits::SILENT.low));
        // A supply that is switched off silences all its nodes at once.
        let is_one = u32::try_from(others).unwrap_or(u32::MAX) <= limits::SILENT_IDS_MAX;
        let ladder = if is_one { limits::SILENT } else { Ladder { medium: u32::MAX, ..limits::SILENT } };
        let fields = Fields::new().int(field::LIN_ID, pid.id().into()).int(field::FRAMES, silent.into());
        if self.strike(at, (event::LIN_SLAVE_SILENT, Target::Id(pid.id())), (ladder, silent), fields) {
            *verdict = verdict.or(Rule::Response);
        }
    }

    pub(super) fn broken_header(&mut self, at: VehicleMicros, verdict: &mut Verdict) {
        self.stats.damaged = self.stats.damaged.saturating_add(1);
        let count = self.headers_broken.add(at, limits::WINDOW_US);
        let fields = Fields::new().text(field::REASON, "header").int(field::FRAMES, count.into());
        let what = (event::LIN_RESPONSE_COLLISION, Target::Bus("header"));
        if self.strike(at, what, (limits::HEADERS_BROKEN, count), fields) {
            *verdict = verdict.or(Rule::Errors);
        }
    }

    /// Takes a wake-up signal, or the report that the bus fell asleep.
    pub(super) fn signal(&mut self, at: VehicleMicros, heard: &Heard, verdict: &mut Verdict) {
        self.stats.signals = self.stats.signals.saturating_add(1);
        self.timeline.restart();
        self.watch.before = None;
        self.watch.slept = None;
        if *heard != Heard::WakeUp {
            return;
        }
        let count = self.watch.wake_ups.add(at, limits::WINDOW_US);
        self.sleep(at, "wake_ups", (limits::WAKE_UPS, count), verdict);
    }

    fn sleep(
        &mut self,
        at: VehicleMicros,
        reason: &'static str,
        evidence: (Ladder, u32),
        verdict: &mut Verdict,
    ) {
        let fields = Fields::new().text(field::REASON, reason).int(field::FRAMES, evidence.1.into());
        if self.strike(at, (event::LIN_SLEEP_ABUSE, Target::Bus(reason)), evidence, fields) {
            *verdict = verdict.or(Rule::Sleep);
        }
    }

    /// Takes what the master commands: to sleep, or diagnosis of a node.
    pub(super) fn command(&mut self, at: VehicleMicros, frame: &Frame, verdict: &mut Verdict) {
        if let Some(slept) = self.watch.slept
            && at.micros_since(slept) > limits::SLEEP_GRACE_US
        {
            self.watch.slept = None;
            // The bus slept if there was a pause; if the schedule went on, its master did not command it.
            if self.watch.went_on > 2 {
                let count = self.watch.ignored.add(at, limits::SCAN_US);
                self.sleep(at, "sleep_ignored", (limits::SLEEPS_IGNORED, count), verdict);
            }
        }
        if frame.pid().id() != REQUEST {
            return;
        }
        let Some(&nad) = frame.data().first() else { return };
        if nad == 0 {
            let count = self.watch.sleeps.add(at, limits::WINDOW_US);
            (self.watch.slept, self.watch.went_on) = (Some(at), 0);
            self.sleep(at, "sleeps", (limits::SLEEPS, count), verdict);
            return;
        }
        if self.workshop || BROADCAST.contains(&nad) {
            return;
        }
        let count = self.watch.ask(at, nad);
        let fields = Fields::new().int(field::LIN_NAD, nad.into()).int(field::ATTEMPTS, count.into());
        let what = (event::LIN_DIAGNOSTIC_SCAN, Target::Bus("scan"));
        if self.strike(at, what, (limits::SCAN_NADS, count), fields) {
            *verdict = verdict.or(Rule::Scan);
        }
    }
}
