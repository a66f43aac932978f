//! The closing accounts of boots of which a vehicle holds nothing any more.

use outrider_wire::{Batch, EnvelopeHeader, LostBoot, LostBootsView, SIGN_LOST_BOOTS, Verifier};

use super::{Taken, VehicleState};
use crate::finding::{Reason, Statement};

impl VehicleState {
    /// Notes what a batch says of such boots: what of them is missing is lost, and waits no more.
    pub(super) fn take_lost_boots(
        &mut self,
        header: &EnvelopeHeader,
        rows: &Batch<'_>,
        device: &dyn Verifier,
        taken: &mut Taken,
    ) {
        for view in rows.lost_boots().flatten() {
            let lane = view.lane;
            if !device.verify(&[SIGN_LOST_BOOTS, view.text].concat(), &view.signature) {
                taken.statements.push(Statement::Conflict {
                    reason: Reason::TombstoneUnsigned,
                    epoch: view.first,
                    lane: Some(lane),
                    range: (view.first.0, view.last.0),
                    hashes: None,
                });
            }
            self.take_listed(header, &view, taken);
            self.take_summed(header, &view, taken);
            taken.statements.push(Statement::BootsSummed {
                lane,
                boots: (view.first, view.last, view.boots),
                sum: view.sum,
                is_exact: view.is_listed(),
            });
        }
    }

    fn take_listed(&mut self, header: &EnvelopeHeader, view: &LostBootsView<'_>, taken: &mut Taken) {
        let lane = view.lane;
        for LostBoot { epoch, counts } in view.each() {
            let ended = self.received.end_boot(header.epoch, (epoch, lane), counts.numbers);
            let Some(lost) = ended else { continue };
            // An acknowledgement that was lost makes the vehicle name more than are missing, never less.
            let untold = rows_in(&lost).saturating_sub(counts.evicted.saturating_add(counts.corrupt));
            if untold > 0 {
                let difference = i64::try_from(untold).unwrap_or(i64::MAX);
                taken.statements.push(Statement::Mismatch { epoch, lane, difference });
            }
            if let Some(ledger) = self.ledgers.get_mut(&(epoch, lane)) {
                ledger.close((header.epoch.0, header.batch_number), &counts, &lost);
                taken.ends.push((epoch, lane));
            }
        }
    }

    fn take_summed(&mut self, header: &EnvelopeHeader, view: &LostBootsView<'_>, taken: &mut Taken) {
        let lane = view.lane;
        let mut missing = 0u64;
        for run in view.runs() {
            for (epoch, lost) in self.received.end_boots(header.epoch, lane, run) {
                missing = missing.saturating_add(rows_in(&lost));
                if let Some(ledger) = self.ledgers.get_mut(&(epoch, lane)) {
                    ledger.close_in_sums(&lost);
                    taken.ends.push((epoch, lane));
                }
            }
        }
        let untold = missing.saturating_sub(view.sum.evicted.saturating_add(view.sum.corrupt));
        if untold > 0 {
            let difference = i64::try_from(untold).unwrap_or(i64::MAX);
            taken.statements.push(Statement::Mismatch { epoch: view.first, lane, difference });
        }
    }
}

fn rows_in(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().fold(0, |sum, (first, last)| sum.saturating_add(last - first).saturating_add(1))
}
