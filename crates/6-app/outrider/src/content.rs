//! Rules that the program brings along, and rules of a folder.

use std::path::Path;

use outrider_server::server::RuleText;
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
}
