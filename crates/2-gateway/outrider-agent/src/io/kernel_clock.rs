//! What the kernel says of its wall clock: one system call that reads and changes nothing.

#![expect(unsafe_code, reason = "libc has no safe form of adjtimex; the block states why it is sound")]

use crate::clock::KernelClock;

/// Asks the kernel; `None` if it does not answer.
#[must_use]
pub fn read() -> Option<KernelClock> {
    // SAFETY: `timex` is plain numbers, for which zeros are a value; `modes` 0 asks and sets nothing.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live, exclusively borrowed `timex` of the layout that libc states for this kernel.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    let is_synchronised = state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let error_us = u64::try_from(timex.maxerror).unwrap_or(u64::MAX);
    (state >= 0).then_some(KernelClock { is_synchronised, error_us })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_answers_and_a_clock_that_is_not_synchronised_has_a_large_error() {
        // Where the call is forbidden (some sandboxes) nothing is claimed, which is right as well.
        if let Some(kernel) = super::read() {
            // The kernel calls a clock unsynchronised once its error exceeds 16 s (NTP_PHASE_LIMIT).
            assert!(!kernel.is_synchronised || kernel.error_us <= 16_000_000, "{kernel:?}");
        }
    }
}
