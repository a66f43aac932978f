//! How the simulated vehicle moves, and what its signals say then.

use outrider_types::{Seed, VehicleMicros};

use crate::io::dbc::{DbcSignal, DbcValueKind};

/// Kind of drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriveProfile {
    /// Stands, awake.
    Parked,
    /// Stops and goes up to 50 km/h.
    City,
    /// Between 90 and 130 km/h.
    Highway,
}

/// One drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drive {
    /// How the vehicle moves.
    pub profile: DriveProfile,
    /// Time of the first frame.
    pub start: VehicleMicros,
    /// Length, in microseconds; `u64::MAX` never ends.
    pub length_us: u64,
}

/// Motion of the vehicle up to now.
#[derive(Debug)]
pub(super) struct Motion {
    profile: DriveProfile,
    at_us: u64,
    speed_kmh: f64,
    accel: f64,
    target_kmh: f64,
    steering_deg: f64,
    distance_km: f64,
    next_target_us: u64,
    engine_rpm: f64,
    is_charging: bool,
    charge_a: f64,
    charge_percent: f64,
    seed: Seed,
}

/// Longest step of the motion, in microseconds.
const STEP_US: u64 = 10_000;
/// Longest silence that is caught up with step by step, in microseconds; beyond, time is skipped.
const CATCH_UP_US: u64 = 10_000_000;

/// A number below `bound` as a float; `bound` is small.
pub(super) fn draw(seed: &mut Seed, bound: u32) -> f64 {
    f64::from(u32::try_from(seed.below(u64::from(bound))).unwrap_or(0))
}

impl Motion {
    pub(super) fn new(drive: &Drive, seed: Seed) -> Self {
        let speed_kmh = match drive.profile {
            DriveProfile::Parked | DriveProfile::City => 0.0,
            DriveProfile::Highway => 110.0,
        };
        let mut seed = seed.fork(u64::from(u32::MAX));
        let distance_km = 1000.0 + draw(&mut seed, 100_000);
        Self {
            profile: drive.profile,
            at_us: 0,
            speed_kmh,
            accel: 0.0,
            target_kmh: speed_kmh,
            steering_deg: 0.0,
            distance_km,
            next_target_us: 0,
            engine_rpm: 750.0,
            is_charging: false,
            charge_a: 0.0,
            charge_percent: 40.0,
            seed,
        }
    }

    pub(super) const fn speed_kmh(&self) -> f64 {
        self.speed_kmh
    }

    /// Time up to which the vehicle has moved, in microseconds since the start of the drive.
    pub(super) const fn at_us(&self) -> u64 {
        self.at_us
    }

    /// Moves the vehicle on to a time since the start of the drive.
    pub(super) fn advance(&mut self, at_us: u64) {
        if at_us.saturating_sub(self.at_us) > CATCH_UP_US {
            self.at_us = at_us.saturating_sub(CATCH_UP_US);
        }
        while self.at_us < at_us {
            let step = STEP_US.min(at_us - self.at_us);
            self.at_us += step;
            self.step(std::time::Duration::from_micros(step).as_secs_f64());
        }
    }

    fn step(&mut self, seconds: f64) {
        if self.at_us >= self.next_target_us {
            self.target_kmh = match self.profile {
                DriveProfile::Parked => 0.0,
                DriveProfile::City if self.seed.chance(1, 3) => 0.0,
                DriveProfile::City => 15.0 + draw(&mut self.seed, 36),
                DriveProfile::Highway => 90.0 + draw(&mut self.seed, 41),
            };
            self.next_target_us = self.at_us + 4_000_000 + self.seed.below(8_000_000);
        }
        // A comfortable driver: 2 m/s² up, 3 m/s² down, softer near the target.
        let wanted = ((self.target_kmh - self.speed_kmh) / 3.6).clamp(-3.0, 2.0);
        self.accel += (wanted - self.accel) * (seconds * 2.0).min(1.0);
        self.speed_kmh = (self.speed_kmh + self.accel * 3.6 * seconds).max(0.0);
        self.distance_km += self.speed_kmh * seconds / 3600.0;
        // A shift takes about a third of a second, in which the engine turns to its new speed.
        let wanted_rpm = 750.0 + self.speed_kmh * 100.0 / self.gear();
        self.engine_rpm += (wanted_rpm - self.engine_rpm) * (seconds * 8.0).min(1.0);
        // A charger ramps in seconds and tapers above four fifths.
        let wanted_a =
            if self.is_charging { (100.0 - self.charge_percent).clamp(0.0, 20.0) * 6.0 } else { 0.0 };
        self.charge_a += (wanted_a - self.charge_a) * (seconds * 0.5).min(1.0);
        let used = self.speed_kmh * seconds / 3600.0 * 0.2;
        self.charge_percent =
            (self.charge_percent + self.charge_a * seconds / 9000.0 - used).clamp(5.0, 100.0);
        let sway = draw(&mut self.seed, 2001) / 1000.0 - 1.0;
        let pull = if self.speed_kmh > 0.5 { sway * 3.0 } else { 0.0 };
        self.steering_deg = (self.steering_deg * 0.995 + pull).clamp(-400.0, 400.0);
    }

    /// Value of something that follows from the motion.
    pub(super) fn physical(&self, physical: Physical) -> f64 {
        let moving = self.speed_kmh > 0.1;
        let yes = |is: bool| f64::from(u8::from(is));
        match physical {
            Physical::Speed => self.speed_kmh,
            Physical::StandStill => yes(!moving),
            Physical::Acceleration => self.accel,
            Physical::LateralAcceleration => self.steering_deg * self.speed_kmh / 2000.0,
            Physical::Steering => self.steering_deg,
            Physical::EngineSpeed => self.engine_rpm,
            Physical::Torque => 20.0 + self.accel.max(0.0) * 120.0,
            Physical::Pedal => (self.accel.max(0.0) * 25.0 + self.speed_kmh / 10.0).min(100.0),
            Physical::BrakePressure => (-self.accel).max(0.0) * 15.0,
            Physical::Braking => yes(self.accel < -0.3),
            Physical::Gear => self.gear(),
            Physical::Lever if moving => 3.0,
            Physical::Lever => 0.0,
            Physical::Parked => yes(self.profile == DriveProfile::Parked),
            Physical::On => 1.0,
            Physical::Odometer => self.distance_km.floor(),
            Physical::Clock => std::time::Duration::from_micros(self.at_us).as_secs_f64().floor(),
            Physical::ChargeCurrent => self.charge_a,
            Physical::ChargeLevel => self.charge_percent,
        }
    }

    fn gear(&self) -> f64 {
        1.0 + (self.speed_kmh / 22.0).floor().min(6.0)
    }

    /// Lets the driver do something else from now on.
    pub(super) const fn turn_to(&mut self, profile: DriveProfile, is_charging: bool) {
        self.profile = profile;
        self.is_charging = is_charging;
        self.next_target_us = 0;
    }
}

/// What the motion says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Physical {
    Speed,
    StandStill,
    Acceleration,
    LateralAcceleration,
    Steering,
    EngineSpeed,
    Torque,
    Pedal,
    BrakePressure,
    Braking,
    Gear,
    Lever,
    Parked,
    On,
    Odometer,
    Clock,
    ChargeCurrent,
    ChargeLevel,
}

impl Physical {
    /// Returns what a signal is about, by its name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "VehicleSpeed" | "DisplaySpeed" | "WheelFrontLeft" | "WheelFrontRight" | "WheelRearLeft"
            | "WheelRearRight" => Self::Speed,
            "StandStill" => Self::StandStill,
            "LongitudinalAccel" | "AccelRequest" => Self::Acceleration,
            "LateralAccel" | "YawRate" => Self::LateralAcceleration,
            "SteeringAngle" => Self::Steering,
            "EngineSpeed" => Self::EngineSpeed,
            "EngineTorque" => Self::Torque,
            "AcceleratorPedal" => Self::Pedal,
            "BrakePressure" => Self::BrakePressure,
            "BrakePedal" | "BrakeLight" => Self::Braking,
            "GearActual" | "GearRequest" => Self::Gear,
            "GearLever" => Self::Lever,
            "ParkBrake" => Self::Parked,
            "EngineRunning" | "StartAllowed" | "KeyPresent" | "BeltLocked" | "Occupied" => Self::On,
            "Odometer" => Self::Odometer,
            "ClockSeconds" => Self::Clock,
            "ChargeCurrent" => Self::ChargeCurrent,
            "ChargeLevel" => Self::ChargeLevel,
            _ => return None,
        })
    }
}

/// Value at which a signal's walk begins: a third into its range.
pub(super) fn rest(signal: &DbcSignal, seed: &mut Seed) -> f64 {
    if signal.bits <= 2 {
        return signal.min;
    }
    let share = 0.25 + draw(seed, 100) / 400.0;
    let value = signal.min + (signal.max - signal.min) * share;
    if value.is_finite() { value } else { 0.0 }
}

/// Turns a physical value into raw bits, held at the ends of the signal's range.
pub(super) fn encode(signal: &DbcSignal, physical: f64) -> u64 {
    let factor = if signal.factor == 0.0 || !signal.factor.is_finite() { 1.0 } else { signal.factor };
    let steps = ((physical - signal.offset) / factor).round();
    let bits = u32::from(signal.bits.clamp(1, 52));
    let span = 1u64 << bits;
    #[expect(clippy::cast_precision_loss, reason = "at most 2^52")]
    let (low, high) = match signal.kind {
        DbcValueKind::Signed => (-((span / 2) as f64), (span / 2 - 1) as f64),
        DbcValueKind::Unsigned | DbcValueKind::Float32 | DbcValueKind::Float64 => (0.0, (span - 1) as f64),
    };
    #[expect(clippy::cast_possible_truncation, reason = "clamped to at most 52 bits")]
    let whole = if steps.is_finite() { steps.clamp(low, high) as i64 } else { 0 };
    whole.cast_unsigned() & (span - 1)
}
