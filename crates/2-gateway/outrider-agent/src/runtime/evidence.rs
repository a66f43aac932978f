//! Evidence: what the rolling captures have around an event, cut and uploaded.
//!
//! An event of an Ethernet segment gets the packets, as pcapng; any other the CAN frames, as a candump log. Neither gets
//! the other's: an analyst sees no more than the event is about.

use std::io;

use outrider_gateway::Storage;
use outrider_gateway::uplink::TransportError;
use outrider_types::{BootEpoch, UnixMicros, VehicleMicros};
use outrider_wire::{EvidenceHash, EvidenceWindow, Outcome as CommandOutcome, Parameters};
use sha2::{Digest, Sha256};

use super::Vehicle;
use super::commands::{Job, hex};
use super::parts::CloudLink;
use crate::io::capture::{write_candump, write_pcapng};

/// Frames that one evidence file holds at most: a minute and a half of two full buses.
const FRAMES_MAX: usize = 500_000;
/// Packets that one evidence file holds at most: with all their bytes, half of the 32 MiB that the cloud takes.
const PACKETS_MAX: usize = 8_000;

/// What to cut.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: VehicleMicros,
    to: VehicleMicros,
    is_ethernet: bool,
}

impl<S: Storage> Vehicle<S> {
    /// Returns whether the event is known and its window is still captured, or will be.
    pub(super) fn has_capture(&self, window: &EvidenceWindow, now: VehicleMicros) -> bool {
        let Some(Span { from, to, is_ethernet }) = self.span(window) else { return false };
        let is_ahead = window.epoch == self.epoch() && now < to;
        let covers = if is_ethernet {
            self.packets.covers(window.epoch, from, to)
        } else {
            self.capture.covers(window.epoch, from, to)
        };
        is_ahead || covers
    }

    /// Returns the times that a window of evidence means, and of which kind of bus.
    fn span(&self, window: &EvidenceWindow) -> Option<Span> {
        let happened = self.index.find(window.epoch, window.lane, window.seq)?;
        let from = happened.first.0.saturating_sub(u64::from(window.before_s) * 1_000_000);
        let to = happened.last.saturating_add(u64::from(window.after_s) * 1_000_000);
        Some(Span { from: VehicleMicros(from), to, is_ethernet: happened.is_ethernet })
    }

    /// Does what accepted commands ask for, as far as it can be done now.
    pub(super) fn work(&mut self, link: &mut dyn CloudLink, now: VehicleMicros) {
        for job in self.jobs.waiting() {
            if !job.is_announced && self.answer(&job.head, CommandOutcome::Accepted, link) {
                self.jobs.announced(job.head.sequence);
            }
            let is_late = self.trusted_now(now).is_some_and(|wall| wall >= job.head.expires);
            if is_late && !self.is_decided(job.head.sequence) {
                self.jobs.remove(job.head.sequence);
                continue;
            }
            match job.parameters {
                Parameters::RequestEvidence(window) => self.evidence(&job, window, link, now),
                Parameters::Update(order) => self.update(&job, order, link, now),
            }
        }
    }

    fn evidence(&mut self, job: &Job, window: EvidenceWindow, link: &mut dyn CloudLink, now: VehicleMicros) {
        let Some(span) = self.span(&window) else {
            self.jobs.remove(job.head.sequence);
            return;
        };
        if window.epoch == self.epoch() && now < span.to {
            return;
        }
        // What cannot be read now is tried again.
        let Ok(content) = self.content(window.epoch, span) else { return };
        if content.is_empty() {
            // Overwritten since the command was accepted.
            self.answer(&job.head, CommandOutcome::Failed, link);
            self.jobs.remove(job.head.sequence);
            return;
        }
        let digest: [u8; 32] = Sha256::digest(&content).into();
        let (command_id, sha256) = (hex(&job.head.id.0), hex(&digest));
        let media_type = if span.is_ethernet { "application/x-pcapng" } else { "text/x-candump" };
        match link.upload(&command_id, &sha256, media_type, &content) {
            Ok(()) => {
                self.status.evidence_sent += 1;
                let done =
                    CommandOutcome::Done { evidence: EvidenceHash(digest), bytes: content.len() as u64 };
                self.answer(&job.head, done, link);
                self.jobs.remove(job.head.sequence);
            }
            // The cloud does not want it: it has it, or the command is void there.
            Err(TransportError::Refused { status: 400 | 403 | 404 | 409 | 413 }) => {
                self.jobs.remove(job.head.sequence);
            }
            Err(
                TransportError::Refused { .. } | TransportError::Unreachable(_) | TransportError::TimedOut,
            ) => {}
        }
    }
    /// Cuts a span; empty if nothing of it is left.
    fn content(&mut self, epoch: BootEpoch, span: Span) -> io::Result<Vec<u8>> {
        let Span { from, to, is_ethernet } = span;
        let start = if epoch == self.epoch() {
            self.fix.map_or(UnixMicros(0), |fix| fix.event_time(VehicleMicros(0)).best)
        } else {
            UnixMicros(0)
        };
        let mut content = Vec::new();
        if is_ethernet {
            let packets = self.packets.cut(epoch, from, to, PACKETS_MAX)?;
            if !packets.is_empty() {
                write_pcapng(&mut content, start, &packets)?;
            }
        } else {
            let frames = self.capture.cut(epoch, from, to, FRAMES_MAX)?;
            write_candump(&mut content, start, &frames)?;
        }
        Ok(content)
    }
}
