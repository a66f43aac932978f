//! `outrider vehicle reveal`: a VIN for who has the key, but not alone.

use clap::Args;
use outrider_server::identity::CLI;
use outrider_server::port::Random as _;
use outrider_server::store::{NewReveal, RevealStore as _, Scope, SqlStore};
use outrider_server::vault::{RevealPolicy, Vault};
use outrider_types::{Clock as _, TenantId, VehicleId};
use serde_json::json;

use super::vault::VaultFiles;
use super::vehicle::Installation;
use super::{Failure, print, runtime};
use crate::ports::{SystemClock, SystemRandom};

/// Asks for a VIN, with a reason; with `--request`, opens a request that an engineer has agreed to over the API. From the
/// command line a second person is always needed, whatever the server's policy.
#[derive(Debug, Args)]
pub(super) struct Reveal {
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    vault: VaultFiles,
    /// Pseudonym.
    #[arg(required_unless_present = "request", conflicts_with = "request")]
    vehicle: Option<VehicleId>,
    /// Why; goes into the audit trail.
    #[arg(long, required_unless_present = "request", conflicts_with = "request")]
    reason: Option<String>,
    /// Request that was agreed to.
    #[arg(long)]
    request: Option<String>,
    /// Hours until the request lapses.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
}

impl Reveal {
    pub(super) fn run(self) -> Result<(), Failure> {
        let folder = &self.installation.folder;
        let object = runtime()?.block_on(async {
            let vault = self.vault.open(folder).await?;
            let vault = vault.ok_or_else(|| Failure::input("--vault-key is needed"))?;
            let store = SqlStore::of_folder(folder).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(self.installation.tenant), now: SystemClock.now() };
            let done = match (&self.request, self.vehicle, &self.reason) {
                (Some(request), _, _) => open(&store, &vault, scope, request).await,
                (None, Some(vehicle), Some(reason)) => {
                    self.ask(&store, &vault, scope, (vehicle, reason)).await
                }
                (None, _, _) => Err(Failure::input("a vehicle and a reason, or a request")),
            };
            store.close().await;
            vault.close().await;
            done
        })?;
        print(&format!("{object}\n"))
    }

    async fn ask(
        &self,
        store: &SqlStore,
        vault: &Vault,
        scope: Scope,
        (vehicle, reason): (VehicleId, &str),
    ) -> Result<serde_json::Value, Failure> {
        vault.holds(scope, vehicle).await.map_err(Failure::failed)?;
        let mut id = [0; 16];
        SystemRandom.fill(&mut id);
        let policy = RevealPolicy { is_two_person: true, hours: self.hours };
        let request = NewReveal {
            id: format!("reveal-{}", VehicleId(id)),
            vehicle,
            reason: reason.to_owned(),
            by: CLI.to_owned(),
            expires: scope.now.saturating_add(policy.lapse_us()),
            is_two_person: policy.is_two_person,
        };
        let request = store.request_reveal(scope, &request).await.map_err(Failure::failed)?;
        serde_json::to_value(&request).map_err(Failure::failed)
    }
}

/// Shows a VIN; the trace is durable before the vault is asked.
async fn open(
    store: &SqlStore,
    vault: &Vault,
    scope: Scope,
    request: &str,
) -> Result<serde_json::Value, Failure> {
    let vehicle = store.open_reveal(scope, request, CLI, true).await.map_err(Failure::failed)?;
    let vin = vault.reveal(scope, vehicle).await.map_err(Failure::failed)?;
    Ok(json!({"vehicle_id": vehicle.to_string(), "vin": vin.expose()}))
}
