//! `outrider feed`: who may send foreign events, beside a server that runs or not.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use outrider_decode::VehicleName;
use outrider_ingest::FeedId;
use outrider_ingest::registry::Vin;
use outrider_lake::{Lake, LakeConfig};
use outrider_server::api::dto::CreateFeedRequest;
use outrider_server::embedded::LakeHistory;
use outrider_server::feeds::{new_token, secret_hash};
use outrider_server::identity::CLI;
use outrider_server::port::EventHistory as _;
use outrider_server::store::{
    AuditEntry, FeedSetup, FeedStore as _, IdentityStore as _, Scope, SqlStore, StoreResult, StoredFeed,
};
use outrider_server::vehicle::open_name_key;
use outrider_types::{Clock as _, TenantId, VehicleId};
use serde_json::{Value, json};

use super::provision::random_key;
use super::vault::{NEEDS_KEY, VaultFiles};
use super::{Failure, print, runtime};
use crate::ports::{SystemClock, SystemRandom};

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

/// Registers, lists and disables feeds of foreign events. A server that runs follows within five seconds.
#[derive(Debug, Args)]
pub(crate) struct Feed {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Register a feed and print its credential, which is shown once.
    ///
    /// JSON fields: feed, token.
    Add(Box<Add>),
    /// List feeds.
    List {
        #[command(flatten)]
        installation: Installation,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Refuse the requests of a feed from now on; what it sent before is worked off.
    Disable(Change),
    /// Take the requests of a feed again.
    Enable(Change),
    /// Give a feed another credential, which is shown once; the one before is void at once.
    Rotate {
        #[command(flatten)]
        installation: Installation,
        /// Feed.
        name: String,
    },
    /// Print the pseudonyms of vehicles: reads names from standard input, one a line.
    Pseudonym {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        vault: VaultFiles,
        /// Feed whose own names they are; without it they are VINs.
        #[arg(long)]
        feed: Option<String>,
    },
    /// List types of events that the catalogue does not have, by feed and platform.
    ///
    /// JSON fields: types (foreign_type, feed, platform, events, vehicles, first_at, last_at).
    Unknown {
        #[command(flatten)]
        installation: Installation,
        /// Days back.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    installation: Installation,
    /// Name: a-z, 0-9, '.', '_' and '-', beginning with a letter.
    name: String,
    /// Format of its bodies, as decoder packages name it.
    #[arg(long)]
    format: String,
    /// Platform of its vehicles, to choose among decoders.
    #[arg(long)]
    platform: Option<String>,
    /// Software release of its vehicles, to choose among decoders.
    #[arg(long)]
    release: Option<String>,
    /// Largest body, bytes, after decompression.
    #[arg(long)]
    body_bytes_max: Option<u32>,
    /// Most requests a minute.
    #[arg(long)]
    requests_per_minute_max: Option<u32>,
    /// Half the interval around times of which the source does not say how well it knows them, seconds.
    #[arg(long)]
    clock_error_s: Option<u32>,
    /// Take events of vehicles that nobody registered, too.
    #[arg(long)]
    take_unregistered: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    installation: Installation,
    /// Feed.
    name: String,
    /// Why; goes into the audit trail.
    #[arg(long)]
    reason: String,
}

impl Feed {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::Add(add) => add.run(),
            Act::List { installation, json } => list(&installation, json),
            Act::Disable(change) => change.run(false),
            Act::Enable(change) => change.run(true),
            Act::Rotate { installation, name } => {
                let token = new_token(&SystemRandom);
                installation.with(async |store, scope| {
                    store.change_feed_secret(scope, &name, &secret_hash(&token), "cli").await
                })?;
                print(&format!("token {token}  (shown once)\n"))
            }
            Act::Unknown { installation, days, json } => unknown(&installation, days, json),
            Act::Pseudonym { installation, vault, feed } => {
                pseudonyms(&installation, &vault, feed.as_deref())
            }
        }
    }
}

impl Add {
    fn run(self) -> Result<(), Failure> {
        let setup = FeedSetup::try_from(CreateFeedRequest {
            name: self.name,
            format: self.format,
            platform: self.platform,
            release: self.release,
            body_bytes_max: self.body_bytes_max,
            requests_per_minute_max: self.requests_per_minute_max,
            clock_error_s: self.clock_error_s,
            takes_unregistered: self.take_unregistered,
        })
        .map_err(Failure::input)?;
        let token = new_token(&SystemRandom);
        let feed = self
            .installation
            .with(async |store, scope| store.create_feed(scope, &setup, &secret_hash(&token), "cli").await)?;
        if self.json {
            return print(&format!("{}\n", json!({ "feed": shown(&feed), "token": token })));
        }
        print(&format!("feed {} takes {}\ntoken {token}  (shown once)\n", setup.name, setup.format))
    }
}

impl Change {
    fn run(self, enabled: bool) -> Result<(), Failure> {
        let reason = self.reason.trim();
        if reason.is_empty() || reason.chars().count() > 500 {
            return Err(Failure::input("a reason has 1 to 500 characters"));
        }
        self.installation
            .with(async |store, scope| store.enable_feed(scope, &self.name, enabled, "cli", reason).await)?;
        print(&format!("feed {} is {}\n", self.name, if enabled { "enabled" } else { "disabled" }))
    }
}

fn list(installation: &Installation, as_json: bool) -> Result<(), Failure> {
    let feeds = installation.with(async |store, scope| store.feeds(scope).await)?;
    if as_json {
        return print(&format!("{}\n", json!({ "feeds": feeds.iter().map(shown).collect::<Vec<_>>() })));
    }
    let lines: String = feeds
        .iter()
        .map(|feed| {
            let state = if feed.enabled { "enabled" } else { "disabled" };
            format!("{:<32} {:<24} {state}\n", feed.setup.name, feed.setup.format)
        })
        .collect();
    print(&lines)
}

fn shown(feed: &StoredFeed) -> Value {
    let setup = &feed.setup;
    json!({
        "name": setup.name, "format": setup.format, "platform": setup.platform, "release": setup.release,
        "enabled": feed.enabled, "body_bytes_max": setup.body_bytes_max,
        "requests_per_minute_max": setup.requests_per_minute_max, "clock_error_s": setup.clock_error_s,
        "takes_unregistered": setup.takes_unregistered, "created_by": feed.created_by,
    })
}

fn unknown(installation: &Installation, days: u32, as_json: bool) -> Result<(), Failure> {
    let runtime = runtime()?;
    let location = installation.folder.join("lake");
    let lake = Lake::open_read_only(&LakeConfig::new(location.to_string_lossy()), runtime.handle().clone())
        .map_err(|error| Failure::input(format!("{}: {error}", location.display())))?;
    let history = LakeHistory::new(lake, Arc::new(SystemClock), TenantId(installation.tenant));
    let since = SystemClock.now().saturating_add(-i64::from(days) * 86_400_000_000);
    let types = runtime.block_on(history.unclassified(since)).map_err(Failure::failed)?;
    if as_json {
        return print(&format!("{}\n", json!({ "types": types })));
    }
    let mut text = format!("{} types in {days} days\n", types.len());
    for it in &types {
        text.push_str(&format!(
            "{:<40} {:<20} {:<20} {:>9} events, {:>7} vehicles\n",
            it.foreign_type,
            it.feed,
            it.platform.as_deref().unwrap_or("-"),
            it.events,
            it.vehicles
        ));
    }
    print(&text)
}

/// Longest name that is read: a VIN has 17 letters, a foreign name 64 bytes.
const LINE_BYTES_MAX: u64 = 256;

fn pseudonyms(installation: &Installation, files: &VaultFiles, feed: Option<&str>) -> Result<(), Failure> {
    if feed.is_none() && files.needs_key(&installation.folder) {
        return Err(Failure::input(NEEDS_KEY));
    }
    let Some(name) = feed else { return vins(installation, files) };
    let key =
        open_name_key(&installation.folder.join("secrets"), &mut random_key).map_err(Failure::failed)?;
    let feeds = installation.with(async |store, scope| store.feeds(scope).await)?;
    let found = feeds.iter().find(|feed| feed.setup.name == name);
    let number = FeedId(found.ok_or_else(|| Failure::input(format!("there is no feed {name}")))?.number);
    each_line(|name| Ok(key.of_name(TenantId(installation.tenant), number, &VehicleName::Foreign(name))))
}

/// Prints the pseudonyms of VINs: the vault's where there is one, hashes under the key of names where there is none.
fn vins(installation: &Installation, files: &VaultFiles) -> Result<(), Failure> {
    let tenant = TenantId(installation.tenant);
    let parsed = |name: &str| {
        let name = VehicleName::vin(name);
        name.ok_or_else(|| Failure::input("a line is no VIN"))
    };
    let runtime = runtime()?;
    let Some(vault) = runtime.block_on(files.open(&installation.folder))? else {
        let key =
            open_name_key(&installation.folder.join("secrets"), &mut random_key).map_err(Failure::failed)?;
        return each_line(|name| Ok(key.of_name(tenant, FeedId(0), &parsed(&name)?)));
    };
    let entry = AuditEntry {
        actor: CLI.to_owned(),
        action: "name_vins",
        subject: "pseudonyms of VINs from standard input".to_owned(),
        outcome: "done",
    };
    installation.with(async |store, scope| store.audit(scope, &entry).await)?;
    let done = each_line(|name| {
        let VehicleName::Vin(vin) = parsed(&name)? else { return Err(Failure::input("a line is no VIN")) };
        let vin = Vin::from_stored(vin.as_bytes()).ok_or_else(|| Failure::input("a line is no VIN"))?;
        let scope = Scope { tenant, now: SystemClock.now() };
        let ids = runtime.block_on(vault.assign(scope, &[&vin])).map_err(Failure::failed)?;
        ids.first().copied().ok_or_else(|| Failure::failed("a name has no pseudonym"))
    });
    runtime.block_on(vault.close());
    done
}

/// Reads standard input line by line and prints what comes of each.
fn each_line(mut named: impl FnMut(String) -> Result<VehicleId, Failure>) -> Result<(), Failure> {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = String::new();
        let read = std::io::Read::take(&mut input, LINE_BYTES_MAX).read_line(&mut line);
        if read.map_err(Failure::failed)? == 0 {
            return Ok(());
        }
        print(&format!("{}\n", named(line.trim().to_owned())?))?;
    }
}
