//! Rules and decoders that the program brings along, and those of a folder.

use std::path::Path;

use outrider_decode::{Files, PACKAGE_BYTES_MAX, Package};
use outrider_gateway::Ed25519Verifier;
use outrider_server::server::RuleText;
use outrider_wire::Verifier;
use rust_embed::RustEmbed;

use crate::cli::Failure;

#[derive(RustEmbed)]
#[folder = "../../../content/rules"]
struct Shipped;

/// Returns the rules of a folder, or the shipped ones.
///
/// # Errors
/// The folder or a file cannot be read.
pub(crate) fn rules(folder: Option<&Path>) -> Result<Vec<RuleText>, Failure> {
    let Some(folder) = folder else { return Ok(shipped()) };
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::input(format!("{}: {error}", folder.display())))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "yml" || end == "yaml"))
        .map(|path| {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(RuleText { name, text })
        })
        .collect()
}

fn shipped() -> Vec<RuleText> {
    Shipped::iter()
        .filter(|name| !name.contains('/') && name.ends_with(".yml"))
        .filter_map(|name| {
            let file = Shipped::get(&name)?;
            Some(RuleText { name: name.into_owned(), text: String::from_utf8_lossy(&file.data).into_owned() })
        })
        .collect()
}

#[derive(RustEmbed)]
#[folder = "../../../content/decoders"]
struct ShippedDecoders;

/// Returns the shipped decoders, and those of a folder that one of the keys signed.
///
/// # Errors
/// The folder cannot be read, or a file in it is no package that may be used: nothing is left out silently.
pub(crate) fn decoders(folder: Option<&Path>, keys: &[[u8; 32]]) -> Result<Vec<Package>, Failure> {
    let mut packages = shipped_decoders()?;
    let Some(folder) = folder else { return Ok(packages) };
    let fail =
        |path: &Path, why: &dyn std::fmt::Display| Failure::input(format!("{}: {why}", path.display()));
    let entries = std::fs::read_dir(folder).map_err(|error| fail(folder, &error))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "ordp")) {
        let bytes = crate::cli::read_capped(&path, PACKAGE_BYTES_MAX)?;
        let trusted = |key: &[u8; 32]| {
            let known = keys.contains(key).then(|| Ed25519Verifier::new(key).ok()).flatten()?;
            Some(Box::new(known) as Box<dyn Verifier>)
        };
        let (package, _) = Package::open(&bytes, &trusted).map_err(|error| fail(&path, &error))?;
        if !package.test().is_passed() {
            return Err(fail(&path, &"a sample is not decoded as expected"));
        }
        packages.push(package);
    }
    Ok(packages)
}

fn shipped_decoders() -> Result<Vec<Package>, Failure> {
    let mut folders: std::collections::BTreeMap<String, Files> = std::collections::BTreeMap::new();
    for name in ShippedDecoders::iter() {
        let Some((package, file)) = name.split_once('/') else { continue };
        let Some(content) = ShippedDecoders::get(&name) else { continue };
        folders.entry(package.to_owned()).or_default().insert(file.to_owned(), content.data.into_owned());
    }
    let package = |(name, files): (String, Files)| {
        Package::from_files(files)
            .map_err(|error| Failure::failed(format!("shipped decoder {name}: {error}")))
    };
    folders.into_iter().map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_load_without_an_error_and_are_at_least_eight() {
        let rules = shipped();
        let files: Vec<_> = rules
            .iter()
            .map(|rule| outrider_rules::RuleFile { name: &rule.name, text: &rule.text })
            .collect();
        let loaded = outrider_rules::load(&files);
        assert_eq!(loaded.errors().count(), 0);
        assert!(loaded.rules.rules().len() + loaded.rules.correlations().len() >= 8);
    }

    #[test]
    fn the_shipped_decoders_pass_their_samples_and_others_need_a_key_that_is_known() {
        let shipped = decoders(None, &[]).expect("they are packages");
        assert!(shipped.len() >= 5 && shipped.iter().all(|package| package.test().is_passed()));
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("notes.txt"), "no package").expect("a file");
        assert_eq!(decoders(Some(folder.path()), &[]).expect("nothing more").len(), shipped.len());
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let packed = shipped[0].pack(public, &Key(key)).expect("it packs");
        std::fs::write(folder.path().join("one.ordp"), packed).expect("a file");
        assert!(decoders(Some(folder.path()), &[[8; 32]]).is_err());
        assert_eq!(decoders(Some(folder.path()), &[public]).expect("it is signed").len(), shipped.len() + 1);
    }

    struct Key(ed25519_dalek::SigningKey);

    impl outrider_wire::Signer for Key {
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], outrider_wire::SignerError> {
            use ed25519_dalek::Signer as _;
            Ok(self.0.sign(message).to_bytes())
        }
    }
}
