//! Legal holds: which rows nobody may delete, and the text form in which a hold is kept beside the table.

use outrider_types::{TenantId, UnixMicros, VehicleId};
use serde_json::{Value, json};

use crate::error::LakeError;

/// Most vehicles of one hold.
pub const HOLD_VEHICLES_MAX: usize = 10_000;

/// Longest text of a hold, bytes: a reason, a case, a person.
pub const HOLD_TEXT_MAX: usize = 1_000;

/// Rows that must be kept, whatever the retention says.
///
/// A row is held if it is of one of the vehicles (or there are none, which means all), of the tenant, and between the two
/// event times, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its name: letters, digits and hyphens.
    pub id: String,
    /// Why, in a person's words.
    pub reason: String,
    /// Case that it belongs to.
    pub case: Option<String>,
    /// Vehicles; none means every vehicle.
    pub vehicles: Vec<VehicleId>,
    /// Tenant; none means every tenant.
    pub tenant: Option<TenantId>,
    /// First event time.
    pub from: Option<UnixMicros>,
    /// Last event time.
    pub to: Option<UnixMicros>,
    /// Who set it.
    pub set_by: String,
    /// When it was set.
    pub set_at: UnixMicros,
}

/// The end of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Who released it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: UnixMicros,
}

fn wrong(reason: impl Into<String>) -> LakeError {
    LakeError::Hold { reason: reason.into() }
}

impl Hold {
    /// Checks what a person gave.
    ///
    /// # Errors
    /// [`LakeError::Hold`] says what is wrong.
    pub fn check(&self) -> Result<(), LakeError> {
        let named = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if self.id.is_empty() || self.id.len() > 64 || !named(&self.id) {
            return Err(wrong("its name is 1 to 64 letters, digits and hyphens"));
        }
        let texts = [Some(&self.reason), Some(&self.set_by), self.case.as_ref()];
        if texts.into_iter().flatten().any(|text| text.trim().is_empty() || text.len() > HOLD_TEXT_MAX) {
            return Err(wrong(format!("reason, person and case are 1 to {HOLD_TEXT_MAX} bytes")));
        }
        if self.vehicles.len() > HOLD_VEHICLES_MAX {
            return Err(wrong(format!("more than {HOLD_VEHICLES_MAX} vehicles")));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(wrong("it ends before it begins"));
        }
        Ok(())
    }

    pub(crate) fn text(&self) -> String {
        let vehicles: Vec<String> = self.vehicles.iter().map(ToString::to_string).collect();
        json!({
            "version": 1, "id": self.id, "reason": self.reason, "case": self.case, "vehicles": vehicles,
            "tenant": self.tenant.map(|tenant| tenant.0), "from_us": self.from.map(|time| time.0),
            "to_us": self.to.map(|time| time.0), "set_by": self.set_by, "set_at_us": self.set_at.0,
        })
        .to_string()
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, LakeError> {
        let value = versioned(text)?;
        let vehicles = value["vehicles"].as_array().ok_or_else(|| wrong("it has no list of vehicles"))?;
        let vehicle = |value: &Value| value.as_str()?.parse::<VehicleId>().ok();
        let vehicles: Option<Vec<_>> = vehicles.iter().map(vehicle).collect();
        let tenant = if value["tenant"].is_null() {
            None
        } else {
            let number = value["tenant"].as_u64().and_then(|number| u32::try_from(number).ok());
            Some(TenantId(number.ok_or_else(|| wrong("its tenant is not a number"))?))
        };
        let hold = Self {
            id: word(&value, "id")?,
            reason: word(&value, "reason")?,
            case: value["case"].as_str().map(str::to_owned),
            // A vehicle that cannot be read must not make a hold of some vehicles one of all, or of none.
            vehicles: vehicles.ok_or_else(|| wrong("one of its vehicles cannot be read"))?,
            tenant,
            from: time(&value, "from_us")?,
            to: time(&value, "to_us")?,
            set_by: word(&value, "set_by")?,
            set_at: time(&value, "set_at_us")?.ok_or_else(|| wrong("it does not say since when"))?,
        };
        hold.check()?;
        Ok(hold)
    }
}

impl Release {
    pub(crate) fn text(&self) -> String {
        json!({"version": 1, "by": self.by, "reason": self.reason, "at_us": self.at.0}).to_string()
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, LakeError> {
        let value = versioned(text)?;
        let at = time(&value, "at_us")?.ok_or_else(|| wrong("its release does not say when"))?;
        Ok(Self { by: word(&value, "by")?, reason: word(&value, "reason")?, at })
    }
}

fn versioned(text: &[u8]) -> Result<Value, LakeError> {
    let value: Value = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    match value["version"].as_u64() {
        Some(1) => Ok(value),
        Some(_) | None => Err(wrong("it was written by another program")),
    }
}

fn word(value: &Value, name: &str) -> Result<String, LakeError> {
    value[name].as_str().map(str::to_owned).ok_or_else(|| wrong(format!("{name} is not text")))
}

fn time(value: &Value, name: &str) -> Result<Option<UnixMicros>, LakeError> {
    if value[name].is_null() {
        return Ok(None);
    }
    let micros = value[name].as_i64().ok_or_else(|| wrong(format!("{name} is not a time")))?;
    Ok(Some(UnixMicros(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold() -> Hold {
        Hold {
            id: "court-1".to_owned(),
            reason: "order of a court".to_owned(),
            case: Some("17".to_owned()),
            vehicles: vec![VehicleId([1; 16]), VehicleId([2; 16])],
            tenant: Some(TenantId(3)),
            from: Some(UnixMicros(5)),
            to: Some(UnixMicros(9)),
            set_by: "jo".to_owned(),
            set_at: UnixMicros(11),
        }
    }

    #[test]
    fn a_hold_comes_back_as_it_was_written() {
        for hold in
            [hold(), Hold { case: None, vehicles: Vec::new(), tenant: None, from: None, to: None, ..hold() }]
        {
            assert_eq!(Hold::parse(hold.text().as_bytes()).expect("reads"), hold);
        }
        let release = Release { by: "jo".to_owned(), reason: "over".to_owned(), at: UnixMicros(4) };
        assert_eq!(Release::parse(release.text().as_bytes()).expect("reads"), release);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_valid_hold_or_refused(
            at in 0_usize..400,
            with in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..12),
        ) {
            let mut text = hold().text().into_bytes();
            let at = at.min(text.len());
            let end = (at + with.len()).min(text.len());
            text.splice(at..end, with);
            if let Ok(hold) = Hold::parse(&text) {
                proptest::prop_assert!(hold.check().is_ok());
            }
            let _ = Release::parse(&text);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_never_a_smaller_hold() {
        let text = hold().text();
        let changed = [
            text.replace("\"version\":1", "\"version\":2"),
            text.replace(&"01".repeat(16), "zz"),
            text.replace("\"vehicles\":[", "\"vehicle\":["),
            text.replace("\"tenant\":3", "\"tenant\":-3"),
            text.replace("\"from_us\":5", "\"from_us\":\"5\""),
            text.replace("\"to_us\":9", "\"to_us\":1"),
            text[..text.len() - 1].to_owned(),
        ];
        for changed in changed {
            assert_ne!(changed, text, "the case is one");
            let error = Hold::parse(changed.as_bytes()).expect_err(&changed);
            assert_eq!((error.code(), error.class()), ("lake.hold", crate::ErrorClass::Input));
        }
        let wrong = [
            Hold { id: "../x".to_owned(), ..hold() },
            Hold { id: String::new(), ..hold() },
            Hold { reason: " ".to_owned(), ..hold() },
            Hold { set_by: "x".repeat(HOLD_TEXT_MAX + 1), ..hold() },
            Hold { vehicles: vec![VehicleId([1; 16]); HOLD_VEHICLES_MAX + 1], ..hold() },
        ];
        assert!(wrong.iter().all(|hold| hold.check().is_err()));
        assert!(Hold { vehicles: vec![VehicleId([1; 16]); HOLD_VEHICLES_MAX], ..hold() }.check().is_ok());
    }
}
