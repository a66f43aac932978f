//! `outrider quarantine`: what was set aside, beside a server that runs or not.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use outrider_server::store::{QuarantineFilter, QuarantineStore as _, Scope, SqlStore, StoreResult};
use outrider_types::{Clock as _, TenantId};
use serde_json::json;

use super::{Failure, print, runtime};
use crate::ports::SystemClock;

/// Which installation.
#[derive(Debug, Args)]
struct Installation {
    /// Folder of the installation.
    #[arg(long, default_value = "outrider-data")]
    folder: PathBuf,
    /// Owner of the vehicles.
    #[arg(long, default_value_t = 1)]
    tenant: u32,
}

impl Installation {
    /// Opens the database, does something, and closes it.
    fn with<T>(&self, work: impl AsyncFnOnce(&SqlStore, Scope) -> StoreResult<T>) -> Result<T, Failure> {
        runtime()?.block_on(async {
            let store = SqlStore::of_folder(&self.folder).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(self.tenant), now: SystemClock.now() };
            let done = work(&store, scope).await;
            store.close().await;
            done.map_err(Failure::failed)
        })
    }
}

/// Lists what was set aside, shows its bytes, and has it taken again after a fix.
#[derive(Debug, Args)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Say how much was set aside, by reason, feed and format, and what the bounds are.
    ///
    /// JSON fields: as of the API's `QuarantineSummary`.
    List {
        #[command(flatten)]
        installation: Installation,
        /// List the newest entries instead, as many as this.
        #[arg(long)]
        entries: Option<u32>,
        /// Only of this reason.
        #[arg(long, requires = "entries")]
        reason: Option<String>,
        /// Only of this feed.
        #[arg(long, requires = "entries")]
        feed: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write the bytes of an entry to a file. They may name vehicles; that they were shown is in the audit trail.
    Show {
        #[command(flatten)]
        installation: Installation,
        /// Entry, as the list of entries shows it.
        id: i64,
        /// File to write, readable by its owner only.
        #[arg(long)]
        out: PathBuf,
    },
    /// Have entries taken again by the decoders of now; a server that runs does it within seconds.
    ///
    /// JSON fields: requested.
    Replay {
        #[command(flatten)]
        installation: Installation,
        /// Entries; all of a reason, feed or format if absent.
        #[arg(required_unless_present_any = ["reason", "feed", "format"])]
        ids: Vec<i64>,
        /// Only of this reason.
        #[arg(long)]
        reason: Option<String>,
        /// Only of this feed.
        #[arg(long)]
        feed: Option<String>,
        /// Only of this format.
        #[arg(long)]
        format: Option<String>,
    },
}

impl Quarantine {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::List { installation, entries: None, json, .. } => summary(&installation, json),
            Act::List { installation, entries: Some(count), reason, feed, json } => {
                let filter = QuarantineFilter { reason, feed, ..QuarantineFilter::default() };
                entries(&installation, &filter, count, json)
            }
            Act::Show { installation, id, out } => show(&installation, id, &out),
            Act::Replay { installation, ids, reason, feed, format } => {
                let filter = QuarantineFilter { ids, reason, feed, format, open: true };
                let requested = installation
                    .with(async |store, scope| store.request_replays(scope, &filter, "cli").await)?;
                print(&format!("{}\n", json!({ "requested": requested })))
            }
        }
    }
}

fn summary(installation: &Installation, as_json: bool) -> Result<(), Failure> {
    let summary = installation.with(async |store, scope| store.quarantine_summary(scope).await)?;
    if as_json {
        return print(&format!("{}\n", serde_json::to_string(&summary).map_err(Failure::failed)?));
    }
    let mut text = format!(
        "{} of at most {} entries, {} of at most {} bytes\n",
        summary.entries, summary.entries_max, summary.bytes, summary.bytes_max
    );
    for group in &summary.groups {
        text.push_str(&format!(
            "{:<28} {:<20} {:<20} {:>7} entries, {:>7} open, {:>8} units\n",
            group.reason,
            group.feed.as_deref().unwrap_or("-"),
            group.format.as_deref().unwrap_or("-"),
            group.entries,
            group.open,
            group.units
        ));
    }
    print(&text)
}

fn entries(
    installation: &Installation,
    filter: &QuarantineFilter,
    count: u32,
    as_json: bool,
) -> Result<(), Failure> {
    let page = installation
        .with(async |store, scope| store.quarantine(scope, filter, None, count.min(500)).await)?;
    if as_json {
        return print(&format!("{}\n", json!({ "items": page.items, "total": page.total })));
    }
    let lines: String = page
        .items
        .iter()
        .map(|item| {
            let state = if item.replayed_at.is_some() { "taken again" } else { "open" };
            format!(
                "{:>8} {:<28} {:<20} {state:<12} {}\n",
                item.id,
                item.reason,
                item.feed.as_deref().unwrap_or("-"),
                item.place
            )
        })
        .collect();
    print(&lines)
}

fn show(installation: &Installation, id: i64, out: &std::path::Path) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let content = installation.with(async |store, scope| store.quarantine_content(scope, id, "cli").await)?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    file.and_then(|mut file| file.write_all(&content))
        .map_err(|error| Failure::failed(format!("{}: {error}", out.display())))?;
    print(&format!("{} bytes written\n", content.len()))
}
