//! Rule pack: filters of qualification and patterns of host logs, as TOML inside a signed artifact.

use outrider_host::parse::Patterns;
use outrider_types::VehicleMicros;
use serde::{Deserialize, Serialize};

use crate::runtime::ids::{QualifySection, SevChain};

/// Longest rule pack; the vehicle's own patterns are a tenth of it.
const PACK_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackText {
    #[serde(default)]
    qualify: Option<QualifySection>,
    #[serde(default)]
    pattern: Vec<toml::Table>,
}

/// A checked rule pack.
#[derive(Debug, Clone)]
pub struct RulePack {
    /// Filters; none let everything pass.
    pub qualify: Option<QualifySection>,
    /// Patterns of logs that go before the shipped ones, as TOML; empty is none.
    pub patterns: String,
}

impl RulePack {
    /// Reads and checks a pack: every filter and every pattern must be of use to this program.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(payload: &[u8]) -> Result<Self, String> {
        if payload.len() > PACK_BYTES_MAX {
            return Err(format!("{} bytes, at most {PACK_BYTES_MAX}", payload.len()));
        }
        let text = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
        let pack: PackText = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some(qualify) = &pack.qualify {
            qualify.chain(VehicleMicros(0))?;
        }
        let patterns = if pack.pattern.is_empty() {
            String::new()
        } else {
            let only = PackText { qualify: None, pattern: pack.pattern };
            let text = toml::to_string(&only).map_err(|error| error.to_string())?;
            Patterns::parse(&text).map_err(|error| error.to_string())?;
            text
        };
        Ok(Self { qualify: pack.qualify, patterns })
    }

    /// Builds the filter chain.
    ///
    /// # Errors
    /// None for a pack that [`RulePack::parse`] gave out.
    pub fn chain(&self, now: VehicleMicros) -> Result<Option<Box<SevChain>>, String> {
        self.qualify.as_ref().map(|qualify| qualify.chain(now)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_checked_to_its_last_filter_and_pattern() {
        let shipped = include_str!("../../../../../content/host/patterns.toml");
        let whole = format!("[qualify.default]\nevery_nth = 2\n{shipped}");
        let pack = RulePack::parse(whole.as_bytes()).expect("a right pack");
        assert!(pack.qualify.is_some() && !pack.patterns.is_empty());
        assert!(pack.chain(VehicleMicros(5)).expect("checked").is_some());
        assert!(RulePack::parse(b"").is_ok_and(|pack| pack.qualify.is_none() && pack.patterns.is_empty()));
        for wrong in [
            "[qualify]\nperiod_ms = 100\n[[qualify.event]]\nname = 'no.such'",
            "[qualify]\nperiodms = 1",
            "[[pattern]]\nname = 'x'",
            "[rules]",
            "\u{0}",
        ] {
            assert!(RulePack::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(RulePack::parse(&vec![b'#'; PACK_BYTES_MAX + 1]).is_err());
        assert!(RulePack::parse(&[0xFF]).is_err());
    }
}
