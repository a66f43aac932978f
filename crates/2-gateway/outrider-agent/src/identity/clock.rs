//! Whether the wall clock can be believed where certificates are judged.
//!
//! A vehicle's clock may stand at 1970 after its battery was changed, or at 2099 by a defect. Its own certificate bounds
//! the truth from below: it was issued when it says so. From above nothing does, but a clock behind the certificate's
//! end means that the vehicle was off for long or that the clock is wrong, and it cannot know which.

use outrider_types::UnixMicros;

/// What a certificate says of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Good from.
    pub not_before: UnixMicros,
    /// Good until.
    pub not_after: UnixMicros,
}

/// What the wall clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    /// It is within the validity of the vehicle's own certificate.
    Believed,
    /// It is before the vehicle's certificate was issued: wrong.
    TooEarly,
    /// It is behind the end of the vehicle's certificate: wrong, or the vehicle was off for long.
    TooLate,
}

/// Judges the wall clock by the vehicle's own certificate; without one it is believed, since nothing is known better.
#[must_use]
pub fn belief(now: UnixMicros, own: Option<Validity>) -> Belief {
    match own {
        Some(own) if now < own.not_before => Belief::TooEarly,
        Some(own) if now > own.not_after => Belief::TooLate,
        Some(_) | None => Belief::Believed,
    }
}

impl Validity {
    /// Returns when to judge somebody else's certificate: now if the clock is believed. Otherwise the time is unknown
    /// but not before the own certificate, and the other one is good if any such moment is within it; `None` if none is.
    #[must_use]
    pub fn moment_for(own: Option<Self>, now: UnixMicros, other: Self) -> Option<UnixMicros> {
        match (belief(now, own), own) {
            (Belief::Believed, _) | (_, None) => Some(now),
            (Belief::TooEarly | Belief::TooLate, Some(own)) => {
                let first = own.not_before.max(other.not_before);
                (first <= other.not_after).then_some(first)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 365 * 86_400_000_000;

    fn years(from: i64, to: i64) -> Validity {
        Validity { not_before: UnixMicros((from - 1970) * YEAR), not_after: UnixMicros((to - 1970) * YEAR) }
    }

    fn year(year: i64) -> UnixMicros {
        UnixMicros((year - 1970) * YEAR)
    }

    #[test]
    fn a_clock_at_1970_or_2099_is_not_believed_and_does_not_shut_the_vehicle_out() {
        let own = Some(years(2026, 2027));
        assert_eq!(belief(year(1970), own), Belief::TooEarly);
        assert_eq!(belief(year(2099), own), Belief::TooLate);
        assert_eq!(belief(year(2026), own), Belief::Believed);
        assert_eq!(belief(year(1970), None), Belief::Believed);
        let server = years(2028, 2029);
        for wrong in [1970, 2099] {
            assert_eq!(Validity::moment_for(own, year(wrong), server), Some(server.not_before));
        }
    }

    #[test]
    fn a_certificate_that_had_ended_before_ours_was_issued_is_never_good() {
        let (own, old) = (Some(years(2026, 2027)), years(2020, 2025));
        for wrong in [1970, 2099] {
            assert_eq!(Validity::moment_for(own, year(wrong), old), None);
        }
        assert_eq!(
            Validity::moment_for(own, year(2026), old),
            Some(year(2026)),
            "judged as of now, and refused"
        );
    }
}
