//! Which AUTOSAR security event is which event of the catalogue.

use std::collections::BTreeMap;

use outrider_model::catalogue::{self, EVENT_TYPES};
use outrider_types::EventTypeId;
use outrider_wire::catalogue::event;
use outrider_wire::ids_frame::SevId;
use serde::{Deserialize, Serialize};

use crate::io::network::SecurityEventSpec;

/// First number of our own events in the car maker's range; the number in the catalogue is added.
const OWN_BASE: u16 = 0x8000;

/// One row of `[[idsr.event]]` or `[[idsm.event]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventName {
    /// Event definition id on the wire, 0 to 65,534.
    pub id: u16,
    /// Name of an event type in the catalogue.
    pub event: String,
}

/// What an event definition id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Event type of the catalogue; `ids.event` if there is none.
    pub event_type: EventTypeId,
    /// Symbol of the security extract.
    pub symbol: Option<String>,
}

/// Both directions; ordered maps over at most 65,535 entries.
#[derive(Debug, Clone, Default)]
pub struct SevNames {
    by_id: BTreeMap<u16, Named>,
    by_event: BTreeMap<EventTypeId, SevId>,
}

impl SevNames {
    /// Puts the names together: the numbers that AUTOSAR gives, then a security extract, then rows of the configuration,
    /// a later one over an earlier one.
    ///
    /// # Errors
    /// A text that names the row: an event type that the catalogue does not have, or an id that is invalid.
    pub fn new(extract: &[SecurityEventSpec], rows: &[EventName]) -> Result<Self, String> {
        let mut names = Self::default();
        for event_type in &EVENT_TYPES {
            for id in event_type.autosar_ids {
                names.by_id.insert(*id, Named { event_type: event_type.id, symbol: None });
            }
        }
        for defined in extract {
            let Some(id) = defined.id else { continue };
            let symbol = defined.symbol.as_deref().unwrap_or(&defined.name);
            let known = EVENT_TYPES.iter().find(|event_type| event_type.autosar_sev == Some(symbol));
            let there = names.by_id.get(&id).map(|named| named.event_type);
            let event_type = known.map(|known| known.id).or(there).unwrap_or(event::IDS_EVENT);
            names.by_id.insert(id, Named { event_type, symbol: Some(symbol.to_owned()) });
        }
        for row in rows {
            let known = catalogue::event_type_by_name(&row.event);
            let known = known.ok_or_else(|| format!("event {:?} is not in the catalogue", row.event))?;
            let id =
                SevId::new(row.id).map_err(|_| format!("event id {:#06x} is the invalid one", row.id))?;
            let symbol = names.by_id.get(&row.id).and_then(|named| named.symbol.clone());
            names.by_id.insert(row.id, Named { event_type: known.id, symbol });
            names.by_event.insert(known.id, id);
        }
        Ok(names)
    }

    /// Returns what an id of another ECU stands for.
    #[must_use]
    pub fn named(&self, id: SevId) -> Named {
        let unknown = Named { event_type: event::IDS_EVENT, symbol: None };
        self.by_id.get(&id.get()).cloned().unwrap_or(unknown)
    }

    /// Returns the id under which an event of ours goes out: that of a row, or 0x8000 plus its number in the catalogue;
    /// `None` if that is no legal id.
    #[must_use]
    pub fn id(&self, event_type: EventTypeId) -> Option<SevId> {
        let own = || OWN_BASE.checked_add(event_type.0).and_then(|id| SevId::new(id).ok());
        self.by_event.get(&event_type).copied().or_else(own)
    }
}
