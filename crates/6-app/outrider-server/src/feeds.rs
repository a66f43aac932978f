//! Feeds of foreign events: who is let in, how much, and what becomes durable before anything is answered.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use outrider_decode::DecoderTable;
use outrider_ingest::{FEED_BODY_BYTES_MAX, Feed, FeedId, FeedRecord, Feeds, Pseudonyms};
use outrider_model::{AppendError, Balance, EventLog, Partition};
use outrider_types::{Clock, IngestTime, TenantId, UnixMicros};
use sha2::{Digest as _, Sha256};

use crate::api::dto::{CreateFeedRequest, FeedReceipt};
use crate::identity::same_secret;
use crate::pipeline::Doorbell;
use crate::port::{Random, draw};
use crate::store::{FeedSecretHash, FeedSetup, Scope, Store, StoreResult, StoredFeed};

/// Requests a minute where nobody says: ten a second (guess).
const REQUESTS_PER_MINUTE: u32 = 600;
/// Most requests a minute that can be set: a thousand a second.
const REQUESTS_PER_MINUTE_MAX: u32 = 60_000;
/// Half the interval of a source's clock where nobody says, seconds: backends keep NTP time, their units less (guess).
const CLOCK_ERROR_S: u32 = 60;
/// Widest interval of a source's clock: ten years.
const CLOCK_ERROR_S_MAX: u32 = 315_360_000;
/// Largest window of a zstd frame, as a power of two: the 8 MiB that RFC 8878 asks every decoder for.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const MINUTE_US: i64 = 60_000_000;

/// Why a body of a known feed is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FeedRefusal {
    /// Somebody disabled the feed.
    #[error("the feed is disabled")]
    Disabled,
    /// It sent more requests than it may.
    #[error("more requests a minute than the feed may send")]
    TooMany,
    /// The body is too large.
    #[error("the body has more than {max} bytes")]
    TooLarge {
        /// Most bytes.
        max: usize,
    },
    /// The compression is not known here.
    #[error("the content encoding is neither identity nor gzip nor zstd")]
    Encoding,
    /// The body does not decompress.
    #[error("the body is not what its content encoding says")]
    Compressed,
    /// There is no body.
    #[error("the body is empty")]
    Empty,
    /// The event log failed; nothing was stored.
    #[error("event log: {0}")]
    Log(AppendError),
}

impl FeedRefusal {
    /// Returns the stable code, also the reason in counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "feed.disabled",
            Self::TooMany => "feed.too_many",
            Self::TooLarge { .. } => "feed.too_large",
            Self::Encoding => "feed.encoding",
            Self::Compressed => "feed.compressed",
            Self::Empty => "feed.empty",
            Self::Log(_) => "feed.log",
        }
    }
}

/// What the desk needs.
pub struct FeedParts {
    /// Case database.
    pub store: Arc<dyn Store>,
    /// Where bodies go.
    pub log: Arc<dyn EventLog>,
    /// Rings when one has come.
    pub doorbell: Arc<Doorbell>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Owner of the feeds.
    pub tenant: TenantId,
    /// Pseudonyms of vehicles.
    pub names: Arc<dyn Pseudonyms>,
    /// Decoders in use.
    pub decoders: Arc<DecoderTable>,
}

/// A feed, and what it has left of this minute.
#[derive(Debug)]
struct Entry {
    feed: StoredFeed,
    bucket: Mutex<Bucket>,
}

/// Requests that may still come: as many as a minute has, refilled as time goes by.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// In microseconds of refilling, so that nothing is rounded away.
    left: i64,
    at: UnixMicros,
}

impl Bucket {
    fn take(&mut self, per_minute: u32, now: UnixMicros) -> bool {
        let elapsed = now.micros_since(self.at).clamp(0, MINUTE_US);
        let (refill, full) = (elapsed * i64::from(per_minute), MINUTE_US * i64::from(per_minute));
        self.left = self.left.saturating_add(refill).min(full);
        self.at = now;
        if self.left < MINUTE_US {
            return false;
        }
        self.left -= MINUTE_US;
        true
    }
}

/// A feed that came with its credential.
#[derive(Clone)]
pub struct Admitted(Arc<Entry>);

/// Lets feeds in and makes what they bring durable.
pub struct FeedDesk {
    parts: FeedParts,
    known: RwLock<BTreeMap<String, Arc<Entry>>>,
    current: RwLock<Arc<Feeds>>,
    requests: Mutex<BTreeMap<FeedId, Balance>>,
}

impl fmt::Debug for FeedDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedDesk({} feeds)", self.known.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

impl FeedDesk {
    /// Reads the registered feeds.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Database`].
    pub async fn open(parts: FeedParts) -> StoreResult<Self> {
        let desk =
            Self { parts, known: RwLock::default(), current: RwLock::default(), requests: Mutex::default() };
        desk.refresh().await?;
        Ok(desk)
    }

    fn scope(&self) -> Scope {
        Scope { tenant: self.parts.tenant, now: self.parts.clock.now() }
    }

    /// Takes up what was registered or changed, by this program or another.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Database`]; nothing changes.
    pub async fn refresh(&self) -> StoreResult<()> {
        let scope = self.scope();
        let feeds = self.parts.store.feeds(scope).await?;
        let worker = Feeds::new(
            feeds.iter().map(|feed| worker_feed(feed, scope.tenant)),
            Arc::clone(&self.parts.decoders),
            Arc::clone(&self.parts.names),
        );
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::new();
        for feed in feeds {
            let bucket = known.get(&feed.setup.name).filter(|entry| entry.feed.number == feed.number);
            let bucket = bucket.map(|entry| *entry.bucket.lock().unwrap_or_else(PoisonError::into_inner));
            // A full bucket at first: as much as a minute has.
            let full = MINUTE_US * i64::from(feed.setup.requests_per_minute_max);
            let bucket = Mutex::new(bucket.unwrap_or(Bucket { left: full, at: scope.now }));
            next.insert(feed.setup.name.clone(), Arc::new(Entry { feed, bucket }));
        }
        *known = next;
        // Under the same lock, so that no feed is let in that the worker will not know.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(worker);
        Ok(())
    }

    /// Returns the decoders in use.
    #[must_use]
    pub fn decoders(&self) -> &DecoderTable {
        &self.parts.decoders
    }

    /// Returns what the worker must know of the feeds.
    #[must_use]
    pub fn current(&self) -> Arc<Feeds> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Registers a feed; returns its credential, which is shown once.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Conflict`].
    pub async fn create(&self, setup: &FeedSetup, by: &str) -> StoreResult<(StoredFeed, String)> {
        let token = new_token(&*self.parts.random);
        let feed = self.parts.store.create_feed(self.scope(), setup, &secret_hash(&token), by).await?;
        self.refresh().await?;
        Ok((feed, token))
    }

    /// Gives a feed another credential, which is shown once.
    ///
    /// # Errors
    /// [`crate::store::StoreError::NotFound`].
    pub async fn rotate(&self, name: &str, by: &str) -> StoreResult<(StoredFeed, String)> {
        let token = new_token(&*self.parts.random);
        let feed = self.parts.store.change_feed_secret(self.scope(), name, &secret_hash(&token), by).await?;
        self.refresh().await?;
        Ok((feed, token))
    }

    /// Says who comes with a credential. A feed that does not exist and a wrong credential are not told apart.
    #[must_use]
    pub fn admit(&self, name: &str, token: &str) -> Option<Admitted> {
        let entry = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let given = secret_hash(token).0;
        let expected = entry.as_ref().map_or_else(|| "0".repeat(64), |entry| entry.feed.secret.0.clone());
        let is_right = same_secret(&given, &expected);
        entry.filter(|_| is_right).map(Admitted)
    }

    /// Makes a body durable. Waits for the disk: not for the runtime's own threads.
    ///
    /// # Errors
    /// [`FeedRefusal`]; nothing was stored.
    pub fn accept(
        &self,
        admitted: &Admitted,
        content_type: &str,
        encoding: &str,
        body: Vec<u8>,
    ) -> Result<FeedReceipt, FeedRefusal> {
        let outcome = self.take(&admitted.0, content_type, encoding, body);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = requests.entry(FeedId(admitted.0.feed.number)).or_default();
        counts.receive(1);
        match &outcome {
            Ok(_) => counts.pass(1),
            Err(refusal) => counts.drop_for(refusal.code(), 1),
        }
        outcome
    }

    fn take(
        &self,
        entry: &Entry,
        content_type: &str,
        encoding: &str,
        body: Vec<u8>,
    ) -> Result<FeedReceipt, FeedRefusal> {
        let (setup, now) = (&entry.feed.setup, self.parts.clock.now());
        if !entry.feed.enabled {
            return Err(FeedRefusal::Disabled);
        }
        let mut bucket = entry.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if !bucket.take(setup.requests_per_minute_max, now) {
            return Err(FeedRefusal::TooMany);
        }
        drop(bucket);
        let max = usize::try_from(setup.body_bytes_max).unwrap_or(usize::MAX).min(FEED_BODY_BYTES_MAX);
        let body = plain(encoding, body, max)?;
        if body.is_empty() {
            return Err(FeedRefusal::Empty);
        }
        let feed = FeedId(entry.feed.number);
        let record = FeedRecord { tenant: self.parts.tenant, feed, received: now, content_type, body: &body };
        // LOG-2: durable first, answered then.
        self.parts
            .log
            .append(Partition(0), IngestTime(now), &[&record.emit()], &[])
            .map_err(FeedRefusal::Log)?;
        self.parts.doorbell.ring();
        Ok(FeedReceipt { digest: record.digest().to_string(), bytes: body.len() as u64 })
    }

    /// Wakes the worker, after something else was appended.
    pub fn wake(&self) {
        self.parts.doorbell.ring();
    }

    /// Returns what became of a feed's requests since the program started.
    #[must_use]
    pub fn requests(&self, feed: FeedId) -> Balance {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.get(&feed).cloned().unwrap_or_default()
    }

    /// Returns what became of the requests of all feeds since the program started.
    #[must_use]
    pub fn all_requests(&self) -> Balance {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.values().fold(Balance::default(), |mut sum, counts| {
            sum.merge(counts);
            sum
        })
    }
}

/// What the worker must know of a feed.
fn worker_feed(feed: &StoredFeed, tenant: TenantId) -> Feed {
    Feed {
        id: FeedId(feed.number),
        tenant,
        name: feed.setup.name.clone(),
        format: feed.setup.format.clone(),
        platform: feed.setup.platform.clone(),
        release: feed.setup.release.clone(),
        clock_error_us: u64::from(feed.setup.clock_error_s) * 1_000_000,
        takes_unregistered: feed.setup.takes_unregistered,
    }
}

/// Takes the compression of the transport away; never makes more than `max` bytes.
fn plain(encoding: &str, body: Vec<u8>, max: usize) -> Result<Vec<u8>, FeedRefusal> {
    let too_large = || FeedRefusal::TooLarge { max };
    let bound = max as u64 + 1;
    let mut out = Vec::new();
    let read = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => {
            return if body.len() > max { Err(too_large()) } else { Ok(body) };
        }
        "gzip" | "x-gzip" => {
            flate2::read::MultiGzDecoder::new(body.as_slice()).take(bound).read_to_end(&mut out)
        }
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body.as_slice())
                .map_err(|_| FeedRefusal::Compressed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| FeedRefusal::Compressed)?;
            decoder.take(bound).read_to_end(&mut out)
        }
        _ => return Err(FeedRefusal::Encoding),
    };
    if out.len() > max {
        return Err(too_large());
    }
    read.map_err(|_| FeedRefusal::Compressed)?;
    Ok(out)
}

/// Makes a credential that nobody can guess.
#[must_use]
pub fn new_token(random: &dyn Random) -> String {
    format!("orf_{}", crate::hex(&draw::<32>(random)))
}

/// Returns what the database keeps of a credential.
#[must_use]
pub fn secret_hash(token: &str) -> FeedSecretHash {
    FeedSecretHash(crate::hex(&Sha256::digest(format!("outrider feed token\0{token}"))))
}

impl TryFrom<CreateFeedRequest> for FeedSetup {
    type Error = String;

    /// Checks names and bounds.
    fn try_from(request: CreateFeedRequest) -> Result<Self, String> {
        let is_word = |word: &str, others: &str| {
            (1..=64).contains(&word.len())
                && word.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(char::from(byte))
                })
        };
        if !is_word(&request.name, "._-")
            || !request.name.starts_with(|first: char| first.is_ascii_lowercase())
        {
            return Err(
                "`name` is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter".to_owned()
            );
        }
        if !is_word(&request.format, "-_./+") {
            return Err("`format` is 1 to 64 of a-z, 0-9, -, _, ., / and +".to_owned());
        }
        for (name, value) in [("platform", &request.platform), ("release", &request.release)] {
            if value.as_ref().is_some_and(|value| value.trim().is_empty() || value.len() > 128) {
                return Err(format!("`{name}` has 1 to 128 bytes"));
            }
        }
        let bounded = |name: &str, value: Option<u32>, default: u32, max: u32| match value.unwrap_or(default)
        {
            value if (1..=max).contains(&value) => Ok(value),
            _ => Err(format!("`{name}` is 1 to {max}")),
        };
        let bytes_max = u32::try_from(FEED_BODY_BYTES_MAX).unwrap_or(u32::MAX);
        let per_minute = request.requests_per_minute_max;
        Ok(Self {
            name: request.name,
            format: request.format,
            platform: request.platform,
            release: request.release,
            body_bytes_max: bounded("body_bytes_max", request.body_bytes_max, bytes_max, bytes_max)?,
            requests_per_minute_max: bounded(
                "requests_per_minute_max",
                per_minute,
                REQUESTS_PER_MINUTE,
                REQUESTS_PER_MINUTE_MAX,
            )?,
            clock_error_s: bounded("clock_error_s", request.clock_error_s, CLOCK_ERROR_S, CLOCK_ERROR_S_MAX)?,
            takes_unregistered: request.takes_unregistered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_bodies_are_taken_apart_up_to_the_bound_and_not_beyond() {
        use std::io::Write as _;
        let gzip = |content: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(content).expect("memory");
            encoder.finish().expect("memory")
        };
        let zstd = |content: &[u8]| zstd::bulk::compress(content, 19).expect("compresses");
        let small = vec![7_u8; 1000];
        for (name, body) in [("gzip", gzip(&small)), ("zstd", zstd(&small)), (" Identity", small.clone())] {
            assert_eq!(plain(name, body.clone(), 1000).expect("it fits"), small, "{name}");
            assert!(matches!(plain(name, body, 999), Err(FeedRefusal::TooLarge { max: 999 })), "{name}");
        }
        let bomb = vec![0_u8; 64 << 20];
        for (name, body) in [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb))] {
            assert!(body.len() < 100_000, "{name} is small");
            assert!(matches!(plain(name, body, 1 << 20), Err(FeedRefusal::TooLarge { .. })), "{name}");
        }
        for name in ["gzip", "zstd"] {
            assert!(
                matches!(plain(name, b"no such thing".to_vec(), 99), Err(FeedRefusal::Compressed)),
                "{name}"
            );
        }
        let cut = gzip(&small)[..20].to_vec();
        assert!(matches!(plain("gzip", cut, 1000), Err(FeedRefusal::Compressed)));
        assert!(matches!(plain("br", small, 1000), Err(FeedRefusal::Encoding)));
    }

    #[test]
    fn a_minute_has_as_many_requests_as_it_may() {
        let at = |seconds: i64| UnixMicros(seconds * 1_000_000);
        let mut bucket = Bucket { left: 3 * MINUTE_US, at: at(0) };
        assert_eq!([1, 2, 3, 4].map(|_| bucket.take(3, at(0))), [true, true, true, false]);
        assert!(!bucket.take(3, at(19)));
        assert!(bucket.take(3, at(20)) && !bucket.take(3, at(20)));
        assert!(!bucket.take(3, at(-500)), "a clock that goes back gives nothing");
        assert_eq!([1, 2, 3, 4].map(|_| bucket.take(3, at(9_999))), [true, true, true, false]);
    }
}
