//! The vehicle's check of a command: pure, and fails closed (RSP-2).
//!
//! Order matters: nothing is believed before the signature, and nothing is said about the vehicle's state to a sender
//! whose signature is wrong.

use outrider_types::{TenantId, UnixMicros, VehicleId};
use outrider_wire::{
    CommandHead, CommandId, Outcome, ParameterError, Parameters, Receipt, RefuseReason, SealedCommand,
    Verifier,
};

/// What the vehicle gives at most, whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandCaps {
    /// Longest time before an event that evidence may cover, in seconds.
    pub evidence_before_s_max: u16,
    /// Longest time after an event that evidence may cover, in seconds.
    pub evidence_after_s_max: u16,
    /// Longest window of validity of a command, in microseconds.
    pub validity_us_max: i64,
    /// Longest artifact, head and signature included, in bytes.
    pub artifact_bytes_max: u32,
}

impl Default for CommandCaps {
    /// One minute either side, commands valid for at most seven days, artifacts of 8 MiB.
    fn default() -> Self {
        Self {
            evidence_before_s_max: 60,
            evidence_after_s_max: 60,
            validity_us_max: 7 * 86_400 * 1_000_000,
            artifact_bytes_max: 8 << 20,
        }
    }
}

/// The last command that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastCommand {
    /// Its number in the vehicle's series; 0 if there was none.
    pub sequence: u64,
    /// Its identity.
    pub id: CommandId,
}

/// What the vehicle knows when it judges a command.
#[derive(Debug, Clone, Copy)]
pub struct CommandContext {
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// This vehicle.
    pub vehicle: VehicleId,
    /// Wall time, or `None` if the vehicle has none that it trusts.
    pub now: Option<UnixMicros>,
    /// Last accepted command, from [`crate::CommandStore`].
    pub last: LastCommand,
    /// Limits.
    pub caps: CommandCaps,
}

/// What the vehicle decides about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every check passed. The caller makes [`Accepted::last`] durable before it acts.
    Accept(Accepted),
    /// The last accepted command once more, as a cloud sends it that missed the receipt. Not obeyed again, no event.
    Repeated(CommandHead),
    /// Refused; a security event `command.rejected` and, if the frame could be read, a receipt.
    Refuse(Refused),
}

/// An accepted command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Everything but the parameters.
    pub head: CommandHead,
    /// What to do.
    pub parameters: Parameters,
}

impl Accepted {
    /// Returns what to store before acting.
    #[must_use]
    pub const fn last(&self) -> LastCommand {
        LastCommand { sequence: self.head.sequence, id: self.head.id }
    }
}

/// A refused command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: RefuseReason,
    /// What it claims to be; `None` if it could not be read. Not to be trusted if the reason is `Signature`.
    pub claimed: Option<CommandHead>,
}

/// Returns the receipt of a command.
#[must_use]
pub const fn receipt(head: &CommandHead, context: &CommandContext, outcome: Outcome) -> Receipt {
    Receipt {
        command: head.id,
        tenant: context.tenant,
        vehicle: context.vehicle,
        sequence: head.sequence,
        outcome,
    }
}

/// Judges a command frame.
#[must_use]
pub fn judge(frame: &[u8], context: &CommandContext, verifier: &dyn Verifier) -> Verdict {
    let Ok(sealed) = SealedCommand::parse(frame) else {
        return Verdict::Refuse(Refused { reason: RefuseReason::Malformed, claimed: None });
    };
    let claimed = *sealed.claimed();
    let refuse = |reason| Verdict::Refuse(Refused { reason, claimed: Some(claimed) });
    let Ok(command) = sealed.open(verifier) else { return refuse(RefuseReason::Signature) };
    let head = command.head;
    if head.vehicle != context.vehicle {
        return refuse(RefuseReason::WrongVehicle);
    }
    if head.tenant != context.tenant {
        return refuse(RefuseReason::WrongTenant);
    }
    if head.sequence == context.last.sequence && head.sequence != 0 && head.id == context.last.id {
        return Verdict::Repeated(head);
    }
    if head.sequence <= context.last.sequence {
        return refuse(RefuseReason::Sequence);
    }
    if let Err(reason) = check_window(&head, context) {
        return refuse(reason);
    }
    let parameters = match command.parameters() {
        Ok(parameters) => parameters,
        Err(ParameterError::UnknownKind { .. }) => return refuse(RefuseReason::UnknownKind),
        Err(ParameterError::Malformed(_)) => return refuse(RefuseReason::Parameters),
    };
    match parameters {
        Parameters::RequestEvidence(window) => {
            if window.before_s > context.caps.evidence_before_s_max
                || window.after_s > context.caps.evidence_after_s_max
            {
                return refuse(RefuseReason::Cap);
            }
        }
        Parameters::Update(order) => {
            if order.bytes > context.caps.artifact_bytes_max {
                return refuse(RefuseReason::Cap);
            }
        }
    }
    Verdict::Accept(Accepted { head, parameters })
}

fn check_window(head: &CommandHead, context: &CommandContext) -> Result<(), RefuseReason> {
    let validity = head.expires.0.checked_sub(head.not_before.0);
    if !validity.is_some_and(|us| 0 < us && us <= context.caps.validity_us_max) {
        return Err(RefuseReason::Window);
    }
    let now = context.now.ok_or(RefuseReason::NoTrustedTime)?;
    if now < head.not_before {
        return Err(RefuseReason::NotYetValid);
    }
    if now >= head.expires { Err(RefuseReason::Expired) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
