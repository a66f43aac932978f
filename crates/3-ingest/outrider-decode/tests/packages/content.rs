//! The packages that ship: each is whole, and each does what its samples say.

use std::path::{Path, PathBuf};

use outrider_decode::{DecoderTable, Files, Package};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../content/decoders")
}

fn files(folder: &Path, prefix: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            self::files(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).expect("a file"));
        }
    }
}

fn packages() -> Vec<(PathBuf, Package)> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    let open = |folder: PathBuf| {
        let mut found = Files::new();
        files(&folder, "", &mut found);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            for name in found.keys().cloned().collect::<Vec<_>>() {
                if let Some(stem) = name.strip_suffix(".in") {
                    found.entry(format!("{stem}.json")).or_insert_with(|| b"{}".to_vec());
                }
            }
        }
        let package =
            Package::from_files(found).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        (folder, package)
    };
    folders.into_iter().map(open).collect()
}

#[test]
fn shipped_packages_do_what_their_samples_say() {
    let packages = packages();
    assert!(packages.len() >= 4, "{}", packages.len());
    for (folder, package) in &packages {
        let report = package.test();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            for outcome in &report.outcomes {
                let text = serde_json::to_string_pretty(&outcome.observed).expect("JSON") + "\n";
                std::fs::write(folder.join("golden").join(format!("{}.json", outcome.name)), text)
                    .expect("writes");
            }
        } else {
            assert!(report.is_passed(), "{}: {:#?}", folder.display(), report);
        }
    }
    let count = packages.len();
    let table = DecoderTable::new(packages.into_iter().map(|(_, package)| package));
    assert_eq!(table.packages().count(), count, "no two of one name");
}
