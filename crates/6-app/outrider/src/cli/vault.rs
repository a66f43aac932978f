//! `outrider vault`: the VIN vault and its master key.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use outrider_ingest::NameKey;
use outrider_server::identity::CLI;
use outrider_server::store::{AuditEntry, FeedStore as _, IdentityStore as _, Scope, SqlStore};
use outrider_server::vault::{Linking, MasterKey, Vault, VaultConfig, VaultError};
use outrider_server::vehicle::open_name_key;
use outrider_types::{Clock as _, TenantId, VehicleId};

use super::provision::random_key;
use super::vehicle::Installation;
use super::{Failure, print, runtime};
use crate::ports::{SystemClock, SystemRandom};

/// What is said where a vault would be passed over.
pub(crate) const NEEDS_KEY: &str = "the installation has a VIN vault: name its key with --vault-key";

/// Longest file of a key.
const KEY_BYTES_MAX: u64 = 1024;

/// Which vault, and what opens it.
#[derive(Debug, Args)]
pub(crate) struct VaultFiles {
    /// Master key of the VIN vault: a file of mode 0600 that `outrider vault init` made, or a descriptor such as
    /// /dev/fd/3. There is no default.
    #[arg(long, value_name = "FILE")]
    vault_key: Option<PathBuf>,
    /// File of the VIN vault; `vault/vins.sqlite` in the installation's folder if absent.
    #[arg(long, value_name = "FILE", requires = "vault_key")]
    vault: Option<PathBuf>,
}

impl VaultFiles {
    /// Reads the master key, if one is named.
    ///
    /// # Errors
    /// The file cannot be read, is open to others, or holds no key.
    pub(crate) fn config(&self, folder: &Path) -> Result<Option<VaultConfig>, Failure> {
        let Some(key) = &self.vault_key else { return Ok(None) };
        let path = self.vault.clone().unwrap_or_else(|| vault_path(folder));
        Ok(Some(VaultConfig { path, master: Arc::new(read_key(key)?) }))
    }

    /// Whether the installation has a vault that would be passed over, because its key is not named: vehicles would get
    /// pseudonyms that are not the vault's.
    pub(crate) fn needs_key(&self, folder: &Path) -> bool {
        self.vault_key.is_none() && vault_path(folder).exists()
    }

    /// Opens the vault, if its key is named.
    ///
    /// # Errors
    /// As [`VaultFiles::config`]; the key is not the vault's.
    pub(crate) async fn open(&self, folder: &Path) -> Result<Option<Vault>, Failure> {
        let Some(config) = self.config(folder)? else { return Ok(None) };
        let vault = config.open(Arc::new(SystemRandom)).await;
        vault.map(Some).map_err(|error| Failure::failed(format!("{}: {error}", config.path.display())))
    }
}

/// Where the vault is if nobody says otherwise.
fn vault_path(folder: &Path) -> PathBuf {
    folder.join("vault").join("vins.sqlite")
}

/// Reads a master key.
fn read_key(path: &Path) -> Result<MasterKey, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", path.display()));
    let file = fs::File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_file() && about.permissions().mode() & 0o077 != 0 {
        return Err(Failure::input(format!("{}: others may use it; its mode must be 0600", path.display())));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    MasterKey::parse(&text).ok_or_else(|| Failure::input(format!("{}: holds no master key", path.display())))
}

/// Keeps VINs apart: makes the vault and its key, begins epochs, destroys mappings.
#[derive(Debug, Args)]
pub(crate) struct VaultCommand {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make a master key and the vault that it opens. Keep a copy of the key elsewhere: without it no VIN comes back.
    Init {
        /// Folder of the installation.
        #[arg(long, default_value = "outrider-data")]
        folder: PathBuf,
        /// File to write the key to, with mode 0600; must not exist, and must not lie in the installation's folder.
        #[arg(long, value_name = "FILE")]
        vault_key: PathBuf,
        /// File of the vault; `vault/vins.sqlite` in the installation's folder if absent.
        #[arg(long, value_name = "FILE")]
        vault: Option<PathBuf>,
        /// Owner of the vehicles.
        #[arg(long, default_value_t = 1)]
        tenant: u32,
        /// What becomes of vehicles that feeds have named by VIN without a vault; must be said where there are feeds.
        /// `keep` makes their pseudonyms those of the vault's first epoch; with `break` they are other vehicles from now on.
        #[arg(long, value_name = "LINKING")]
        feeds: Option<Word>,
    },
    /// Begin the next epoch: new VINs get their pseudonyms with a new key; old pseudonyms resolve as before.
    Rotate {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        files: VaultFiles,
        /// What becomes of vehicles that are known: keep their pseudonym, or break with it at their next import.
        linking: Word,
        /// Why; goes into the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Destroy what leads from a vehicle's pseudonyms to its VIN, for good.
    Shred {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        files: VaultFiles,
        /// Any of its pseudonyms.
        vehicle: VehicleId,
        /// Why; goes into the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Print all pseudonyms of a vehicle, by epoch.
    Linked {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        files: VaultFiles,
        /// Any of its pseudonyms.
        vehicle: VehicleId,
        /// Why; goes into the audit trail.
        #[arg(long)]
        reason: String,
    },
}

/// What becomes of pseudonyms when an epoch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    Keep,
    Break,
}

impl VaultCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::Init { folder, vault_key, vault, tenant, feeds } => {
                init(&folder, &vault_key, vault, (TenantId(tenant), feeds))
            }
            Act::Rotate { installation, files, linking, reason } => {
                let linking = match linking {
                    Word::Keep => Linking::Keep,
                    Word::Break => Linking::Break,
                };
                rotate(&installation, &files, linking, &reason)
            }
            Act::Shred { installation, files, vehicle, reason } => {
                shred(&installation, &files, vehicle, &reason)
            }
            Act::Linked { installation, files, vehicle, reason } => {
                linked(&installation, &files, vehicle, &reason)
            }
        }
    }
}

/// Reads the key under which feeds' VINs have been hashed so far, if they are to keep those pseudonyms.
fn former_names(folder: &Path, tenant: TenantId, feeds: Option<Word>) -> Result<Option<NameKey>, Failure> {
    let known = if SqlStore::is_in(folder) {
        runtime()?.block_on(async {
            let store = SqlStore::of_folder(folder).await.map_err(Failure::failed)?;
            let feeds = store.feeds(Scope { tenant, now: SystemClock.now() }).await;
            store.close().await;
            feeds.map_err(Failure::failed)
        })?
    } else {
        Vec::new()
    };
    match (known.is_empty(), feeds) {
        (true, _) | (false, Some(Word::Break)) => Ok(None),
        (false, Some(Word::Keep)) => {
            open_name_key(&folder.join("secrets"), &mut random_key).map(Some).map_err(Failure::failed)
        }
        (false, None) => Err(Failure::input(format!(
            "{} feeds name vehicles here: say --feeds keep, or --feeds break to give their vehicles other pseudonyms",
            known.len()
        ))),
    }
}

fn init(
    folder: &Path,
    key: &Path,
    vault: Option<PathBuf>,
    (tenant, feeds): (TenantId, Option<Word>),
) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = vault.unwrap_or_else(|| vault_path(folder));
    if path.exists() {
        return Err(Failure::failed(format!("{}: there is a vault already", path.display())));
    }
    fs::create_dir_all(folder).map_err(Failure::failed)?;
    let home = fs::canonicalize(folder).map_err(Failure::failed)?;
    let beside = key.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside =
        fs::canonicalize(beside).map_err(|error| Failure::input(format!("{}: {error}", beside.display())))?;
    if beside.starts_with(&home) {
        return Err(Failure::input(
            "the key must not lie in the installation's folder, beside what it protects",
        ));
    }
    let former = former_names(folder, tenant, feeds)?;
    let master = MasterKey::generate(&SystemRandom);
    let text = zeroize::Zeroizing::new(format!("{}\n", master.expose_text().as_str()));
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(key);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| Failure::failed(format!("{}: {error}", key.display())))?;
    runtime()?.block_on(async {
        let vault =
            Vault::open(&path, Arc::new(master), Arc::new(SystemRandom)).await.map_err(Failure::failed)?;
        let scope = Scope { tenant, now: SystemClock.now() };
        let taken = match &former {
            Some(names) => vault.take_over(scope, names).await,
            None => Ok(()),
        };
        vault.close().await;
        taken.map_err(Failure::failed)
    })?;
    print(&format!("vault {}\nkey   {}  (keep a copy elsewhere)\n", path.display(), key.display()))
}

fn rotate(
    installation: &Installation,
    files: &VaultFiles,
    linking: Linking,
    reason: &str,
) -> Result<(), Failure> {
    let how = match linking {
        Linking::Keep => "keeps",
        Linking::Break => "breaks",
    };
    trace(installation, "rotate_vault", format!("an epoch that {how} pseudonyms: {reason}"), "begun")?;
    let epoch = with_vault(installation, files, async |vault, scope| vault.rotate(scope, linking).await)?;
    trace(installation, "rotate_vault", format!("epoch {epoch} {how} pseudonyms: {reason}"), "done")?;
    print(&format!("epoch {epoch}\n"))
}

fn shred(
    installation: &Installation,
    files: &VaultFiles,
    vehicle: VehicleId,
    reason: &str,
) -> Result<(), Failure> {
    // What cannot be undone is written down before.
    trace(installation, "shred_vin", format!("{vehicle}: {reason}"), "begun")?;
    let gone = with_vault(installation, files, async |vault, scope| vault.shred(scope, vehicle).await)?;
    trace(installation, "shred_vin", format!("{vehicle}: {reason}"), "done")?;
    print(&gone.iter().map(|id| format!("{id} resolves no more\n")).collect::<String>())
}

fn linked(
    installation: &Installation,
    files: &VaultFiles,
    vehicle: VehicleId,
    reason: &str,
) -> Result<(), Failure> {
    // The trace comes first: nothing is shown that is not written down.
    trace(installation, "link_pseudonyms", format!("{vehicle}: {reason}"), "done")?;
    let all = with_vault(installation, files, async |vault, scope| vault.linked(scope, vehicle).await)?;
    print(&all.iter().map(|(epoch, id)| format!("epoch {epoch}: {id}\n")).collect::<String>())
}

/// Opens the vault, does something, and closes it.
fn with_vault<T>(
    installation: &Installation,
    files: &VaultFiles,
    work: impl AsyncFnOnce(&Vault, Scope) -> Result<T, VaultError>,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        let vault = files.open(&installation.folder).await?;
        let vault = vault.ok_or_else(|| Failure::input("--vault-key is needed"))?;
        let scope = Scope { tenant: TenantId(installation.tenant), now: SystemClock.now() };
        let done = work(&vault, scope).await;
        vault.close().await;
        done.map_err(Failure::failed)
    })
}

/// Writes into the audit trail.
fn trace(
    installation: &Installation,
    action: &'static str,
    subject: String,
    outcome: &'static str,
) -> Result<(), Failure> {
    let entry = AuditEntry { actor: CLI.to_owned(), action, subject, outcome };
    installation.with(async |store, scope| store.audit(scope, &entry).await)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use outrider_ingest::registry::Vin;
    use outrider_server::api::dto::CreateFeedRequest;
    use outrider_server::feeds::secret_hash;
    use outrider_server::store::FeedSetup;

    use super::*;

    const NO_FEEDS: (TenantId, Option<Word>) = (TenantId(1), None);

    #[test]
    fn where_there_are_feeds_it_must_be_said_what_becomes_of_their_vehicles() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (folder, key) = (home.path().join("cloud"), home.path().join("vault.key"));
        fs::create_dir_all(folder.join("secrets")).expect("a folder");
        let names = open_name_key(&folder.join("secrets"), &mut || [7; 32]).expect("a key");
        let scope = Scope { tenant: TenantId(1), now: SystemClock.now() };
        let block = runtime().expect("a runtime");
        block.block_on(async {
            let store = SqlStore::of_folder(&folder).await.expect("a database");
            let setup = FeedSetup::try_from(CreateFeedRequest {
                name: "backend".to_owned(),
                format: "outrider.json".to_owned(),
                platform: None,
                release: None,
                body_bytes_max: None,
                requests_per_minute_max: None,
                clock_error_s: None,
                takes_unregistered: false,
            })
            .expect("a feed");
            store.create_feed(scope, &setup, &secret_hash("x"), "cli").await.expect("it is registered");
            store.close().await;
        });
        assert!(init(&folder, &key, None, NO_FEEDS).is_err(), "nothing was said");
        assert!(!key.exists() && !vault_path(&folder).exists(), "nothing was made");
        init(&folder, &key, None, (TenantId(1), Some(Word::Keep))).expect("it is made");
        let vin = Vin::parse("WVWZZZ1JZXW000001").expect("a VIN");
        let files = VaultFiles { vault_key: Some(key.clone()), vault: None };
        block.block_on(async {
            let vault = files.open(&folder).await.expect("it opens").expect("there is one");
            let id = vault.assign(scope, &[&vin]).await.expect("a pseudonym");
            assert_eq!(id, [names.of_vin(TenantId(1), &vin)]);
            vault.close().await;
        });
        assert!(!files.needs_key(&folder));
        assert!(VaultFiles { vault_key: None, vault: None }.needs_key(&folder), "it would be passed over");
        fs::remove_file(vault_path(&folder)).expect("it was there");
        let other = home.path().join("other.key");
        init(&folder, &other, None, (TenantId(1), Some(Word::Break))).expect("it is made");
        block.block_on(async {
            let files = VaultFiles { vault_key: Some(other), vault: None };
            let vault = files.open(&folder).await.expect("it opens").expect("there is one");
            let id = vault.assign(scope, &[&vin]).await.expect("a pseudonym");
            assert_ne!(id, [names.of_vin(TenantId(1), &vin)]);
            vault.close().await;
        });
    }

    #[test]
    fn a_key_is_made_once_private_and_apart() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (folder, key) = (home.path().join("cloud"), home.path().join("vault.key"));
        assert!(init(&folder, &folder.join("vault.key"), None, NO_FEEDS).is_err(), "beside what it protects");
        init(&folder, &key, None, NO_FEEDS).expect("it is made");
        assert_eq!(fs::metadata(&key).expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(init(&folder, &home.path().join("other.key"), None, NO_FEEDS).is_err(), "there is a vault");
        let files = VaultFiles { vault_key: Some(key.clone()), vault: None };
        assert!(files.config(&folder).expect("it reads").is_some());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("rights change");
        assert!(files.config(&folder).is_err(), "others may read it");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("rights change");
        fs::write(&key, "00").expect("it is written");
        assert!(files.config(&folder).is_err(), "no key");
        assert!(VaultFiles { vault_key: None, vault: None }.config(&folder).expect("none").is_none());
    }
}
