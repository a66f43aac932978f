//! Who may come in, and how fast: rates of each vehicle, and handshakes in a reconnect storm.
//!
//! Pure state machines: times are durations since any one moment, the same for every call.

use std::collections::BTreeMap;
use std::time::Duration;

use outrider_types::VehicleId;

/// A bucket of tokens that fills at a steady rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    /// Millionths of a token, so that slow rates lose nothing to rounding.
    micro_tokens: u64,
    filled_at: Duration,
}

/// Rate and size of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens a second, at least 1.
    pub per_second: u32,
    /// Tokens that a full bucket holds; what a burst may take.
    pub burst: u32,
}

const MICRO: u64 = 1_000_000;

impl TokenBucket {
    /// Creates a full bucket.
    #[must_use]
    pub const fn full(rate: Rate, now: Duration) -> Self {
        Self { micro_tokens: rate.burst as u64 * MICRO, filled_at: now }
    }

    /// Takes `tokens`, or says how long to wait for them. More than a full bucket costs a full bucket: a single large
    /// unit must pass some time. A clock that runs backwards fills nothing.
    ///
    /// # Errors
    /// The time after which the same call succeeds if nobody else takes.
    pub fn take(&mut self, rate: Rate, tokens: u32, now: Duration) -> Result<(), Duration> {
        let cap = u64::from(rate.burst) * MICRO;
        let per_second = u64::from(rate.per_second.max(1));
        let elapsed = u64::try_from(now.saturating_sub(self.filled_at).as_micros()).unwrap_or(u64::MAX);
        self.micro_tokens = self.micro_tokens.saturating_add(elapsed.saturating_mul(per_second)).min(cap);
        self.filled_at = self.filled_at.max(now);
        let needed = (u64::from(tokens) * MICRO).min(cap);
        if self.micro_tokens >= needed {
            self.micro_tokens -= needed;
            return Ok(());
        }
        Err(Duration::from_micros((needed - self.micro_tokens).div_ceil(per_second)))
    }

    fn is_full(&self, rate: Rate, now: Duration) -> bool {
        let mut copy = *self;
        copy.take(rate, rate.burst, now).is_ok()
    }
}

/// What one vehicle may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VehicleRate {
    /// Frames.
    pub frames: Rate,
    /// Bytes of frames.
    pub bytes: Rate,
}

impl Default for VehicleRate {
    /// 50 frames a second and 500 at once: a vehicle that comes back after weeks sends its spool of 28 MiB in batches of
    /// 32 KiB, thus 900 frames in some ten seconds. 2 MiB a second and 16 MiB at once: sixteen of the longest frames.
    /// Guesses: a fleet of real vehicles can be held much shorter.
    fn default() -> Self {
        Self {
            frames: Rate { per_second: 50, burst: 500 },
            bytes: Rate { per_second: 2 << 20, burst: 16 << 20 },
        }
    }
}

/// Rates of all vehicles that sent lately.
#[derive(Debug)]
pub struct VehicleRates {
    rate: VehicleRate,
    buckets: BTreeMap<VehicleId, (TokenBucket, TokenBucket)>,
    vehicles_max: usize,
}

/// Buckets kept; a full one says nothing and is forgotten first. 80 bytes each.
const BUCKETS_MAX: usize = 100_000;

impl VehicleRates {
    /// Creates the rates.
    #[must_use]
    pub const fn new(rate: VehicleRate) -> Self {
        Self { rate, buckets: BTreeMap::new(), vehicles_max: BUCKETS_MAX }
    }

    /// Lets a frame in, or says how long its vehicle should wait. A refused frame costs nothing.
    ///
    /// # Errors
    /// The time to wait.
    pub fn admit(&mut self, vehicle: VehicleId, frame_bytes: usize, now: Duration) -> Result<(), Duration> {
        let rate = self.rate;
        if self.buckets.len() >= self.vehicles_max && !self.buckets.contains_key(&vehicle) {
            self.buckets.retain(|_, (frames, bytes)| {
                !(frames.is_full(rate.frames, now) && bytes.is_full(rate.bytes, now))
            });
            // All of them send at their limit: the newcomer waits like everybody else.
            if self.buckets.len() >= self.vehicles_max {
                return Err(Duration::from_secs(1));
            }
        }
        let fresh = || (TokenBucket::full(rate.frames, now), TokenBucket::full(rate.bytes, now));
        let (frames, bytes) = self.buckets.entry(vehicle).or_insert_with(fresh);
        let (mut frames_after, mut bytes_after) = (*frames, *bytes);
        let size = u32::try_from(frame_bytes).unwrap_or(u32::MAX);
        let results = (frames_after.take(rate.frames, 1, now), bytes_after.take(rate.bytes, size, now));
        match results {
            (Ok(()), Ok(())) => {
                (*frames, *bytes) = (frames_after, bytes_after);
                Ok(())
            }
            (frames, bytes) => Err(frames.err().max(bytes.err()).unwrap_or_default()),
        }
    }

    /// Returns the number of vehicles remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Returns whether no vehicle is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

/// Bounds of TLS handshakes, which are the dear part of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Handshakes at the same time.
    pub underway_max: usize,
    /// Handshakes begun.
    pub rate: Rate,
}

impl Default for HandshakeLimits {
    /// A full handshake costs about half a millisecond of processor: 500 a second leave most of one processor to the
    /// frames. 256 under way are those of half a second.
    fn default() -> Self {
        Self { underway_max: 256, rate: Rate { per_second: 500, burst: 500 } }
    }
}

/// Counts handshakes and refuses early, before any cryptography.
#[derive(Debug)]
pub struct HandshakeGate {
    limits: HandshakeLimits,
    bucket: TokenBucket,
    underway: usize,
}

impl HandshakeGate {
    /// Creates an open gate.
    #[must_use]
    pub const fn new(limits: HandshakeLimits, now: Duration) -> Self {
        Self { limits, bucket: TokenBucket::full(limits.rate, now), underway: 0 }
    }

    /// Begins a handshake; each success needs one [`HandshakeGate::end`].
    ///
    /// # Errors
    /// The time after which another try makes sense. Nothing was begun.
    pub fn begin(&mut self, now: Duration) -> Result<(), Duration> {
        if self.underway >= self.limits.underway_max {
            // As long as the handshakes under way should take at the full rate.
            let millis = 1000 * self.underway as u64 / u64::from(self.limits.rate.per_second.max(1));
            return Err(Duration::from_millis(millis.max(1)));
        }
        self.bucket.take(self.limits.rate, 1, now)?;
        self.underway += 1;
        Ok(())
    }

    /// Ends a handshake, whatever came of it.
    pub const fn end(&mut self) {
        self.underway = self.underway.saturating_sub(1);
    }

    /// Returns the handshakes under way.
    #[must_use]
    pub const fn underway(&self) -> usize {
        self.underway
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VEHICLE: VehicleId = VehicleId([1; 16]);

    proptest! {
        /// Whatever is asked when: never more than a full bucket and what flowed in since.
        #[test]
        fn a_bucket_gives_no_more_than_its_burst_and_its_rate(
            per_second in 1u32..1000,
            burst in 1u32..1000,
            steps in prop::collection::vec((0u64..3_000_000, 1u32..50), 1..200),
        ) {
            let rate = Rate { per_second, burst };
            let mut bucket = TokenBucket::full(rate, Duration::ZERO);
            let (mut now, mut given) = (Duration::ZERO, 0u64);
            for (micros, tokens) in steps {
                now += Duration::from_micros(micros);
                let tokens = tokens.min(burst);
                if bucket.take(rate, tokens, now).is_ok() {
                    given += u64::from(tokens);
                }
                let flowed = u128::from(per_second) * now.as_micros() / 1_000_000;
                prop_assert!(u128::from(given) <= u128::from(burst) + flowed);
            }
        }

        /// Who waits as long as told, gets it: no starvation, no rounding that keeps it out.
        #[test]
        fn the_time_to_wait_is_enough_and_not_too_long(
            per_second in 1u32..5000,
            burst in 1u32..5000,
            tokens in 1u32..10_000,
        ) {
            let rate = Rate { per_second, burst };
            let mut bucket = TokenBucket::full(rate, Duration::ZERO);
            prop_assert!(bucket.take(rate, burst, Duration::ZERO).is_ok());
            let wait = bucket.take(rate, tokens, Duration::ZERO).expect_err("it is empty");
            let mut early = bucket;
            prop_assert!(early.take(rate, tokens, wait.saturating_sub(Duration::from_micros(2))).is_err());
            prop_assert!(bucket.take(rate, tokens, wait).is_ok());
        }

        /// The gate never has more under way than its bound, and its count comes back to zero.
        #[test]
        fn the_gate_holds_both_bounds(
            underway_max in 1usize..20,
            per_second in 1u32..50,
            steps in prop::collection::vec((0u64..500, prop::bool::ANY), 1..300),
        ) {
            let limits = HandshakeLimits { underway_max, rate: Rate { per_second, burst: per_second } };
            let mut gate = HandshakeGate::new(limits, Duration::ZERO);
            let (mut now, mut open, mut begun) = (Duration::ZERO, 0usize, 0u64);
            for (millis, begins) in steps {
                now += Duration::from_millis(millis);
                if begins {
                    if gate.begin(now).is_ok() {
                        open += 1;
                        begun += 1;
                    }
                } else if open > 0 {
                    gate.end();
                    open -= 1;
                }
                prop_assert_eq!(gate.underway(), open);
                prop_assert!(open <= underway_max);
                let flowed = u128::from(per_second) * now.as_millis() / 1000;
                prop_assert!(u128::from(begun) <= u128::from(per_second) + flowed);
            }
        }
    }

    #[test]
    fn a_vehicle_over_its_rate_waits_and_the_others_do_not() {
        let rate = VehicleRate {
            frames: Rate { per_second: 1, burst: 2 },
            bytes: Rate { per_second: 1000, burst: 1000 },
        };
        let mut rates = VehicleRates::new(rate);
        let now = Duration::from_secs(5);
        assert_eq!(rates.admit(VEHICLE, 10, now), Ok(()));
        assert_eq!(rates.admit(VEHICLE, 10, now), Ok(()));
        assert_eq!(rates.admit(VEHICLE, 10, now), Err(Duration::from_secs(1)));
        assert_eq!(rates.admit(VehicleId([2; 16]), 10, now), Ok(()));
        assert_eq!(rates.admit(VEHICLE, 10, now + Duration::from_secs(1)), Ok(()));
        // Bytes bound it too, and a refused frame has not used up its frame token.
        let later = now + Duration::from_secs(100);
        assert_eq!(rates.admit(VEHICLE, 1000, later), Ok(()));
        assert_eq!(rates.admit(VEHICLE, 500, later), Err(Duration::from_millis(500)));
        assert_eq!(rates.admit(VEHICLE, 500, later + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn the_table_forgets_quiet_vehicles_and_stays_bounded() {
        let rate = VehicleRate {
            frames: Rate { per_second: 1, burst: 1 },
            bytes: Rate { per_second: 10, burst: 10 },
        };
        let mut rates = VehicleRates::new(rate);
        rates.vehicles_max = 4;
        for number in 0..4 {
            assert_eq!(rates.admit(VehicleId([number; 16]), 1, Duration::ZERO), Ok(()));
        }
        assert!(rates.admit(VehicleId([9; 16]), 1, Duration::ZERO).is_err(), "all four are busy");
        assert_eq!(rates.admit(VehicleId([9; 16]), 1, Duration::from_secs(2)), Ok(()));
        assert_eq!(rates.len(), 1, "the quiet ones are gone");
    }
}
