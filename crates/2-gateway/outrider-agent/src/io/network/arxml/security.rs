//! The security extract (FO TPS SecurityExtractTemplate).

use std::collections::{BTreeMap, BTreeSet};

use super::super::model::{ContextProps, Reason, SecurityEventSpec};
use super::super::xml::Element;
use super::{Extract, short_name};

/// The id that is no id [SWS_IdsM_00604].
const INVALID: u16 = 0xFFFF;

impl<'t> Extract<'t> {
    pub(super) fn security_events(&mut self) {
        let mut indices = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for definition in self.tree.root().descendants("SECURITY-EVENT-DEFINITION") {
            let id: Option<u16> = self.needed(definition, "ID");
            let id = id.filter(|&id| id != INVALID);
            let name = short_name(definition);
            if id.is_some_and(|id| !ids.insert(id)) {
                self.problem(definition, Reason::Duplicate, format!("id of {name}"));
                continue;
            }
            indices.insert(definition.index(), self.description.security_events.len());
            self.description.security_events.push(SecurityEventSpec {
                name,
                id,
                symbol: definition.value(&["EVENT-SYMBOL-NAME"]).map(|text| text.chars().take(128).collect()),
                contexts: Vec::new(),
                place: definition.place(),
            });
        }
        for props in self.tree.root().descendants("SECURITY-EVENT-CONTEXT-PROPS") {
            self.context_props(props, &indices);
        }
    }

    fn context_props(&mut self, props: Element<'t>, indices: &BTreeMap<usize, usize>) {
        let Some(definition) = self.follow_at(props, &["SECURITY-EVENT-REF"]) else {
            return self.problem(props, Reason::Missing, "a SECURITY-EVENT-REF that leads somewhere");
        };
        let one = ContextProps {
            name: short_name(props),
            sensor: self.number(props, &["SENSOR-INSTANCE-ID"]).filter(|&sensor| sensor < 64),
            severity: text(props, "SEVERITY"),
            reporting_mode: text(props, "DEFAULT-REPORTING-MODE"),
            is_persistent: props.value(&["PERSISTENT-STORAGE"]).map(|value| matches!(value, "true" | "1")),
        };
        let index = indices.get(&definition.index());
        match index.and_then(|&index| self.description.security_events.get_mut(index)) {
            Some(event) => event.contexts.push(one),
            None => self.description.problem(
                props.place(),
                props.name(),
                Reason::Dangling,
                "its event was refused",
            ),
        }
    }
}

fn text(element: Element<'_>, name: &'static str) -> Option<String> {
    element.value(&[name]).map(|text| text.chars().take(64).collect())
}
