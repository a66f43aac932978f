//! What must hold for the parts of any package; the fuzz target `decoder_package` uses this file as it is.

use outrider_decode::{FieldMap, JsonSpec, Layout, Mapping, Package, ReadLimits, Reader, VrlMap};
use outrider_wire::Verifier;

struct Anybody;

impl Verifier for Anybody {
    fn verify(&self, _: &[u8], _: &[u8; 64]) -> bool {
        true
    }
}

fn texts(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

fn map_all(mapping: &dyn Mapping, input: &[u8]) {
    for item in JsonSpec::default().read(input, &ReadLimits::default()) {
        if let Ok(doc) = item.doc {
            let _ = mapping.map(doc);
        }
    }
}

/// The first byte chooses the part: a table, a program or a layout, a zero byte, and an input; or a packed package.
/// Returns whether the part could be used.
pub(crate) fn decoder_package(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    match kind {
        b't' => texts(rest)
            .is_some_and(|(text, input)| FieldMap::parse(text).map(|map| map_all(&map, input)).is_ok()),
        b'p' => texts(rest).is_some_and(|(text, input)| {
            VrlMap::compile(text, "fuzz").map(|map| map_all(&map, input)).is_ok()
        }),
        b'l' => texts(rest).is_some_and(|(text, input)| {
            let limits = ReadLimits::default();
            Layout::parse(text)
                .map(|layout| assert!(layout.read(input, &limits).len() <= limits.documents_max + 1))
                .is_ok()
        }),
        b'a' => {
            let opened = Package::open(rest, &|_| Some(Box::new(Anybody) as Box<dyn Verifier>));
            opened.map(|(package, _)| package.test()).is_ok()
        }
        _ => false,
    }
}
