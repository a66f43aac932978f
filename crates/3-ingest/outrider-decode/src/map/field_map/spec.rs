//! The text of a table: what its keys are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::super::convert::{self, Conversion, TimeForm};
use super::super::name::{Encoding, NameKind};
use super::super::path::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// Namespace of fields that the catalogue does not have.
    pub(super) namespace: String,
    pub(super) vehicle: Option<VehicleSpec>,
    pub(super) time: Option<TimeSpec>,
    #[serde(rename = "type")]
    pub(super) event_type: Option<TypeSpec>,
    pub(super) severity: Option<WordSpec>,
    pub(super) count: Option<PathSpec>,
    pub(super) bus: Option<BusSpec>,
    pub(super) ecu: Option<PathSpec>,
    pub(super) key: Option<KeySpec>,
    pub(super) context: Option<BytesSpec>,
    pub(super) payload: Option<PayloadSpec>,
    #[serde(default)]
    pub(super) field: Vec<FieldSpec>,
    #[serde(default)]
    pub(super) ignore: Vec<Ignore>,
    #[serde(default)]
    pub(super) rest: RestSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VehicleSpec {
    pub(super) path: Path,
    pub(super) kind: NameKind,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeSpec {
    pub(super) path: Path,
    pub(super) form: TimeForm,
    /// Half the interval that the source's clock keeps, seconds.
    pub(super) error_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypeSpec {
    pub(super) path: Option<Path>,
    /// Foreign word → name in the catalogue.
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
    /// Name in the catalogue if `path` is absent or its word is not in `values`.
    pub(super) default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WordSpec {
    pub(super) path: Path,
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathSpec {
    pub(super) path: Path,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeySpec {
    /// Values that together make the key, such as device and counter.
    pub(super) paths: Vec<Path>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BytesSpec {
    pub(super) path: Path,
    #[serde(default)]
    pub(super) encoding: Encoding,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayloadSpec {
    pub(super) path: Path,
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// Format of all payloads, or where the format's name stands.
    pub(super) format: Option<String>,
    pub(super) format_path: Option<Path>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BusSpec {
    pub(super) path: Path,
    #[serde(default)]
    pub(super) values: BTreeMap<String, convert::Literal>,
}

/// The members of [`Conversion`] stand here once more, because flattened ones would let a misspelt key pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldSpec {
    pub(super) to: String,
    pub(super) path: Path,
    /// Without it the event is refused.
    #[serde(default)]
    pub(super) required: bool,
    pub(super) base: Option<u32>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    #[serde(default)]
    pub(super) values: BTreeMap<String, convert::Literal>,
}

impl FieldSpec {
    pub(super) fn conversion(&self) -> Conversion {
        Conversion {
            base: self.base,
            scale: self.scale,
            offset: self.offset,
            min: self.min,
            max: self.max,
            values: self.values.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ignore {
    pub(super) path: Path,
    pub(super) equals: convert::Literal,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestSpec {
    /// Whether fields that are not mapped are kept.
    #[serde(default = "yes")]
    pub(super) keep: bool,
    /// Paths that are left out all the same.
    #[serde(default)]
    pub(super) except: Vec<Path>,
}

impl Default for RestSpec {
    fn default() -> Self {
        Self { keep: true, except: Vec::new() }
    }
}

const fn yes() -> bool {
    true
}

impl Spec {
    /// Returns the paths that are mapped or left out, for the rest.
    pub(super) fn taken(&self) -> BTreeSet<String> {
        let mut paths: Vec<&Path> = self.field.iter().map(|field| &field.path).collect();
        paths.extend(self.vehicle.iter().map(|of| &of.path));
        paths.extend(self.time.iter().map(|of| &of.path));
        paths.extend(self.event_type.iter().filter_map(|of| of.path.as_ref()));
        paths.extend(self.severity.iter().map(|of| &of.path));
        paths.extend(self.count.iter().chain(&self.ecu).map(|of| &of.path));
        paths.extend(self.bus.iter().map(|of| &of.path));
        paths.extend(self.context.iter().map(|of| &of.path));
        paths.extend(&self.rest.except);
        paths.into_iter().map(|path| path.text().to_owned()).collect()
    }

    /// Gives every path that is read a number; paths that are only left out have none.
    pub(super) fn number(&mut self) -> Vec<Path> {
        let mut read = Vec::new();
        let fields = self.field.iter_mut().map(|of| &mut of.path);
        let single = (self.vehicle.iter_mut().map(|of| &mut of.path))
            .chain(self.time.iter_mut().map(|of| &mut of.path))
            .chain(self.event_type.iter_mut().filter_map(|of| of.path.as_mut()))
            .chain(self.severity.iter_mut().map(|of| &mut of.path))
            .chain(self.count.iter_mut().chain(&mut self.ecu).map(|of| &mut of.path))
            .chain(self.bus.iter_mut().map(|of| &mut of.path))
            .chain(self.context.iter_mut().map(|of| &mut of.path));
        let key = self.key.iter_mut().flat_map(|of| &mut of.paths);
        let payload = self.payload.iter_mut().map(|of| (&mut of.path, of.format_path.as_mut()));
        let payload = payload.flat_map(|(path, format)| std::iter::once(path).chain(format));
        let ignore = self.ignore.iter_mut().map(|of| &mut of.path);
        for path in fields.chain(single).chain(key).chain(payload).chain(ignore) {
            path.set_slot(read.len());
            read.push(path.clone());
        }
        read
    }
}
