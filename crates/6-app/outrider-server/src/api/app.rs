//! What handlers share.

use std::sync::Arc;

use outrider_model::EventLog;
use outrider_types::{Clock, TenantId, UnixMicros};

use super::dto::Role;
use super::error::ApiFailure;
use crate::evidence::EvidenceDesk;
use crate::feeds::FeedDesk;
use crate::hub::Hub;
use crate::identity::{Caller, Identity};
use crate::metrics::ScrapeToken;
use crate::pipeline::{Backlog, PipelineStatus, RunningPipeline};
use crate::port::{EventHistory, Random};
use crate::rulebook::RuleBook;
use crate::store::{Scope, Store};
use crate::update::UpdateDesk;
use crate::vault::{RevealPolicy, Vault};
use crate::vehicle::{Directory, EvidenceVault, Exchange};

/// Parts of the server that handlers use.
pub struct App {
    /// Case database.
    pub store: Arc<dyn Store>,
    /// Users and sessions.
    pub identity: Identity,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Owner of everything this server shows.
    pub tenant: TenantId,
    /// Stored events.
    pub history: Arc<dyn EventHistory>,
    /// Open streams.
    pub hub: Arc<Hub>,
    /// Detection rules.
    pub rules: Arc<RuleBook>,
    /// Registered vehicles.
    pub directory: Arc<Directory>,
    /// Frames of vehicles.
    pub exchange: Arc<Exchange>,
    /// VIN vault; without one nothing that has to do with VINs is done.
    pub vin_vault: Option<Arc<Vault>>,
    /// Who may see a VIN.
    pub reveal: RevealPolicy,
    /// Resolution to which places of vehicles are rounded.
    pub h3_resolution: u8,
    /// Captures.
    pub vault: EvidenceVault,
    /// Event log.
    pub log: Arc<dyn EventLog>,
    /// Requests for evidence.
    pub desk: Arc<EvidenceDesk>,
    /// Artifacts and rollouts.
    pub updates: Arc<UpdateDesk>,
    /// Feeds of foreign events.
    pub feeds: Arc<FeedDesk>,
    /// The worker.
    pub pipeline: Arc<RunningPipeline>,
    /// Who may read the counters.
    pub monitor: ScrapeToken,
    /// When the program started.
    pub started: UnixMicros,
    /// Whether browsers speak TLS to it.
    pub is_secure: bool,
}

impl App {
    /// Returns the tenant and the time of a call.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { tenant: self.tenant, now: self.clock.now() }
    }

    /// Returns how far the worker is behind, asked off the runtime's own threads: a log may be far away.
    ///
    /// # Errors
    /// [`ApiFailure`] if the asking fails by a bug; a log that does not answer is told in the backlog.
    pub(crate) async fn backlog(&self, status: &PipelineStatus) -> Result<Backlog, ApiFailure> {
        let (log, status) = (Arc::clone(&self.log), status.clone());
        let asked = tokio::task::spawn_blocking(move || Backlog::read(&*log, &status)).await;
        asked.map_err(|error| ApiFailure::internal(&error))
    }

    /// Draws the identity of a new row: 128 unpredictable bits.
    #[must_use]
    pub fn new_id(&self, prefix: &str) -> String {
        format!("{prefix}-{}", crate::hex(&crate::port::draw::<16>(&*self.random)))
    }
}

/// What every handler gets.
pub(crate) type Shared = axum::extract::State<Arc<App>>;

/// Checks that a caller has a role or a higher one.
///
/// # Errors
/// 403 `forbidden`.
pub(crate) fn require(caller: &Caller, role: Role) -> Result<(), ApiFailure> {
    if caller.user.role >= role {
        return Ok(());
    }
    Err(ApiFailure::forbidden("forbidden", &format!("this needs the role {} or a higher one", role.word())))
}
