//! Numbers in the messages of precharge and charging loop.
//!
//! The schemas fix which element may come next, and EXI codes the choice in as few bits as it takes, one choice more for
//! deviations. Written after the schemas' element order (DIN 70121:2014 annex, ISO 15118-2:2014 annex C) and W3C EXI 1.0,
//! clauses 7 and 8.5.4; held against recorded sessions by a test.

use super::bits::Bits;
use super::exi::Schema;
use super::kind::Kind;

/// A voltage, current or power in thousandths of its unit.
pub type Milli = i64;

/// What a message says in numbers; what it does not have is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Values {
    /// Voltage that the car wants, in millivolts.
    pub target_voltage: Option<Milli>,
    /// Current that the car wants, in milliamperes.
    pub target_current: Option<Milli>,
    /// Voltage at the station, in millivolts.
    pub present_voltage: Option<Milli>,
    /// Current at the station, in milliamperes; negative while it takes.
    pub present_current: Option<Milli>,
    /// Highest voltage of the sender, in millivolts.
    pub voltage_limit: Option<Milli>,
    /// Highest current of the sender, in milliamperes.
    pub current_limit: Option<Milli>,
    /// Highest power of the sender, in milliwatts.
    pub power_limit: Option<Milli>,
    /// State of charge, in percent.
    pub charge_percent: Option<u8>,
}

impl Values {
    /// Reads the rest of a body, or returns `None` if it does not follow the schema or is of another kind.
    pub(super) fn parse(bits: &mut Bits<'_>, schema: Schema, kind: Kind) -> Option<Self> {
        let mut values = Self::default();
        let mut reader = Reader { bits, schema };
        if kind == Kind::PreChargeReq {
            values.charge_percent = Some(reader.car_status()?);
            values.target_voltage = Some(reader.quantity()?);
            values.target_current = Some(reader.quantity()?);
        } else if kind == Kind::PreChargeRes {
            reader.station_status()?;
            values.present_voltage = Some(reader.quantity()?);
        } else if kind == Kind::CurrentDemandReq {
            reader.demand(&mut values)?;
        } else if kind == Kind::CurrentDemandRes {
            reader.supply(&mut values)?;
        } else {
            return None;
        }
        Some(values)
    }
}

struct Reader<'a, 'b> {
    bits: &'a mut Bits<'b>,
    schema: Schema,
}

impl Reader<'_, '_> {
    /// A physical value behind its start.
    fn amount(&mut self) -> Option<Milli> {
        // Multiplier, 10 to the power of -3 to 3: as thousandths it is a whole number.
        let power = self.bits.element(3).filter(|&power| power <= 6)?;
        let has_unit = match self.schema {
            // The unit may be missing.
            Schema::Din => match self.bits.take(2)? {
                0 => true,
                1 => false,
                _ => return None,
            },
            Schema::Iso2 => {
                self.bits.only()?;
                true
            }
        };
        if has_unit {
            self.bits.only()?;
            self.bits.inside(match self.schema {
                Schema::Din => 4,
                Schema::Iso2 => 3,
            })?;
            self.bits.only()?;
        }
        self.bits.only()?;
        let value = self.bits.signed()?;
        self.bits.end()?;
        self.bits.end()?;
        value.checked_mul(10i64.checked_pow(power)?)
    }

    fn quantity(&mut self) -> Option<Milli> {
        self.bits.only()?;
        self.amount()
    }

    /// State of the car: ready, conditioning (DIN), error, charge.
    fn car_status(&mut self) -> Option<u8> {
        self.bits.only()?;
        self.bits.element(1)?;
        match self.schema {
            Schema::Iso2 => self.bits.only()?,
            Schema::Din => {
                // Two flags that may be missing; each has the ones behind it as alternatives.
                let mut next = self.bits.take(2)?;
                if next == 0 {
                    self.bits.only()?;
                    self.bits.inside(1)?;
                    next = self.bits.take(2)?.checked_add(1)?;
                }
                if next == 1 {
                    self.bits.only()?;
                    self.bits.inside(1)?;
                    self.bits.only()?;
                } else if next != 2 {
                    return None;
                }
            }
        }
        self.bits.only()?;
        self.bits.inside(4)?;
        let charge = self.bits.element(7)?;
        self.bits.end()?;
        u8::try_from(charge).ok().filter(|&percent| percent <= 100)
    }

    /// State of the station: insulation, which may be missing, and code; delay and notification, first in ISO 15118-2.
    fn station_status(&mut self) -> Option<()> {
        self.bits.only()?;
        if self.schema == Schema::Iso2 {
            self.notification()?;
        }
        match self.bits.take(2)? {
            0 => {
                self.bits.only()?;
                self.bits.inside(match self.schema {
                    Schema::Din => 2,
                    Schema::Iso2 => 3,
                })?;
                self.bits.only()?;
            }
            1 => {}
            _ => return None,
        }
        self.bits.only()?;
        self.bits.inside(4)?;
        if self.schema == Schema::Din {
            self.notification()?;
        }
        self.bits.end()
    }

    fn notification(&mut self) -> Option<()> {
        self.bits.begin()?;
        self.bits.unsigned()?;
        self.bits.end()?;
        self.bits.element(2)?;
        Some(())
    }

    /// A choice among what may still come of `of` elements that may be missing, and the one behind them.
    fn choice(&mut self, passed: u32, of: u32) -> Option<u32> {
        let choices = of.checked_sub(passed)?.checked_add(2)?;
        let width = u32::BITS.checked_sub(choices.checked_sub(1)?.leading_zeros())?;
        passed.checked_add(self.bits.take(width)?).filter(|&next| next <= of)
    }

    /// Limits that may be missing, in order; returns the number of the element that follows them, its start taken.
    fn limits(&mut self, values: &mut Values, of: u32) -> Option<u32> {
        let mut next = self.choice(0, of)?;
        while next < 3 {
            let amount = Some(self.amount()?);
            match next {
                0 => values.voltage_limit = amount,
                1 => values.current_limit = amount,
                _ => values.power_limit = amount,
            }
            next = self.choice(next.checked_add(1)?, of)?;
        }
        Some(next)
    }

    /// What the car wants: state, current, limits, two flags, two times, voltage.
    fn demand(&mut self, values: &mut Values) -> Option<()> {
        values.charge_percent = Some(self.car_status()?);
        values.target_current = Some(self.quantity()?);
        if self.limits(values, 4)? == 3 {
            self.bits.only()?;
            self.bits.inside(1)?;
            self.bits.only()?;
        }
        self.bits.only()?;
        self.bits.inside(1)?;
        let mut next = self.choice(0, 2)?;
        while next < 2 {
            self.amount()?;
            next = self.choice(next.checked_add(1)?, 2)?;
        }
        values.target_voltage = Some(self.amount()?);
        Some(())
    }

    /// What the station gives: state, voltage, current, three flags, limits.
    fn supply(&mut self, values: &mut Values) -> Option<()> {
        self.station_status()?;
        values.present_voltage = Some(self.quantity()?);
        values.present_current = Some(self.quantity()?);
        for _ in 0..3 {
            self.bits.element(1)?;
        }
        self.limits(values, 3)?;
        Some(())
    }
}
