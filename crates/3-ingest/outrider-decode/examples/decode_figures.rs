//! Documents decoded a CPU second by the shipped packages, over their own first samples repeated.
//!
//! `cargo run --release -p outrider-decode --example decode_figures`

use std::path::Path;
use std::time::Instant;

use outrider_decode::{Files, Package};

#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example that measures and speaks to a terminal"
)]
fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../content/decoders");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").flatten().map(|it| it.path()).collect();
    names.sort();
    for path in names {
        let mut files = Files::new();
        read(&path, "", &mut files);
        let package = Package::from_files(files).expect("a package");
        let decoder = package.decoder();
        let sample =
            package.files().iter().rev().find(|(name, _)| name.ends_with(".in")).expect("a sample").1.clone();
        let (begun, mut documents, mut bytes) = (Instant::now(), 0, 0);
        while begun.elapsed().as_millis() < 1_000 {
            let decoded = decoder.decode(&sample);
            documents += decoded.outputs.len() + decoded.refusals.len();
            bytes += sample.len();
        }
        let seconds = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let (rate, mib) = (documents as f64 / seconds, bytes as f64 / seconds / 1_048_576.0);
        println!("{:<28} {rate:>12.0} documents/s {mib:>8.1} MiB/s", decoder.id());
    }
}

fn read(folder: &Path, prefix: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).expect("a file"));
        }
    }
}
