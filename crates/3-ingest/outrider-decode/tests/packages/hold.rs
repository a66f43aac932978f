//! What must hold for the parts of any package; the fuzz target `decoder_package` uses this file as it is.

use outrider_decode::{
    Decoded, FieldMap, Files, JsonSpec, Layout, Mapping, Package, ReadLimits, Reader, Refusal, VrlMap,
};
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

fn package(table: &str, framing: &str) -> Option<Package> {
    let manifest = format!(
        "name = \"fuzz\"\nversion = \"1.0.0\"\nformat = \"fuzz\"\nnamespace = \"fuzz\"\nowner = \"o\"\nlicence = \"l\"\n\
         mapping = \"mapping.toml\"\n[reader]\nformat = \"json\"\nframing = \"{framing}\"\n"
    );
    let files = [
        ("decoder.toml", manifest.as_str()),
        ("mapping.toml", table),
        ("golden/empty.in", ""),
        ("golden/empty.json", "{}"),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    Package::from_files(Files::from(files)).ok()
}

/// Lines decoded together, which mostly goes without documents, give what each gives alone, which never does. Returns how
/// many lines there were.
pub(crate) fn lines_as_alone(table: &str, input: &[u8]) -> usize {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    let (Some(together), Some(alone)) = (package(table, "lines"), package(table, "object")) else { return 0 };
    let lines: Vec<&[u8]> = input
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.strip_prefix(MARK).unwrap_or(line).iter().all(|byte| b" \t\r".contains(byte)))
        .collect();
    // A byte order mark is one only at the beginning of an input.
    let marked = lines.iter().position(|line| line.starts_with(MARK));
    let is_odd = marked.is_some() && (marked != Some(0) || !input.starts_with(MARK));
    if is_odd || lines.iter().skip(1).any(|line| line.starts_with(MARK)) || lines.len() > 1_000 {
        return 0;
    }
    let mut expected = Decoded::default();
    for (index, line) in lines.iter().enumerate() {
        let decoded = alone.decoder().decode(line);
        expected.outputs.extend(decoded.outputs.into_iter().map(|(_, output)| (index, output)));
        for refusal in decoded.refusals {
            expected.refusals.push(Refusal { number: index, of: index..index + 1, ..refusal });
        }
        expected.ignored += decoded.ignored;
        decoded.notes.iter().for_each(|(note, count)| *expected.notes.entry(*note).or_default() += count);
    }
    assert_eq!(together.decoder().decode(input), expected);
    lines.len()
}

/// The first byte chooses the part: a table, a program or a layout, a zero byte, and an input; or a packed package.
/// Returns whether the part could be used.
pub(crate) fn decoder_package(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    match kind {
        b't' => texts(rest).is_some_and(|(text, input)| {
            lines_as_alone(text, input);
            FieldMap::parse(text).map(|map| map_all(&map, input)).is_ok()
        }),
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
