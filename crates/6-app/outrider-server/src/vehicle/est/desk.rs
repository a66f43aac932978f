//! Who may enrol, and with what: no TLS and no HTTP here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outrider_types::{Clock, TenantId, UnixMicros, VehicleId};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::request::{EnrolRequest, RequestError};
use crate::store::{EnrolmentPermit, IdentityNote, PermitKind, Scope, SecretHash, Store, StoreError};
use crate::vehicle::ca::{CaError, Issued, VehicleCa};
use crate::vehicle::directory::{Admitted, Denied, Directory, names};

const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;

/// Limits of enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnrolmentPolicy {
    /// Certificates of one vehicle a day. A vehicle needs one in eight months; ten let a workshop try again.
    pub per_vehicle_day: u64,
    /// Attempts with one proof in an hour.
    pub attempts_hour: u32,
    /// For so many days after its end a certificate is still good for the next one. Half a year covers a vehicle that
    /// stood over a season without a connection; one that stood longer needs a new token from a workshop (guess).
    pub grace_days: u32,
}

impl Default for EnrolmentPolicy {
    fn default() -> Self {
        Self { per_vehicle_day: 10, attempts_hour: 20, grace_days: 180 }
    }
}

/// What a client shows to prove who it is.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// Client certificate that TLS has verified.
    Certificate(&'a CertificateDer<'a>),
    /// One-time token.
    Token(&'a str),
    /// Nothing.
    None,
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstRefusal {
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// Sentence for the vehicle's engineer.
    pub message: String,
}

impl EstRefusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl std::fmt::Display) -> Self {
        Self { status, code, message: message.to_string() }
    }
}

/// Issues certificates to those who may have them.
pub struct EnrolmentDesk {
    store: Arc<dyn Store>,
    ca: Arc<VehicleCa>,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    tenant: TenantId,
    policy: EnrolmentPolicy,
    attempts: Mutex<BTreeMap<[u8; 32], (UnixMicros, u32)>>,
}

/// Proofs whose attempts are counted at the same time; when it is full the oldest hour goes.
const ATTEMPTS_MAX: usize = 65_536;

/// Returns what the database keeps of a token.
#[must_use]
pub fn token_hash(token: &str) -> SecretHash {
    SecretHash(crate::hex(&Sha256::digest(format!("outrider enrolment token\0{token}"))))
}

/// Returns what the database keeps of the name in a factory certificate.
#[must_use]
pub fn factory_hash(name: &str) -> SecretHash {
    SecretHash(crate::hex(&Sha256::digest(format!("outrider factory name\0{name}"))))
}

impl EnrolmentDesk {
    /// Creates a desk.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        ca: Arc<VehicleCa>,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        tenant: TenantId,
        policy: EnrolmentPolicy,
    ) -> Self {
        Self { store, ca, directory, clock, tenant, policy, attempts: Mutex::default() }
    }

    /// Returns the CA.
    #[must_use]
    pub const fn ca(&self) -> &Arc<VehicleCa> {
        &self.ca
    }

    /// Returns the revocation list of a generation of the CA, DER.
    ///
    /// # Errors
    /// [`EstRefusal`].
    pub async fn revocation_list(&self, generation: u32) -> Result<Vec<u8>, EstRefusal> {
        let revoked = self.store.revoked_certificates(self.scope()).await.map_err(storage)?;
        let list = self.ca.revocation_list(generation, &revoked).map_err(|error| ca_failed(&error))?;
        list.ok_or_else(|| EstRefusal::new(404, "not_found", "there is no such generation"))
    }

    fn scope(&self) -> Scope {
        Scope { tenant: self.tenant, now: self.clock.now() }
    }

    /// First certificate: by a token, or by a certificate of a factory.
    ///
    /// # Errors
    /// [`EstRefusal`], also written into the log.
    pub async fn enrol(&self, proof: Proof<'_>, body: &[u8]) -> Result<Issued, EstRefusal> {
        let (mut vehicle, mut result) =
            (None, Err(EstRefusal::new(401, "est.no_proof", "a token is needed")));
        if let Some(secret) = secret_of(proof) {
            result = match self.permit(&secret).await {
                Ok(permit) => {
                    vehicle = Some(permit.vehicle);
                    self.issue(permit.vehicle, Some(&permit), "enrol", body).await
                }
                Err(refusal) => Err(refusal),
            };
        }
        self.note_refusal(vehicle, "enrol", &result).await;
        result
    }

    /// Next certificate: by the one that is there, which may have ended a while ago.
    ///
    /// # Errors
    /// [`EstRefusal`], also written into the log.
    pub async fn renew(&self, proof: Proof<'_>, body: &[u8]) -> Result<Issued, EstRefusal> {
        let certificate = match proof {
            // A factory could write a pseudonym into its certificates: only ours say who a vehicle is.
            Proof::Certificate(certificate) => names(certificate).filter(|_| self.ca.has_signed(certificate)),
            Proof::Token(_) | Proof::None => None,
        };
        let vehicle = certificate.as_ref().map(|certificate| certificate.vehicle);
        let result = match certificate {
            Some(certificate) => match self.may_renew(&certificate) {
                Ok(()) => self.issue(certificate.vehicle, None, "renew", body).await,
                Err(refusal) => Err(refusal),
            },
            None => Err(EstRefusal::new(401, "est.no_certificate", "the certificate of a vehicle is needed")),
        };
        self.note_refusal(vehicle, "renew", &result).await;
        result
    }

    /// TLS has checked chain and end; this checks what only the register knows.
    fn may_renew(&self, certificate: &Admitted) -> Result<(), EstRefusal> {
        self.count_attempt(Sha256::digest(certificate.serial.text()).into())?;
        let late_us = self.clock.now().micros_since(certificate.not_after);
        if late_us > i64::from(self.policy.grace_days) * DAY_US {
            return Err(deny(Denied::CertificateExpired));
        }
        self.directory.is_in(certificate.vehicle).map_err(deny)?;
        self.directory.is_trusted(&certificate.serial).map_err(deny)
    }

    /// Finds a permit that is not void and not used for another key.
    async fn permit(&self, secret: &SecretHash) -> Result<EnrolmentPermit, EstRefusal> {
        self.count_attempt(Sha256::digest(&secret.0).into())?;
        let permit = self.store.enrolment_permit(self.scope(), secret).await.map_err(storage)?;
        permit.ok_or_else(|| EstRefusal::new(401, "est.not_permitted", "nobody permitted this enrolment"))
    }

    async fn issue(
        &self,
        vehicle: VehicleId,
        permit: Option<&EnrolmentPermit>,
        action: &'static str,
        body: &[u8],
    ) -> Result<Issued, EstRefusal> {
        let request = EnrolRequest::parse(body).map_err(refuse_request)?;
        let scope = self.scope();
        let since = scope.now.saturating_add(-DAY_US);
        let issued = self.store.certificates_since(scope, vehicle, since).await.map_err(storage)?;
        if issued >= self.policy.per_vehicle_day {
            return Err(EstRefusal::new(429, "est.too_many", "too many certificates for this vehicle today"));
        }
        let issued = self.ca.certify(vehicle, &request.key).map_err(|error| ca_failed(&error))?;
        let detail = match permit.map(|permit| permit.kind) {
            Some(PermitKind::Token) => format!("{} {} by token", issued.serial.text(), issued.suite.word()),
            Some(PermitKind::Factory) => {
                format!("{} {} by factory", issued.serial.text(), issued.suite.word())
            }
            None => format!("{} {}", issued.serial.text(), issued.suite.word()),
        };
        let note = IdentityNote {
            vehicle: Some(vehicle),
            actor: "vehicle".to_owned(),
            action,
            outcome: "done".to_owned(),
            detail,
        };
        // Durable before the certificate leaves: there is none that the register does not know.
        let secret = permit.map(|permit| &permit.secret);
        match self.store.record_certificate(scope, &issued, secret, &note).await {
            Ok(()) => Ok(issued),
            Err(StoreError::Conflict(reason)) => Err(EstRefusal::new(403, "est.refused", reason)),
            Err(StoreError::NotFound { .. }) => Err(deny(Denied::Unknown)),
            Err(error) => Err(storage(error)),
        }
    }

    fn count_attempt(&self, proof: [u8; 32]) -> Result<(), EstRefusal> {
        let now = self.clock.now();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= ATTEMPTS_MAX && !attempts.contains_key(&proof) {
            attempts.retain(|_, (since, _)| now.micros_since(*since) < HOUR_US);
            if attempts.len() >= ATTEMPTS_MAX {
                let oldest = attempts.iter().min_by_key(|(_, (since, _))| *since).map(|(proof, _)| *proof);
                oldest.and_then(|oldest| attempts.remove(&oldest));
            }
        }
        let (since, count) = attempts.entry(proof).or_insert((now, 0));
        if now.micros_since(*since) >= HOUR_US {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count > self.policy.attempts_hour {
            return Err(EstRefusal::new(429, "est.too_often", "too many attempts in an hour"));
        }
        Ok(())
    }

    async fn note_refusal(
        &self,
        vehicle: Option<VehicleId>,
        action: &'static str,
        result: &Result<Issued, EstRefusal>,
    ) {
        let Err(refusal) = result else { return };
        tracing::warn!(error.code = refusal.code, action, "enrolment refused");
        let note = IdentityNote {
            vehicle,
            actor: "vehicle".to_owned(),
            action,
            outcome: refusal.code.to_owned(),
            detail: String::new(),
        };
        if let Err(error) = self.store.note_identity(self.scope(), &note).await {
            tracing::error!(%error, "refusal not written into the identity log");
        }
    }
}

/// Hash under which a permit would stand; a vehicle's own certificate permits no first enrolment, and no factory's
/// name is a pseudonym.
fn secret_of(proof: Proof<'_>) -> Option<SecretHash> {
    match proof {
        Proof::Token(token) => Some(token_hash(token)),
        Proof::Certificate(certificate) => {
            let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
            let mut common = parsed.subject().iter_common_name();
            let name = common.next()?.as_str().ok()?;
            let is_one = common.next().is_none() && name.parse::<VehicleId>().is_err();
            is_one.then(|| factory_hash(name))
        }
        Proof::None => None,
    }
}

fn refuse_request(error: RequestError) -> EstRefusal {
    let status = if error == RequestError::TooLong { 413 } else { 400 };
    EstRefusal::new(status, error.code(), error)
}

fn deny(denied: Denied) -> EstRefusal {
    EstRefusal::new(403, denied.code(), denied)
}

fn ca_failed(error: &CaError) -> EstRefusal {
    tracing::error!(%error, "certificate not made");
    EstRefusal::new(500, "est.ca", "the certificate cannot be made")
}

fn storage(error: StoreError) -> EstRefusal {
    tracing::error!(%error, "case database failed");
    EstRefusal::new(503, "est.storage", "storage is not available")
}
