//! A tester that guesses keys, and one that asks for everything.

use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_types::{Seed, VehicleMicros};

use super::{Context, InjectError, Stretch, Told, Truth};

/// Keys a second when nobody asks for another rate: what an ECU that answers in 20 ms allows, with thinking time.
const RATE_HZ: u32 = 8;
/// Questions a second of a scan when nobody asks for another rate (guess: what public scanners do by default).
const SCAN_HZ: u32 = 40;
/// Services that the scanned ECU has: session, reset, clear and read trouble codes, read data, security access,
/// communication control, tester present (ISO 14229-1).
const SERVICES: [u8; 8] = [0x10, 0x11, 0x14, 0x19, 0x22, 0x27, 0x28, 0x3E];
/// Wrong keys after which the ECU locks.
const LOCKS_AFTER: u64 = 3;
/// Byte that fills a frame.
const PADDING: u8 = 0xAA;

/// A conversation being written.
struct Script<'a> {
    context: &'a Context<'a>,
    request: CanId,
    response: CanId,
    seed: Seed,
    at: u64,
    told: Told,
}

impl Script<'_> {
    /// Adds one message of up to seven bytes, a while after the one before.
    fn say(&mut self, id: CanId, message: &[u8], after_us: u64) -> Result<(), InjectError> {
        let mut data = [PADDING; 8];
        let len = u8::try_from(message.len()).unwrap_or(7);
        for (slot, byte) in data.iter_mut().zip(std::iter::once(&len).chain(message)) {
            *slot = *byte;
        }
        self.at = self.at.saturating_add(after_us).saturating_add(self.seed.below(after_us / 10 + 1));
        if self.at <= self.context.window.end {
            let frame = Frame::classic(id, &data).map_err(|_| InjectError::NoTarget)?;
            let at = VehicleMicros(self.at);
            let truth = if id == self.request { Truth::Added } else { Truth::Answer };
            self.told.push((TimedFrame { at, bus: self.context.survey.bus, frame }, truth));
        }
        Ok(())
    }

    /// One wrong key: seed asked and given, key sent and refused.
    fn guess(&mut self, number: u64, pause_us: u64) -> Result<(), InjectError> {
        let (request, response) = (self.request, self.response);
        let [s0, s1, s2, s3, k0, k1, k2, k3] = self.seed.next_u64().to_be_bytes();
        self.say(request, &[0x27, 0x01], pause_us)?;
        self.say(response, &[0x67, 0x01, s0, s1, s2, s3], 8_000)?;
        self.say(request, &[0x27, 0x02, k0, k1, k2, k3], 15_000)?;
        if number % LOCKS_AFTER != LOCKS_AFTER - 1 {
            return self.say(response, &[0x7F, 0x27, 0x35], 12_000);
        }
        self.say(response, &[0x7F, 0x27, 0x36], 12_000)?;
        // Locked: the attacker resets the ECU to forget the delay, and begins again.
        self.say(request, &[0x27, 0x01], 10_000)?;
        self.say(response, &[0x7F, 0x27, 0x37], 8_000)?;
        self.say(request, &[0x11, 0x01], 10_000)?;
        self.say(response, &[0x51, 0x01], 20_000)?;
        self.say(request, &[0x10, 0x03], 60_000)?;
        self.say(response, &[0x50, 0x03, 0x00, 0x32, 0x01, 0xF4], 10_000)
    }
}

impl Script<'_> {
    /// One question of a scan and its answer.
    fn ask(&mut self, by_service: bool, first: u16, number: u16, pause_us: u64) -> Result<(), InjectError> {
        let (request, response) = (self.request, self.response);
        if by_service {
            let [_, service] = number.to_be_bytes();
            self.say(request, &[service], pause_us)?;
            // Present services complain about the length, others are not supported.
            let code = if SERVICES.contains(&service) { 0x13 } else { 0x11 };
            return self.say(response, &[0x7F, service, code], 3_000);
        }
        let [high, low] = first.wrapping_add(number).to_be_bytes();
        self.say(request, &[0x22, high, low], pause_us)?;
        if self.seed.chance(1, 40) {
            return self.say(response, &[0x62, high, low, 0x00], 3_000);
        }
        self.say(response, &[0x7F, 0x22, 0x31], 3_000)
    }
}

impl Context<'_> {
    /// Adds a session, then seed requests, wrong keys and refusals to the end of the attack.
    pub(super) fn brute_force(&self) -> Result<Stretch, InjectError> {
        let rate_hz = self.plan.rate_hz.unwrap_or(RATE_HZ).clamp(1, 25);
        self.check_count(rate_hz.saturating_mul(10))?;
        // One guess takes 35 ms besides the pause.
        let pause_us = (1_000_000 / u64::from(rate_hz)).saturating_sub(35_000).max(1000);
        let mut script = self.script(5)?;
        let (request, response) = (script.request, script.response);
        script.say(request, &[0x10, 0x03], 0)?;
        script.say(response, &[0x50, 0x03, 0x00, 0x32, 0x01, 0xF4], 10_000)?;
        let mut number = 0;
        while script.at < self.window.end {
            script.guess(number, pause_us)?;
            number += 1;
        }
        self.stretch(script.told, vec![request, response], &[], rate_hz)
    }

    /// Adds a scan to the end of the attack: either services one after the other, or data identifiers.
    pub(super) fn scan(&self) -> Result<Stretch, InjectError> {
        let rate_hz = self.plan.rate_hz.unwrap_or(SCAN_HZ).clamp(1, 200);
        self.check_count(rate_hz.saturating_mul(2))?;
        let pause_us = (1_000_000 / u64::from(rate_hz)).saturating_sub(3_000).max(1000);
        let mut script = self.script(12)?;
        let by_service = script.seed.chance(1, 2);
        let first = u16::try_from(script.seed.below(0xF000)).unwrap_or(0);
        let mut number: u16 = 0;
        while script.at < self.window.end {
            script.ask(by_service, first, number, pause_us)?;
            number = number.wrapping_add(1);
        }
        let ids = vec![script.request, script.response];
        self.stretch(script.told, ids, &[], rate_hz)
    }

    fn script(&self, label: u64) -> Result<Script<'_>, InjectError> {
        let (request, response) = self.addresses()?;
        let (seed, at) = (self.seed.fork(label), self.window.start);
        Ok(Script { context: self, request, response, seed, at, told: self.clean() })
    }

    /// Chooses a pair of identifiers that the traffic leaves free: first those of ISO 15765-4, then others of the
    /// range that diagnosis uses.
    fn addresses(&self) -> Result<(CanId, CanId), InjectError> {
        if let Some(request) = self.plan.id {
            let value = request.value();
            let response = if request.is_extended() {
                CanId::extended((value & 0xFFFF_0000) | (value & 0xFF) << 8 | value >> 8 & 0xFF)
            } else {
                CanId::standard((value + 8).min(0x7FF))
            };
            return Ok((request, response.ok_or(InjectError::Id { id: request })?));
        }
        let legislated = (0x7E0..0x7E8u32).map(|value| (value, value + 8));
        let others = (0x700..0x7D0u32).chain(0x600..0x6F0).map(|value| (value, value + 8));
        let free: Vec<(CanId, CanId)> = legislated
            .chain(others)
            .filter_map(|(request, response)| Some((CanId::standard(request)?, CanId::standard(response)?)))
            .filter(|(request, response)| self.survey.is_free(*request) && self.survey.is_free(*response))
            .take(8)
            .collect();
        let count = u64::try_from(free.len()).unwrap_or(0);
        let index = usize::try_from(self.seed.fork(6).below(count)).unwrap_or(0);
        free.get(index).copied().ok_or(InjectError::NoTarget)
    }
}
