//! `outrider decoder`: packages of foreign formats, on the engineer's machine.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use outrider_agent::model_file::open_secret;
use outrider_decode::{
    ArchiveError, FILES_MAX, Files, PACKAGE_BYTES_MAX, Package, PackageError, Shadow, ShadowReport, Trusted,
};
use outrider_gateway::Ed25519Verifier;
use outrider_types::Seed;
use outrider_wire::Verifier;
use serde_json::{Value, json};

use super::{Failure, print, read_capped};

/// Largest input of a shadow run, bytes: what a feed may send at once.
const INPUT_BYTES_MAX: u64 = 1 << 20;

/// Tests, compares and signs decoder packages.
///
/// A package is a folder with decoder.toml, a mapping, and golden samples; or such a folder packed into one signed file.
#[derive(Debug, Args)]
pub(crate) struct Decoder {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Check a package and decode its samples; also mutated ones, which must end in events and refusals.
    ///
    /// JSON fields: id, format, samples (name, differences), mutated (inputs, panics), passed. Exit code 1 if a sample
    /// differs or the decoder stopped on an input.
    Test {
        /// Folder or packed package.
        package: PathBuf,
        /// Write what the decoder makes of each sample as its expected result. Read the change before you commit it.
        #[arg(long)]
        update: bool,
        /// Mutated samples to decode, beside the samples.
        #[arg(long, default_value_t = 1_000)]
        mutations: u32,
        /// Seed of the mutations.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Decode the same inputs with two versions and count what differs.
    ///
    /// JSON fields: old, new, inputs, same, changed, lost, gained, refused, places, reasons, examples. Exit code 1 if the
    /// new version understands less than the old one.
    Shadow {
        /// The new version: folder or packed package.
        package: PathBuf,
        /// The version that is in use: folder or packed package.
        #[arg(long)]
        beside: PathBuf,
        /// Files, or folders of files, each an input; the samples of both packages if absent.
        #[arg(long)]
        input: Vec<PathBuf>,
        /// Take each line of a file as an input.
        #[arg(long)]
        lines: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Test a package and pack it into one signed file.
    Pack {
        /// Folder of the package.
        package: PathBuf,
        /// Secret Ed25519 key, PKCS#8, that nobody else may read.
        #[arg(long)]
        key: PathBuf,
        /// File to write; its name should end in .ordp.
        #[arg(long)]
        out: PathBuf,
    },
    /// Show what a package says of itself.
    Show {
        /// Folder or packed package.
        package: PathBuf,
    },
    /// List the functions of mappings in VRL.
    Functions,
}

impl Decoder {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::Test { package, update, mutations, seed, json } => {
                test(&package, update, (mutations, seed), json)
            }
            Act::Shadow { package, beside, input, lines, json } => {
                shadow(&package, &beside, &input, lines, json)
            }
            Act::Pack { package, key, out } => pack(&package, &key, &out),
            Act::Show { package } => print(&format!("{}\n", described(&open(&package)?))),
            Act::Functions => {
                let lines: String = outrider_decode::vrl_functions()
                    .into_iter()
                    .map(|(call, usage)| format!("{call:<32} {usage}\n"))
                    .collect();
                print(&lines)
            }
        }
    }
}

/// Reads the files of a folder that is a package; hidden files and folders are left out.
fn folder(path: &Path) -> Result<Files, Failure> {
    let fail = |path: &Path, error: std::io::Error| Failure::input(format!("{}: {error}", path.display()));
    let (mut files, mut bytes) = (Files::new(), 0);
    let mut folders = vec![(path.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| fail(&folder, error))? {
            let entry = entry.map_err(|error| fail(&folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            let kind = entry.file_type().map_err(|error| fail(&path, error))?;
            if kind.is_dir() {
                folders.push((path, format!("{name}/")));
            } else if kind.is_file() {
                let content = read_capped(&path, PACKAGE_BYTES_MAX - bytes)?;
                bytes += content.len();
                if files.len() == FILES_MAX {
                    return Err(Failure::input(PackageError::from(ArchiveError::Files)));
                }
                files.insert(name, content);
            }
        }
    }
    Ok(files)
}

/// Opens a folder or a packed package. The signature is checked; whose key it is says `show`.
fn open_signed(path: &Path) -> Result<(Package, Option<[u8; 32]>), Failure> {
    let place = |error: PackageError| Failure::input(format!("{}: {error}", path.display()));
    if path.is_dir() {
        return Ok((Package::from_files(folder(path)?).map_err(place)?, None));
    }
    let bytes = read_capped(path, PACKAGE_BYTES_MAX)?;
    let any: &Trusted<'_> = &|key| Some(Box::new(Ed25519Verifier::new(key).ok()?) as Box<dyn Verifier>);
    let (package, key) = Package::open(&bytes, any).map_err(place)?;
    Ok((package, Some(key)))
}

fn open(path: &Path) -> Result<Package, Failure> {
    open_signed(path).map(|(package, _)| package)
}

fn described(package: &Package) -> Value {
    let manifest = package.manifest();
    let release =
        |release: &Option<outrider_decode::Release>| release.as_ref().map(|release| release.0.clone());
    json!({
        "name": manifest.name, "version": manifest.version.to_string(), "format": manifest.format,
        "platforms": manifest.platforms, "releases": { "from": release(&manifest.releases.from), "to": release(&manifest.releases.to) },
        "namespace": manifest.namespace, "owner": manifest.owner, "licence": manifest.licence,
        "description": manifest.description, "files": package.files().keys().collect::<Vec<_>>(),
    })
}

/// Draws changes of samples; a seed names them on every machine.
struct Draw(Seed);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.below(bound as u64)).unwrap_or(0)
    }

    /// Cuts, flips, doubles or overwrites parts of an input.
    fn mutate(&mut self, input: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                2 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let part = bytes.get(at..end).unwrap_or_default().to_vec();
                    bytes.splice(at..at, part);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.0.next_u64().to_le_bytes()[0];
                    }
                }
            }
        }
        bytes
    }
}

/// Decodes mutated samples; returns how many the decoder stopped on.
fn mutated(package: &Package, count: u32, seed: u64) -> u64 {
    let inputs: Vec<&Vec<u8>> = package
        .files()
        .iter()
        .filter(|(name, _)| name.ends_with(".in"))
        .map(|(_, content)| content)
        .collect();
    let (decoder, mut draw, mut panics) = (package.decoder(), Draw(Seed::new(seed)), 0);
    for index in 0..count as usize {
        let Some(input) = inputs.get(index % inputs.len().max(1)) else { break };
        let decoded = decoder.decode(&draw.mutate(input));
        panics += decoded.refusals.iter().filter(|refusal| refusal.reason.ends_with(".panic")).count() as u64;
    }
    panics
}

fn test(path: &Path, update: bool, (mutations, seed): (u32, u64), as_json: bool) -> Result<(), Failure> {
    let package = open(path)?;
    let report = package.test();
    if update {
        if !path.is_dir() {
            return Err(Failure::input("--update needs the package's folder"));
        }
        for outcome in &report.outcomes {
            let file = path.join("golden").join(format!("{}.json", outcome.name));
            let text = serde_json::to_string_pretty(&outcome.observed).map_err(Failure::failed)?;
            fs::write(&file, text + "\n")
                .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
        }
        return print(&format!("{} expected results written\n", report.outcomes.len()));
    }
    let panics = mutated(&package, mutations, seed);
    let passed = report.is_passed() && panics == 0;
    let manifest = package.manifest();
    let id = format!("{}@{}", manifest.name, manifest.version);
    let mut text = String::new();
    for outcome in &report.outcomes {
        let word = if outcome.differences.is_empty() { "ok    " } else { "FAILED" };
        text.push_str(&format!("{word} {}\n", outcome.name));
        for difference in &outcome.differences {
            let side = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
            let (before, after) = (side(&difference.before), side(&difference.after));
            text.push_str(&format!("       {}: expected {before}, got {after}\n", difference.path));
        }
    }
    text.push_str(&format!(
        "{id}: {} samples, {mutations} mutated inputs, stopped on {panics}\n",
        report.outcomes.len()
    ));
    if as_json {
        let samples: Vec<Value> = report
            .outcomes
            .iter()
            .map(|outcome| {
                let differences: Vec<Value> = outcome
                    .differences
                    .iter()
                    .map(|it| json!({ "path": it.path, "expected": it.before, "observed": it.after }))
                    .collect();
                json!({ "name": outcome.name, "differences": differences })
            })
            .collect();
        let object = json!({
            "id": id, "format": manifest.format, "samples": samples,
            "mutated": { "inputs": mutations, "seed": seed, "panics": panics }, "passed": passed,
        });
        text = format!("{object}\n");
    }
    print(&text)?;
    if passed { Ok(()) } else { Err(Failure::failed(format!("{id} does not do what its samples say"))) }
}

/// Reads the inputs of a shadow run.
fn inputs(paths: &[PathBuf], lines: bool, take: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
    let fail = |path: &Path, error: std::io::Error| Failure::input(format!("{}: {error}", path.display()));
    let mut left: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = left.pop() {
        let meta = fs::metadata(&path).map_err(|error| fail(&path, error))?;
        if meta.is_dir() {
            let entries = fs::read_dir(&path).map_err(|error| fail(&path, error))?;
            let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            inner.sort();
            left.extend(inner.into_iter().rev());
        } else if lines {
            use std::io::BufRead as _;
            let file = fs::File::open(&path).map_err(|error| fail(&path, error))?;
            for line in std::io::BufReader::new(file).split(b'\n') {
                take(&line.map_err(|error| fail(&path, error))?);
            }
        } else if meta.len() <= INPUT_BYTES_MAX {
            take(&fs::read(&path).map_err(|error| fail(&path, error))?);
        } else {
            return Err(Failure::input(format!(
                "{}: more than {INPUT_BYTES_MAX} bytes; try --lines",
                path.display()
            )));
        }
    }
    Ok(())
}

fn shadow(new: &Path, old: &Path, paths: &[PathBuf], lines: bool, as_json: bool) -> Result<(), Failure> {
    let (new, old) = (open(new)?, open(old)?);
    if new.manifest().format != old.manifest().format {
        let formats = format!("{} and {}", old.manifest().format, new.manifest().format);
        return Err(Failure::input(format!("the packages decode different formats: {formats}")));
    }
    let (before, after) = (old.decoder(), new.decoder());
    let mut run = Shadow::new(before.as_ref(), after.as_ref());
    if paths.is_empty() {
        let samples = |package: &Package| -> Vec<Vec<u8>> {
            package
                .files()
                .iter()
                .filter(|(name, _)| name.ends_with(".in"))
                .map(|(_, it)| it.clone())
                .collect()
        };
        let mut all = samples(&old);
        all.extend(samples(&new));
        all.sort();
        all.dedup();
        all.iter().for_each(|input| run.input(input));
    } else {
        inputs(paths, lines, &mut |input| run.input(input))?;
    }
    let report = run.finish();
    print(&shown(&report, before.id(), after.id(), as_json))?;
    if report.lost > 0 {
        return Err(Failure::failed(format!("{} documents are understood no more", report.lost)));
    }
    Ok(())
}

fn shown(report: &ShadowReport, old: &str, new: &str, as_json: bool) -> String {
    if as_json {
        let examples: Vec<Value> = report
            .examples
            .iter()
            .map(|(input, it)| json!({ "input": input, "path": it.path, "old": it.before, "new": it.after }))
            .collect();
        let object = json!({
            "old": old, "new": new, "inputs": report.inputs, "same": report.same, "changed": report.changed,
            "lost": report.lost, "gained": report.gained, "refused": report.refused, "places": report.places,
            "reasons": report.reasons, "examples": examples,
        });
        return format!("{object}\n");
    }
    let mut text = format!(
        "{old} → {new}: {} inputs; {} documents the same, {} changed, {} lost, {} gained, {} understood by neither\n",
        report.inputs, report.same, report.changed, report.lost, report.gained, report.refused
    );
    for (place, count) in &report.places {
        text.push_str(&format!("{count:>10} {place}\n"));
    }
    for (input, it) in &report.examples {
        let side = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        text.push_str(&format!("  input {input}, {}: {} → {}\n", it.path, side(&it.before), side(&it.after)));
    }
    text
}

fn pack(path: &Path, key: &Path, out: &Path) -> Result<(), Failure> {
    let package = Package::from_files(folder(path)?)
        .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    // What does not do what its samples say is not signed.
    if !package.test().is_passed() {
        return Err(Failure::failed(
            "a sample is not decoded as expected; `outrider decoder test` says where",
        ));
    }
    let signer = open_secret(key).map_err(|error| Failure::input(error.to_string()))?;
    let bytes = package.pack(signer.public_key(), &signer).map_err(Failure::failed)?;
    fs::write(out, &bytes).map_err(|error| Failure::failed(format!("{}: {error}", out.display())))?;
    let object =
        json!({ "package": described(&package), "key": hex(&signer.public_key()), "bytes": bytes.len() });
    print(&format!("{object}\n"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
