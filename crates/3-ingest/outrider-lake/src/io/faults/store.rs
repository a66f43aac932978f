//! An object store that fails when it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens at the chosen write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies before it: neither it nor anything later happens.
    DieBefore,
    /// The process dies after it, before it learns that it happened.
    DieAfter,
    /// It happens, but the reply says that it failed.
    LoseReply,
    /// It does not happen, once.
    Refuse,
    /// Armed, no read is answered any more.
    Hang,
    /// Armed, one bit of every read of a data file is another.
    Lie,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    /// Writes until the fault; 0 is never.
    left: AtomicU64,
    fired: AtomicBool,
    dead: AtomicBool,
}

/// The store.
#[derive(Debug, Clone)]
pub(super) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    plan: Arc<Plan>,
}

fn broken() -> Error {
    Error::Generic { store: "Faulty", source: "the connection broke".into() }
}

impl Plan {
    fn read(&self) -> Result<()> {
        if self.dead.load(Ordering::SeqCst) { Err(broken()) } else { Ok(()) }
    }

    /// Whether a fault of reads is armed.
    fn is_armed(&self, fault: Fault) -> bool {
        self.fault == fault && self.left.load(Ordering::SeqCst) > 0
    }

    /// Waits for ever if reads hang.
    async fn answer(&self) -> Result<()> {
        if self.is_armed(Fault::Hang) {
            self.fired.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        self.read()
    }

    /// Changes a bit if reads lie.
    fn lie(&self, location: &Path, bytes: Bytes) -> Bytes {
        if !self.is_armed(Fault::Lie) || !location.as_ref().ends_with(".parquet") || bytes.len() < 200 {
            return bytes;
        }
        self.fired.store(true, Ordering::SeqCst);
        let mut bytes = bytes.to_vec();
        bytes[100] ^= 4;
        bytes.into()
    }

    /// Returns the fault if this is the chosen write.
    fn write(&self) -> Result<Option<Fault>> {
        self.read()?;
        if matches!(self.fault, Fault::Hang | Fault::Lie) {
            return Ok(None);
        }
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left != Ok(1) {
            return Ok(None);
        }
        self.fired.store(true, Ordering::SeqCst);
        if matches!(self.fault, Fault::DieBefore | Fault::DieAfter) {
            self.dead.store(true, Ordering::SeqCst);
        }
        if matches!(self.fault, Fault::DieBefore | Fault::Refuse) {
            Err(broken())
        } else {
            Ok(Some(self.fault))
        }
    }
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, fault: Fault) -> Self {
        let plan = Plan {
            fault,
            left: AtomicU64::new(0),
            fired: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        };
        Self { inner, plan: Arc::new(plan) }
    }

    /// Chooses the write, counted from 1, from now on.
    pub(super) fn arm(&self, step: u64) {
        self.plan.left.store(step, Ordering::SeqCst);
    }

    /// Whether the fault happened.
    pub(super) fn fired(&self) -> bool {
        self.plan.fired.load(Ordering::SeqCst)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let fault = self.plan.write()?;
        let put = self.inner.put_opts(location, payload, opts).await;
        if fault.is_some() { Err(broken()) } else { put }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if self.plan.write()?.is_some() {
            return Err(broken());
        }
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.plan.answer().await?;
        let result = self.inner.get_opts(location, options).await?;
        let (meta, range, attributes) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let bytes = self.plan.lie(location, result.bytes().await?);
        let payload = GetResultPayload::Stream(futures::stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.plan.answer().await?;
        let parts = self.inner.get_ranges(location, ranges).await?;
        Ok(parts.into_iter().map(|part| self.plan.lie(location, part)).collect())
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let plan = Arc::clone(&self.plan);
        let gated =
            locations.map(move |location| if plan.write()?.is_some() { Err(broken()) } else { location });
        self.inner.delete_stream(gated.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let plan = Arc::clone(&self.plan);
        self.inner.list(prefix).map(move |meta| plan.read().and(meta)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.plan.read()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if self.plan.write()?.is_some() {
            return Err(broken());
        }
        self.inner.copy_opts(from, to, options).await
    }
}
