//! `outrider vehicle`, `outrider ca` and `outrider enroll-token`: identities by hand, beside a server that runs or not.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use outrider_server::api::dto::VehicleState;
use outrider_server::port::Random as _;
use outrider_server::store::{
    EnrolmentPermit, EnrolmentStore as _, PermitKind, Scope, SqlStore, StoreResult, Transfer,
};
use outrider_server::vehicle::est::factory_hash;
use outrider_server::vehicle::{Serial, pem};
use outrider_types::{Clock as _, TenantId, UnixMicros, VehicleId};
use serde_json::json;

use super::provision::{new_token, open_ca, permit};
use super::{Failure, print, registry, reveal, runtime};
use crate::ports::{SystemClock, SystemRandom};

/// Which installation.
#[derive(Debug, Args)]
pub(super) struct Installation {
    /// Folder of the installation.
    #[arg(long, default_value = "outrider-data")]
    pub(super) folder: PathBuf,
    /// Owner of the vehicle.
    #[arg(long, default_value_t = 1)]
    pub(super) tenant: u32,
}

impl Installation {
    /// Opens the database, does something, and closes it.
    pub(super) fn with<T>(
        &self,
        work: impl AsyncFnOnce(&SqlStore, Scope) -> StoreResult<T>,
    ) -> Result<T, Failure> {
        runtime()?.block_on(async {
            let store = SqlStore::of_folder(&self.folder).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(self.tenant), now: SystemClock.now() };
            let done = work(&store, scope).await;
            store.close().await;
            done.map_err(Failure::failed)
        })
    }
}

/// What is changed, and why.
#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    installation: Installation,
    /// Pseudonym.
    vehicle: VehicleId,
    /// Why; goes into the identity log.
    #[arg(long)]
    reason: String,
}

/// Shows and changes who a vehicle is. A server that runs follows within five seconds and closes sessions.
#[derive(Debug, Args)]
pub(crate) struct Vehicle {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Register the vehicles of a file, CSV, NDJSON or a JSON array.
    ///
    /// JSON fields: dry_run, bytes, rows, new, changed, unchanged, refused, problems, problems_left_out, unread, seconds.
    Import(registry::Import),
    /// List registered vehicles, one JSON object a line.
    List(registry::List),
    /// Move vehicles to a stage of monitoring.
    ///
    /// JSON fields: changed.
    Stage(registry::Stage),
    /// Ask for the VIN of a vehicle, and show it once somebody has agreed over the API.
    ///
    /// JSON fields: vehicle_id, vin; or those of the request.
    Reveal(reveal::Reveal),
    /// Print registry, state, certificates, batch keys and log as JSON.
    Show {
        #[command(flatten)]
        installation: Installation,
        /// Pseudonym.
        vehicle: VehicleId,
    },
    /// Keep it out until it is resumed.
    Suspend(Change),
    /// Let a suspended one in again.
    Resume(Change),
    /// Keep it out for good: its keys are not trusted any more.
    Revoke(Change),
    /// Keep it out for good: it is scrapped.
    Retire(Change),
    /// Revoke one certificate of it.
    RevokeCertificate {
        #[command(flatten)]
        installation: Installation,
        /// Serial, hexadecimal.
        serial: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Retire it at its owner and register it at another under a new pseudonym, with a token to enrol.
    Transfer {
        #[command(flatten)]
        change: Change,
        /// New owner.
        #[arg(long)]
        to_tenant: u32,
        /// Hours that the token is good.
        #[arg(long, default_value_t = 72)]
        hours: u32,
    },
}

impl Vehicle {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            Act::Import(import) => import.run(),
            Act::List(list) => list.run(),
            Act::Stage(stage) => stage.run(),
            Act::Reveal(reveal) => reveal.run(),
            Act::Show { installation, vehicle } => registry::show(&installation, vehicle),
            Act::Suspend(change) => move_to(&change, VehicleState::Suspended),
            Act::Resume(change) => move_to(&change, VehicleState::Active),
            Act::Revoke(change) => move_to(&change, VehicleState::Revoked),
            Act::Retire(change) => move_to(&change, VehicleState::Retired),
            Act::RevokeCertificate { installation, serial, reason } => {
                let serial = Serial::parse(&serial).ok_or_else(|| Failure::input("no serial"))?;
                installation.with(async |store, scope| {
                    store.revoke_certificate(scope, &serial, "cli", &reason).await
                })?;
                print(&format!("certificate {} is revoked\n", serial.text()))
            }
            Act::Transfer { change, to_tenant, hours } => transfer(&change, TenantId(to_tenant), hours),
        }
    }
}

fn move_to(change: &Change, state: VehicleState) -> Result<(), Failure> {
    change.installation.with(async |store, scope| {
        store.change_vehicle_state(scope, change.vehicle, state, "cli", &change.reason).await
    })?;
    print(&format!("vehicle {} is {}\n", change.vehicle, state.word()))
}

fn transfer(change: &Change, tenant: TenantId, hours: u32) -> Result<(), Failure> {
    let mut successor = [0; 16];
    SystemRandom.fill(&mut successor);
    let transfer = Transfer { vehicle: change.vehicle, tenant, successor: VehicleId(successor) };
    let token = new_token();
    change.installation.with(async |store, scope| {
        store.transfer_vehicle(scope, &transfer, "cli", &change.reason).await?;
        let theirs = Scope { tenant, ..scope };
        permit(store, theirs, transfer.successor, &token, hours).await
    })?;
    print(&format!("vehicle {} of owner {}\ntoken {token}  (shown once)\n", transfer.successor, tenant.0))
}

/// Permits a registered vehicle to enrol: once with a token, or as often as it comes with its factory's certificate.
///
/// JSON fields: vehicle, token.
#[derive(Debug, Args)]
pub(crate) struct EnrollToken {
    #[command(flatten)]
    installation: Installation,
    /// Pseudonym.
    vehicle: VehicleId,
    /// Hours that the permit is good.
    #[arg(long, default_value_t = 72)]
    hours: u32,
    /// Common name in the factory's certificate; no token is made then.
    #[arg(long)]
    factory_name: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl EnrollToken {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(name) = &self.factory_name else {
            let token = new_token();
            self.installation
                .with(async |store, scope| permit(store, scope, self.vehicle, &token, self.hours).await)?;
            if self.json {
                return print(&format!("{}\n", json!({"vehicle": self.vehicle.to_string(), "token": token})));
            }
            return print(&format!("token {token}  (shown once)\n"));
        };
        self.installation.with(async |store, scope| {
            let expires = scope.now.saturating_add(i64::from(self.hours) * 3_600_000_000);
            let (secret, vehicle) = (factory_hash(name), self.vehicle);
            let permit =
                EnrolmentPermit { secret, kind: PermitKind::Factory, vehicle, expires, used_for: None };
            store.permit_enrolment(scope, &permit, "cli").await
        })?;
        print(&format!("vehicle {} may enrol with its factory's certificate\n", self.vehicle))
    }
}

/// Shows and changes the installation's vehicle CA. A server that runs follows within five seconds.
#[derive(Debug, Args)]
pub(crate) struct Ca {
    #[command(subcommand)]
    act: CaAct,
}

#[derive(Debug, Subcommand)]
enum CaAct {
    /// Print the roots that are trusted, newest first, with the time until which each is in use.
    Show(Installation),
    /// Make the next generation: it signs from now on, the older ones stay trusted.
    Rotate(Installation),
    /// Print the revocation list of a generation, PEM.
    Crl {
        #[command(flatten)]
        installation: Installation,
        /// Generation; the newest if absent.
        #[arg(long)]
        generation: Option<u32>,
    },
}

impl Ca {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.act {
            CaAct::Show(installation) => {
                let ca = open_ca(&installation.folder.join("secrets"))?;
                for (root, number) in ca.roots().iter().zip((1..=ca.generation()).rev()) {
                    let last = installation
                        .with(async |store, scope| store.generation_in_use(scope, number).await)?;
                    let last = last.map_or_else(|| "no certificate in use".to_owned(), in_use);
                    print(&format!("generation {number}: {last}\n{root}"))?;
                }
                Ok(())
            }
            CaAct::Rotate(installation) => {
                let number =
                    open_ca(&installation.folder.join("secrets"))?.rotate().map_err(Failure::failed)?;
                print(&format!("generation {number} signs from now on\n"))
            }
            CaAct::Crl { installation, generation } => {
                let ca = open_ca(&installation.folder.join("secrets"))?;
                let revoked =
                    installation.with(async |store, scope| store.revoked_certificates(scope).await)?;
                let number = generation.unwrap_or_else(|| ca.generation());
                let list = ca.revocation_list(number, &revoked).map_err(Failure::failed)?;
                let list = list.ok_or_else(|| Failure::input("there is no such generation"))?;
                print(&pem("X509 CRL", &list))
            }
        }
    }
}

fn in_use(last: UnixMicros) -> String {
    format!("in use until {} (seconds since 1970)", last.0 / 1_000_000)
}
