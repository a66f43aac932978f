//! Import of the vehicle registry: file → pseudonyms → case database, as a stream.
//!
//! **In:** bytes of a file that anybody may have written. **Out:** registered vehicles, and a report in which
//! rows = new + changed + unchanged + refused. **Never:** a VIN beyond this module; it goes into the vault, and what
//! comes back is the pseudonym.

use std::collections::BTreeMap;
use std::io::Read;

use h3o::{CellIndex, Resolution};
use outrider_ingest::registry::{
    FileEntry, FileError, FileOptions, FileProblem, FileRow, VehicleFile, VehicleName, VehiclePatch, Vin,
};
use outrider_types::VehicleId;
use tokio::sync::mpsc;

use crate::api::dto::{ImportProblem, VehicleImport};
use crate::store::{AuditEntry, MERGE_MAX, Merged, Scope, Store, StoreError};
use crate::vault::{Vault, VaultError};

/// Problems that a report spells out; the others are counted by reason.
pub const PROBLEMS_MAX: usize = 10_000;
/// Most vehicles of one file: the lines of their names are kept to find those that come twice, some 40 bytes each.
pub const VEHICLES_MAX: usize = 4_000_000;
/// Finest cell that is kept: hexagons of about 250 km² (PRIV).
pub const H3_RESOLUTION_MAX: u8 = 5;

/// How an import is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// How the file is read.
    pub file: FileOptions,
    /// Whether nothing is written; the report says what would be.
    pub is_dry: bool,
    /// Resolution to which H3 cells are rounded, 0 to [`H3_RESOLUTION_MAX`].
    pub h3_resolution: u8,
    /// User, or `cli`.
    pub by: String,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Rows done.
    pub rows: u64,
    /// Of these, refused.
    pub refused: u64,
}

/// Why an import ended before its file. What was written stays; the same file again goes on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(std::io::Error),
    /// Case database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A resolution that is finer than may be kept.
    #[error("H3 cells are rounded to resolution 0 to {H3_RESOLUTION_MAX}")]
    Resolution,
}

/// Where vehicles go.
#[derive(Clone, Copy)]
pub struct ImportTarget<'a> {
    /// Case database.
    pub store: &'a dyn Store,
    /// VIN vault; without one, rows with a VIN are refused.
    pub vault: Option<&'a Vault>,
    /// Tenant and time.
    pub scope: Scope,
}

/// Part of a file on its way from the reader to the database.
#[derive(Default)]
struct Chunk {
    entries: Vec<FileEntry>,
    bytes: u64,
    end: Option<Result<(), FileError>>,
}

/// Imports a file. Reading happens on a thread of its own; at most three parts of [`MERGE_MAX`] rows are in memory.
///
/// # Errors
/// [`ImportError`].
pub async fn import(
    reader: impl Read + Send + 'static,
    target: ImportTarget<'_>,
    options: &ImportOptions,
    progress: &mut (dyn FnMut(ImportProgress) + Send),
) -> Result<VehicleImport, ImportError> {
    let resolution = Some(options.h3_resolution).filter(|resolution| *resolution <= H3_RESOLUTION_MAX);
    let resolution = resolution.and_then(|resolution| Resolution::try_from(resolution).ok());
    let resolution = resolution.ok_or(ImportError::Resolution)?;
    let (sender, mut chunks) = mpsc::channel(1);
    let file = options.file;
    let reading = tokio::task::spawn_blocking(move || read(reader, file, &sender));
    let mut run =
        Run { target, is_dry: options.is_dry, resolution, seen: BTreeMap::new(), report: Report::default() };
    let mut at = ImportProgress::default();
    while let Some(chunk) = chunks.recv().await {
        run.take(chunk.entries).await?;
        at = ImportProgress { bytes: chunk.bytes, rows: run.report.import.rows, refused: run.report.refused };
        progress(at);
        match chunk.end {
            None | Some(Ok(())) => {}
            Some(Err(FileError::Structure(problem))) => run.report.import.unread = Some(shown(&problem)),
            Some(Err(FileError::Io(error))) => return Err(ImportError::Read(error)),
        }
    }
    reading.await.map_err(|error| ImportError::Read(std::io::Error::other(error)))?;
    let mut import = run.report.import;
    (import.bytes, import.dry_run) = (at.bytes, options.is_dry);
    import.problems.sort_by_key(|problem| problem.line);
    if !options.is_dry {
        let subject = format!(
            "{} new, {} changed, {} unchanged, {} refused",
            import.new, import.changed, import.unchanged, run.report.refused
        );
        let actor = options.by.clone();
        let outcome = if import.unread.is_some() { "cut_off" } else { "done" };
        let entry = AuditEntry { actor, action: "import_vehicles", subject, outcome };
        target.store.audit(target.scope, &entry).await?;
    }
    Ok(import)
}

/// Reads the file to its end, or until nobody wants it any more.
fn read(reader: impl Read, options: FileOptions, sender: &mpsc::Sender<Chunk>) {
    let mut file = match VehicleFile::open(reader, options) {
        Ok(file) => file,
        Err(error) => {
            let _ = sender.blocking_send(Chunk { end: Some(Err(error)), ..Chunk::default() });
            return;
        }
    };
    loop {
        let mut chunk = Chunk::default();
        while chunk.entries.len() < MERGE_MAX && chunk.end.is_none() {
            match file.next_entry() {
                Ok(Some(entry)) => chunk.entries.push(entry),
                Ok(None) => chunk.end = Some(Ok(())),
                Err(error) => chunk.end = Some(Err(error)),
            }
        }
        chunk.bytes = file.bytes();
        let is_over = chunk.end.is_some();
        if sender.blocking_send(chunk).is_err() || is_over {
            return;
        }
    }
}

/// Report in the making.
#[derive(Default)]
struct Report {
    import: VehicleImport,
    refused: u64,
}

impl Report {
    /// Counts a row under its first problem and spells out all of them.
    fn refuse(&mut self, problems: &[FileProblem]) {
        self.refused += 1;
        let first = problems.first().map_or("row.refused", |problem| problem.reason);
        *self.import.refused.entry(first.to_owned()).or_default() += 1;
        for problem in problems {
            if self.import.problems.len() < PROBLEMS_MAX {
                self.import.problems.push(shown(problem));
            } else {
                self.import.problems_left_out += 1;
            }
        }
    }

    fn refuse_row(&mut self, line: u64, reason: &'static str, text: String) {
        self.refuse(&[FileProblem { line, last_line: line, reason, text }]);
    }
}

fn shown(problem: &FileProblem) -> ImportProblem {
    ImportProblem {
        line: problem.line,
        last_line: Some(problem.last_line).filter(|last| *last > problem.line),
        reason: problem.reason.to_owned(),
        text: problem.text.clone(),
    }
}

/// State of one import.
struct Run<'a> {
    target: ImportTarget<'a>,
    is_dry: bool,
    resolution: Resolution,
    /// Lines of the vehicles that were taken. In a dry run a VIN without a pseudonym is kept under a stand-in.
    seen: BTreeMap<VehicleId, u64>,
    report: Report,
}

impl Run<'_> {
    async fn take(&mut self, entries: Vec<FileEntry>) -> Result<(), ImportError> {
        self.report.import.rows += entries.len() as u64;
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                FileEntry::Refused(problems) => self.report.refuse(&problems),
                FileEntry::Row(row) => match self.rounded(*row) {
                    Ok(row) => rows.push(row),
                    Err((line, reason, text)) => self.report.refuse_row(line, reason, text),
                },
            }
        }
        let named = self.named(rows).await?;
        let mut vehicles = Vec::with_capacity(named.len());
        for (line, id, patch) in named {
            if let Some(first) = self.seen.get(&id) {
                let text = format!("the vehicle stands in line {first} already");
                self.report.refuse_row(line, "row.twice", text);
            } else if self.seen.len() == VEHICLES_MAX {
                let text = format!("more than {VEHICLES_MAX} vehicles: use several files");
                self.report.refuse_row(line, "file.too_many", text);
            } else {
                self.seen.insert(id, line);
                vehicles.push((id, patch));
            }
        }
        let ImportTarget { store, scope, .. } = self.target;
        for merged in store.merge_vehicles(scope, &vehicles, self.is_dry).await? {
            match merged {
                Merged::New => self.report.import.new += 1,
                Merged::Changed => self.report.import.changed += 1,
                Merged::Unchanged => self.report.import.unchanged += 1,
            }
        }
        Ok(())
    }

    /// Checks the place and makes it as coarse as it may be kept.
    fn rounded(&self, mut row: FileRow) -> Result<FileRow, (u64, &'static str, String)> {
        if let Some(Some(cell)) = row.patch.h3 {
            let Ok(cell) = CellIndex::try_from(cell) else {
                return Err((row.line, "field.h3", "column h3: no cell of H3".to_owned()));
            };
            // A cell that is coarser already stays.
            let coarse = cell.parent(self.resolution).unwrap_or(cell);
            row.patch.h3 = Some(Some(u64::from(coarse)));
        }
        Ok(row)
    }

    /// Turns VINs into pseudonyms, in the order of the rows.
    async fn named(
        &mut self,
        rows: Vec<FileRow>,
    ) -> Result<Vec<(u64, VehicleId, VehiclePatch)>, ImportError> {
        let vins: Vec<&Vin> = rows.iter().filter_map(|row| vin_of(&row.name)).collect();
        let ImportTarget { vault, scope, .. } = self.target;
        let ids = match vault {
            None => vec![None; vins.len()],
            Some(_) if vins.is_empty() => Vec::new(),
            Some(vault) if self.is_dry => {
                vault.stand_ins(scope, &vins).await?.into_iter().map(Some).collect()
            }
            Some(vault) => vault.assign(scope, &vins).await?.into_iter().map(Some).collect(),
        };
        let mut ids = ids.into_iter();
        let mut named = Vec::with_capacity(rows.len());
        for FileRow { line, name, patch } in rows {
            let id = match name {
                VehicleName::Pseudonym(id) => Some(id),
                VehicleName::Vin(_) => ids.next().flatten(),
            };
            match id {
                Some(id) => named.push((line, id, patch)),
                None => {
                    let text = "a VIN needs the vault: make its key with `outrider vault init` and name it with --vault-key";
                    self.report.refuse_row(line, "vin.no_vault", text.to_owned());
                }
            }
        }
        Ok(named)
    }
}

const fn vin_of(name: &VehicleName) -> Option<&Vin> {
    match name {
        VehicleName::Vin(vin) => Some(vin),
        VehicleName::Pseudonym(_) => None,
    }
}

#[cfg(test)]
mod tests;
