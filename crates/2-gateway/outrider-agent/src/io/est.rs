//! Client of EST (RFC 7030): the first certificate, and the next one while the vehicle runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use outrider_types::UnixMicros;

use super::https::{LinkError, STAND_IN};
use super::tls::{client_config, https_agent, validity};
use crate::identity::{
    BUNDLE_BYTES_MAX, BundleError, IdentityFiles, IdentityKey, Renewal, RequestError, Validity, certificates,
    renewed_roots, request, signed_by,
};
use crate::identity::{TrustError, read_certificates};
use crate::keystore::{DeviceKey, TlsKey, provider_with};

/// Time for one request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EstError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The request cannot be made.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The CA cannot be reached.
    #[error("the CA does not answer: {0}")]
    Away(String),
    /// The CA says no.
    #[error("the CA refuses with status {status}: {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says, cut.
        text: String,
    },
    /// The answer is none.
    #[error(transparent)]
    Answer(#[from] BundleError),
    /// The roots are foreign.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The certificate is not for this vehicle and key, or not of a trusted CA.
    #[error("the certificate of the answer is not the one that was asked for: {0}")]
    Wrong(&'static str),
}

/// What a client shows.
#[derive(Clone, Copy)]
pub enum Show<'a> {
    /// One-time token.
    Token(&'a str),
    /// Client certificate and private key, PEM.
    Identity(&'a [u8], &'a [u8]),
    /// Client certificate, PEM, and a key that stays in its store.
    Device(&'a [u8], &'a Arc<dyn DeviceKey>),
}

/// Client of one CA.
pub struct EstClient {
    agent: ureq::Agent,
    url: String,
    basic: Option<String>,
}

impl EstClient {
    /// Creates a client of `https://host:port` that trusts the roots of a PEM text.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn new(url: &str, roots: &[u8], show: Show<'_>) -> Result<Self, LinkError> {
        use base64::Engine as _;
        let usual = rustls::crypto::ring::default_provider;
        let (identity, basic, provider) = match show {
            Show::Token(token) => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("vehicle:{token}"));
                (None, Some(format!("Basic {pair}")), usual())
            }
            Show::Identity(certificate, key) => (Some((certificate, key)), None, usual()),
            Show::Device(certificate, key) => {
                (Some((certificate, STAND_IN)), None, provider_with(TlsKey::new(key.clone())))
            }
        };
        let config = client_config(roots, identity, provider)?;
        let url = format!("{}/.well-known/est", url.trim_end_matches('/'));
        Ok(Self { agent: https_agent(config, PATIENCE), url, basic })
    }

    /// Fetches the CA's certificates, and the time by its clock where it says one.
    ///
    /// # Errors
    /// [`EstError`].
    pub fn ca_certificates(&self) -> Result<(Vec<Vec<u8>>, Option<UnixMicros>), EstError> {
        let answer = self.agent.get(format!("{}/cacerts", self.url)).call();
        let answer = answer.map_err(|error| EstError::Away(error.to_string()))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
        Ok((certificates(&body(answer)?)?, date))
    }

    /// Asks for a certificate: the first one with a token, the next one with the one that is there.
    ///
    /// # Errors
    /// [`EstError`].
    pub fn enrol(&self, request: &str) -> Result<Vec<u8>, EstError> {
        let operation = if self.basic.is_some() { "simpleenroll" } else { "simplereenroll" };
        let mut post =
            self.agent.post(format!("{}/{operation}", self.url)).content_type("application/pkcs10");
        if let Some(basic) = &self.basic {
            post = post.header("authorization", basic);
        }
        let answer = post.send(request.as_bytes()).map_err(|error| EstError::Away(error.to_string()))?;
        let mut found = certificates(&body(answer)?)?;
        // Certificates of the CA may stand beside it (RFC 7030, 4.2.3 forbids it; some do).
        found.retain(|der| x509_parser::parse_x509_certificate(der).is_ok_and(|(_, one)| !one.is_ca()));
        match <[Vec<u8>; 1]>::try_from(found) {
            Ok([certificate]) => Ok(certificate),
            Err(_) => Err(EstError::Wrong("not exactly one")),
        }
    }
}

fn body(mut answer: ureq::http::Response<ureq::Body>) -> Result<Vec<u8>, EstError> {
    let limit = u64::try_from(BUNDLE_BYTES_MAX).unwrap_or(u64::MAX);
    let status = answer.status().as_u16();
    let bytes = answer.body_mut().with_config().limit(limit).read_to_vec();
    let bytes = bytes.map_err(|error| EstError::Away(error.to_string()))?;
    if status == 200 {
        return Ok(bytes);
    }
    let text: String =
        String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).take(200).collect();
    Err(EstError::Refused { status, text })
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7); other forms are obsolete.
fn http_date(text: &str) -> Option<UnixMicros> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_real = (1..=31).contains(&day) && (1970..10_000).contains(&year);
    if !is_real || !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    // Days since 1970 of the proleptic calendar, with the year beginning in March (Hinnant, days_from_civil).
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(UnixMicros((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000))
}

/// Whether a certificate is of this vehicle, for this key, and of a trusted CA.
pub(crate) fn check(
    certificate: &[u8],
    vehicle: &str,
    key: &[u8],
    roots: &[Vec<u8>],
) -> Result<(), EstError> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let (_, parsed) = parsed.map_err(|_| EstError::Wrong("not X.509"))?;
    let mut names = parsed.subject().iter_common_name().map(|name| name.as_str());
    if !matches!((names.next(), names.next()), (Some(Ok(name)), None) if name == vehicle) {
        return Err(EstError::Wrong("another name"));
    }
    if parsed.public_key().subject_public_key.data.as_ref() != key {
        return Err(EstError::Wrong("another key"));
    }
    if signed_by(certificate, roots) { Ok(()) } else { Err(EstError::Wrong("not of a trusted CA")) }
}

/// Where a running vehicle renews its certificate.
#[derive(Debug, Clone)]
pub struct RenewalPlan {
    /// Address of the CA, `https://host:port`.
    pub url: String,
    /// Pseudonym.
    pub vehicle: String,
    /// Roots that are trusted, PEM.
    pub roots: PathBuf,
    /// Client certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Folder of what is fetched.
    pub state: PathBuf,
    /// The private key, where it stays in a key store; `key` is not used then.
    pub device: Option<Arc<dyn DeviceKey>>,
}

/// What became of a renewal.
#[derive(Debug)]
pub enum Renewed {
    /// There is a new certificate on disk, which the CA has taken already.
    Changed(Validity),
    /// None is due by the CA's clock.
    NotDue,
}

impl RenewalPlan {
    /// Fetches roots and, where it is due, the next certificate; `due` is none where the clock was believed and has
    /// decided. What is on disk changes only when all of it is good and the CA has taken the new certificate.
    ///
    /// # Errors
    /// [`EstError`]; the old certificate stays.
    pub fn run(&self, due: Option<UnixMicros>) -> Result<Renewed, EstError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| EstError::File { path: path.clone(), source })
        };
        let files = IdentityFiles::new(&self.state);
        let write = |source| EstError::File { path: self.state.clone(), source };
        let (roots, certificate) = (read(&self.roots)?, read(&self.certificate)?);
        let client = match &self.device {
            Some(device) => EstClient::new(&self.url, &roots, Show::Device(&certificate, device))?,
            None => EstClient::new(&self.url, &roots, Show::Identity(&certificate, &read(&self.key)?))?,
        };
        let (answer, date) = client.ca_certificates()?;
        let trusted = read_certificates(&self.roots)
            .map_err(|source| EstError::File { path: self.roots.clone(), source })?;
        let renewed = renewed_roots(&trusted, &answer)?;
        if due.zip(date).is_some_and(|(due, date)| date < due) {
            return Ok(Renewed::NotDue);
        }
        let fresh = match &self.device {
            Some(device) => IdentityKey::from(device.clone()),
            None => IdentityKey::generate()?,
        };
        let new = client.enrol(&request(&self.vehicle, &fresh)?)?;
        check(&new, &self.vehicle, rcgen::PublicKeyData::der_bytes(&fresh), &renewed)?;
        let bounds = validity(&new).ok_or(EstError::Wrong("not X.509"))?;
        // Nobody has used the new one yet: the CA must take it before the old one goes.
        let (pem, secret) = (crate::identity::pem(&new), fresh.expose());
        let roots: String = renewed.iter().map(|root| crate::identity::pem(root)).collect();
        let show = match &self.device {
            Some(device) => Show::Device(pem.as_bytes(), device),
            None => Show::Identity(pem.as_bytes(), secret.as_bytes()),
        };
        EstClient::new(&self.url, roots.as_bytes(), show)?.ca_certificates()?;
        files.keep_roots(&renewed).map_err(write)?;
        files.keep_identity(&new, &secret).map_err(write)?;
        Ok(Renewed::Changed(bounds))
    }
}

/// Renews in a thread of its own, so that a CA that does not answer never stops the vehicle's loop.
pub struct Renewer {
    renewal: Renewal,
    own: Validity,
    orders: SyncSender<Option<UnixMicros>>,
    results: Receiver<Result<Renewed, EstError>>,
    is_busy: bool,
}

impl Renewer {
    /// Starts the thread; it ends with the renewer. Call it before the program gives up its rights.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the vehicle's composition root starts its threads")]
    pub fn start(plan: RenewalPlan, own: Validity, renewal: Renewal) -> Self {
        let (orders, inbox) = sync_channel::<Option<UnixMicros>>(1);
        let (outbox, results) = sync_channel(1);
        std::thread::spawn(move || {
            while let Ok(due) = inbox.recv() {
                if outbox.send(plan.clone().current().run(due)).is_err() {
                    break;
                }
            }
        });
        Self { renewal, own, orders, results, is_busy: false }
    }

    /// Looks what is due and what has come; returns a result that is worth a word. Never waits.
    pub fn turn(
        &mut self,
        now: outrider_types::VehicleMicros,
        wall: UnixMicros,
    ) -> Option<Result<Renewed, EstError>> {
        use crate::identity::Step;
        if self.is_busy {
            let result = self.results.try_recv().ok()?;
            self.is_busy = false;
            match &result {
                Ok(Renewed::Changed(own)) => {
                    self.own = *own;
                    self.renewal.done(*own, now, wall);
                }
                Ok(Renewed::NotDue) => self.renewal.done(self.own, now, wall),
                Err(_) => self.renewal.failed(now),
            }
            return Some(result);
        }
        let order = match self.renewal.tick(now, wall) {
            Step::Wait => return None,
            Step::Renew => None,
            Step::Ask => Some(self.renewal.due_at()),
        };
        match self.orders.try_send(order) {
            Ok(()) => self.is_busy = true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.renewal.failed(now),
        }
        None
    }
}

impl RenewalPlan {
    /// Points to what was fetched before, if anything was.
    fn current(mut self) -> Self {
        let files = IdentityFiles::new(&self.state);
        let (identity, roots) = files.fetched();
        if let Some(identity) = identity {
            (self.certificate, self.key) = (identity.clone(), identity);
        }
        self.roots = roots.unwrap_or(self.roots);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read_and_others_are_not() {
        let cases = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Tue, 29 Feb 2028 23:59:60 GMT", Some(1_835_481_600)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(
                http_date(text),
                seconds.map(|seconds: i64| UnixMicros(seconds * 1_000_000)),
                "{text}"
            );
        }
    }
}
