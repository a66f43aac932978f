//! How old rows are kept: tiers by age, and when they end.

use serde_json::{Value, json};

use crate::error::LakeError;

/// Most days of a retention: a hundred years.
pub const RETENTION_DAYS_MAX: u32 = 36_525;

/// How a file is written, by the age of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// Quick to write.
    Hot,
    /// Smaller; asked as before.
    Warm,
    /// As small as it gets in larger pages; kept rather than asked.
    Cold,
}

impl Tier {
    /// Returns the first word of the names of its sorted files.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Hot => "sorted",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }

    /// Returns the tier that a file was written for, by its path.
    pub(crate) fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let word = name.split('-').next().unwrap_or(name);
        [Self::Warm, Self::Cold].into_iter().find(|tier| tier.word() == word).unwrap_or(Self::Hot)
    }
}

/// When rows pass from tier to tier and end, in whole days since the day they came in; without a number, never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Days after which they are written again, smaller.
    pub warm_after_days: Option<u32>,
    /// Days after which they are written again, as small as it gets.
    pub cold_after_days: Option<u32>,
    /// Days after which they are deleted, unless a hold keeps them.
    pub delete_after_days: Option<u32>,
}

impl Retention {
    /// Checks that the numbers are in order.
    ///
    /// # Errors
    /// [`LakeError::Retention`] says what is wrong.
    pub fn check(&self) -> Result<(), LakeError> {
        let wrong = |reason: &str| Err(LakeError::Retention { reason: reason.to_owned() });
        let days = [self.warm_after_days, self.cold_after_days, self.delete_after_days];
        let given: Vec<u32> = days.into_iter().flatten().collect();
        if given.iter().any(|days| !(1..=RETENTION_DAYS_MAX).contains(days)) {
            return wrong("a tier begins after 1 to 36525 days");
        }
        if given.windows(2).any(|pair| pair[0] >= pair[1]) {
            return wrong("warm, cold and deletion follow each other");
        }
        Ok(())
    }

    /// Returns the tier of rows of an age.
    pub(crate) fn tier(&self, age_days: i64) -> Tier {
        let is_past = |days: Option<u32>| days.is_some_and(|days| age_days >= i64::from(days));
        if is_past(self.cold_after_days) {
            Tier::Cold
        } else if is_past(self.warm_after_days) {
            Tier::Warm
        } else {
            Tier::Hot
        }
    }

    /// Whether rows of an age end.
    pub(crate) fn is_over(&self, age_days: i64) -> bool {
        self.delete_after_days.is_some_and(|days| age_days >= i64::from(days))
    }

    pub(crate) fn text(&self) -> String {
        json!({
            "version": 1, "warm_after_days": self.warm_after_days, "cold_after_days": self.cold_after_days,
            "delete_after_days": self.delete_after_days,
        })
        .to_string()
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, LakeError> {
        let wrong = |reason: String| LakeError::Retention { reason };
        let value: Value = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        if value["version"].as_u64() != Some(1) {
            return Err(wrong("it was written by another program".to_owned()));
        }
        let days = |name: &str| {
            if value[name].is_null() {
                return Ok(None);
            }
            let days = value[name].as_u64().and_then(|days| u32::try_from(days).ok());
            days.map(Some).ok_or_else(|| wrong(format!("{name} is not a number of days")))
        };
        let retention = Self {
            warm_after_days: days("warm_after_days")?,
            cold_after_days: days("cold_after_days")?,
            delete_after_days: days("delete_after_days")?,
        };
        retention.check()?;
        Ok(retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(days: [Option<u32>; 3]) -> Retention {
        Retention { warm_after_days: days[0], cold_after_days: days[1], delete_after_days: days[2] }
    }

    #[test]
    fn tiers_follow_each_other_and_begin_on_their_day() {
        let all = retention([Some(7), Some(30), Some(365)]);
        assert_eq!(
            [6, 7, 29, 30, 9_999].map(|age| all.tier(age)),
            [Tier::Hot, Tier::Warm, Tier::Warm, Tier::Cold, Tier::Cold]
        );
        assert_eq!([364, 365].map(|age| all.is_over(age)), [false, true]);
        let none = Retention::default();
        assert!(!none.is_over(i64::MAX) && none.tier(i64::MAX) == Tier::Hot, "nothing ends by itself");
        assert_eq!(retention([None, Some(3), None]).tier(3), Tier::Cold);
        assert!(!all.is_over(-5), "a day to come is young");
    }

    #[test]
    fn a_retention_out_of_order_or_unreadable_is_refused() {
        for days in [[Some(7), Some(7), None], [Some(9), None, Some(8)], [None, None, Some(0)]] {
            let error = retention(days).check().expect_err("out of order");
            assert_eq!((error.code(), error.class()), ("lake.retention", crate::ErrorClass::Input));
        }
        assert!(retention([None, None, Some(RETENTION_DAYS_MAX + 1)]).check().is_err());
        for days in [[None; 3], [Some(1), Some(2), Some(3)], [None, None, Some(RETENTION_DAYS_MAX)]] {
            let text = retention(days).text();
            assert_eq!(Retention::parse(text.as_bytes()).expect("reads"), retention(days));
        }
        let text = retention([Some(1), Some(2), Some(3)]).text();
        for changed in [
            text.replace("\"version\":1", "\"version\":2"),
            text.replace("\"delete_after_days\":3", "\"delete_after_days\":\"3\""),
            text.replace("\"delete_after_days\":3", "\"delete_after_days\":-3"),
            text.replace('}', ""),
        ] {
            assert_ne!(changed, text);
            assert!(Retention::parse(changed.as_bytes()).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_file_names_its_tier() {
        let tiers = ["a=1/warm-0-1.parquet", "cold-2.parquet", "sorted-3.parquet", "p00000-1-x.parquet"];
        assert_eq!(tiers.map(Tier::of), [Tier::Warm, Tier::Cold, Tier::Hot, Tier::Hot]);
        assert!([Tier::Hot, Tier::Warm, Tier::Cold].iter().all(|tier| Tier::of(tier.word()) == *tier));
    }
}
