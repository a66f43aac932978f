//! `outrider update`: signed configurations for vehicles that drive, beside a server that runs or not.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use outrider_server::api::dto::{ProposeRolloutRequest, Role, Rollout};
use outrider_server::identity::{Identity, SessionPolicy};
use outrider_server::notices::NoNotices;
use outrider_server::port::Ports;
use outrider_server::store::{Decision, Scope, SqlStore, UpdateStore as _};
use outrider_server::update::{UpdateDesk, UpdateParts};
use outrider_server::vehicle::{ArtifactVault, Directory, Keys};
use outrider_types::{Clock as _, TenantId, VehicleId, hex_decode};
use serde_json::{Value, json};

use super::provision::random_key;
use super::{Failure, print, runtime};
use crate::ports::{SystemClock, SystemRandom};

/// Longest artifact.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Rows that a list shows.
const LIST_MAX: u32 = 100;
/// Longest line that is taken for a password.
const PASSWORD_BYTES_MAX: u64 = 1024;

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

/// Who acts. Two persons are needed for a vehicle to change, and a shell on this machine is not one.
#[derive(Debug, Args)]
struct Person {
    /// Account of an engineer or administrator; its password is read from standard input.
    #[arg(long)]
    user: String,
}

/// Keeps signed configurations and orders them for vehicles. Everything is printed as JSON.
///
/// `outrider-agent update sign` makes an artifact. A rollout is proposed by one person and confirmed by another; a server
/// that runs then has each order judged by the safety gate within seconds and sends it with the vehicle's next reply.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Register, list and withdraw the keys whose artifacts are taken.
    #[command(subcommand)]
    Key(KeyAct),
    /// Store and list signed artifacts.
    #[command(subcommand)]
    Artifact(ArtifactAct),
    /// Propose an artifact for vehicles.
    Order {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        person: Person,
        /// SHA-256 of the artifact, as `outrider update artifact list` shows it.
        artifact: String,
        /// Pseudonym of a vehicle; may be given several times.
        #[arg(long, required_unless_present = "platform")]
        vehicle: Vec<VehicleId>,
        /// Every active vehicle of this platform that can be configured.
        #[arg(long, conflicts_with = "vehicle")]
        platform: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Confirm a rollout as a second person.
    Confirm(Decide),
    /// Withdraw what has not been sent of a rollout.
    Cancel(Decide),
    /// List rollouts, or the orders of one.
    List {
        #[command(flatten)]
        installation: Installation,
        /// Rollout; all of them if absent.
        rollout: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Decide {
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    person: Person,
    /// Rollout, as `outrider update list` shows it.
    rollout: String,
    /// Why.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Subcommand)]
enum KeyAct {
    /// Take artifacts that this key signed. Only the public half belongs here.
    Add {
        #[command(flatten)]
        installation: Installation,
        /// Public Ed25519 key, 64 hexadecimal digits.
        #[arg(value_parser = public_key)]
        key: [u8; 32],
        /// Person or build that holds the secret half.
        #[arg(long)]
        name: String,
    },
    /// List keys.
    List(Installation),
    /// Take and order nothing more that this key signed; cannot be undone.
    Withdraw {
        #[command(flatten)]
        installation: Installation,
        /// Key, as `outrider update key list` shows it.
        key_id: String,
    },
}

#[derive(Debug, Subcommand)]
enum ArtifactAct {
    /// Check a signed artifact and store it.
    Add {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        person: Person,
        /// The artifact.
        file: PathBuf,
    },
    /// List artifacts, last uploaded first.
    List(Installation),
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    hex_decode::<32>(text).map_err(|error| error.to_string())
}

/// An installation that is open.
struct Open {
    store: SqlStore,
    scope: Scope,
}

impl Installation {
    /// Opens the database, does something, prints what comes of it, and closes.
    fn with(&self, work: impl AsyncFnOnce(&Open) -> Result<Value, Failure>) -> Result<(), Failure> {
        let value = runtime()?.block_on(async {
            let store = SqlStore::of_folder(&self.folder).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(self.tenant), now: SystemClock.now() };
            let open = Open { store, scope };
            let done = work(&open).await;
            open.store.close().await;
            done
        })?;
        print(&format!("{value}\n"))
    }

    /// Builds what a server has, too, for one act.
    async fn desk(&self, open: &Open) -> Result<UpdateDesk, Failure> {
        let directory = Directory::default();
        directory.refresh(&open.store, open.scope).await.map_err(Failure::failed)?;
        let keys = Keys::open(&self.folder.join("secrets"), &mut random_key).map_err(Failure::failed)?;
        let vault = ArtifactVault::open(&self.folder.join("artifacts")).map_err(Failure::failed)?;
        Ok(UpdateDesk::new(UpdateParts {
            store: Arc::new(open.store.clone()),
            vault,
            directory: Arc::new(directory),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            notices: Arc::new(NoNotices),
            keys: Arc::new(keys),
            gate: Default::default(),
            tenant: open.scope.tenant,
            // Nothing is judged here: the limits are kept by the one server that runs.
            judging: Arc::default(),
        }))
    }
}

impl Person {
    /// Checks the password, and that the account may propose and confirm.
    async fn check(&self, open: &Open) -> Result<String, Failure> {
        let mut line = String::new();
        let mut input = std::io::stdin().lock().take(PASSWORD_BYTES_MAX);
        input.read_line(&mut line).map_err(Failure::failed)?;
        let ports = Ports {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            crypto: Arc::new(rustls::crypto::ring::default_provider()),
        };
        let store = Arc::new(open.store.clone());
        let identity = Identity::new(store, &ports, open.scope.tenant, SessionPolicy::default());
        let password = line.trim_end_matches(['\r', '\n']);
        let user = identity.check(&self.user, password).await.map_err(Failure::failed)?;
        if user.role < Role::Engineer || user.must_change_password {
            return Err(Failure::failed(
                "this needs an engineer or administrator who has set a password of their own",
            ));
        }
        Ok(user.name)
    }
}

impl Update {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::Key(act) => act.run(),
            Act::Artifact(ArtifactAct::List(installation)) => installation.with(async |open| {
                let page = open.store.artifacts(open.scope, None, LIST_MAX).await.map_err(Failure::failed)?;
                Ok(json!(page.items))
            }),
            Act::Artifact(ArtifactAct::Add { installation, person, file }) => {
                let bytes = read(&file)?;
                installation.with(async |open| {
                    let by = person.check(open).await?;
                    let stored = installation.desk(open).await?.upload(&by, bytes).await;
                    Ok(json!(stored.map_err(Failure::failed)?))
                })
            }
            Act::Order { installation, person, artifact, vehicle, platform, reason } => {
                let request = ProposeRolloutRequest {
                    sha256: artifact,
                    vehicle_ids: vehicle.iter().map(VehicleId::to_string).collect(),
                    platform,
                    reason: checked(reason)?,
                };
                installation.with(async |open| {
                    let by = person.check(open).await?;
                    let proposed = installation.desk(open).await?.propose(&by, &request).await;
                    Ok(json!(proposed.map_err(Failure::failed)?))
                })
            }
            Act::Confirm(decide) => decide.run(true),
            Act::Cancel(decide) => decide.run(false),
            Act::List { installation, rollout: None } => installation.with(async |open| {
                let page = open.store.rollouts(open.scope, None, LIST_MAX).await.map_err(Failure::failed)?;
                Ok(json!(page.items))
            }),
            Act::List { installation, rollout: Some(id) } => installation.with(async |open| {
                let rollout = open.store.rollout(open.scope, &id).await;
                Ok(json!(rollout.map_err(Failure::failed)?))
            }),
        }
    }
}

impl Decide {
    fn run(self, is_confirmation: bool) -> Result<(), Failure> {
        let reason = checked(self.reason)?;
        self.installation.with(async |open| {
            let by = self.person.check(open).await?;
            let desk = self.installation.desk(open).await?;
            let decision = Decision { by: &by, reason: &reason };
            let done: Result<Rollout, _> = if is_confirmation {
                desk.confirm(decision, &self.rollout).await
            } else {
                desk.cancel(decision, &self.rollout).await
            };
            Ok(json!(done.map_err(Failure::failed)?))
        })
    }
}

impl KeyAct {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Add { installation, key, name } => {
                let name = checked(name)?;
                installation.with(async |open| {
                    let added = open.store.add_artifact_key(open.scope, &key, &name, "cli").await;
                    Ok(json!(added.map_err(Failure::failed)?))
                })
            }
            Self::List(installation) => installation.with(async |open| {
                let keys = open.store.artifact_keys(open.scope).await.map_err(Failure::failed)?;
                Ok(json!(keys.into_iter().map(|key| key.shown).collect::<Vec<_>>()))
            }),
            Self::Withdraw { installation, key_id } => installation.with(async |open| {
                let withdrawn = open.store.withdraw_artifact_key(open.scope, &key_id, "cli").await;
                Ok(json!(withdrawn.map_err(Failure::failed)?))
            }),
        }
    }
}

/// Checks a text as the API does: 1 to 500 characters.
fn checked(text: String) -> Result<String, Failure> {
    let length = text.trim().chars().count();
    if length == 0 || length > 500 {
        return Err(Failure::input("a reason or name has 1 to 500 characters"));
    }
    Ok(text.trim().to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", path.display()));
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(Failure::input(format!("{}: longer than {FILE_BYTES_MAX} bytes", path.display())));
    }
    std::fs::read(path).map_err(failed)
}
