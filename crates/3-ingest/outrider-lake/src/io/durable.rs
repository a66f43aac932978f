//! Local folder as object store whose writes survive a power cut.
//!
//! The plain local store leaves flushing to the operating system: after a power cut a committed log entry could be
//! empty, which makes the whole table unreadable, or name a data file that is not there. Here each write goes to a
//! file of its own, is flushed, gets its name, and the folder with the name is flushed before the write returns.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// Suffix of files that are still being written; listings of the local store leave it out.
const STAGING: char = '#';

/// The local store with durable writes.
#[derive(Debug)]
pub(super) struct DurableFiles {
    files: Arc<LocalFileSystem>,
    /// Writes and the flushes that they took, for the metrics of the lake.
    pub(super) flushes: Arc<AtomicU64>,
}

impl DurableFiles {
    /// Creates a store whose paths start at the root of the file system.
    pub(super) fn new() -> Self {
        Self { files: Arc::new(LocalFileSystem::new()), flushes: Arc::default() }
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableFiles({})", self.files)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::Generic { store: "DurableFiles", source: Box::new(error) }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::JoinError { source: error })?
}

/// Flushes a folder and every folder above it that `create` made.
fn create_folder(folder: &FilePath) -> std::io::Result<()> {
    let mut absent: Vec<&FilePath> = Vec::new();
    let mut next = Some(folder);
    while let Some(path) = next.filter(|path| !path.is_dir()) {
        absent.push(path);
        next = path.parent();
    }
    std::fs::create_dir_all(folder)?;
    for path in absent {
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// Writes one object; the name appears only after the bytes are on disk.
fn put(target: &FilePath, payload: &PutPayload, create: bool) -> std::io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let folder = target.parent().ok_or_else(|| std::io::Error::other("object has no folder"))?;
    create_folder(folder)?;
    let mut staging = target.as_os_str().to_owned();
    // Digits only: such names are what listings leave out.
    staging.push(format!("{STAGING}{}{:09}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let staging = PathBuf::from(staging);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&staging)?;
        payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
        file.sync_data()?;
        if create { std::fs::hard_link(&staging, target) } else { std::fs::rename(&staging, target) }
    })();
    if create || written.is_err() {
        // Left over if the process dies here; the vacuum of the folder finds it.
        let _ = std::fs::remove_file(&staging);
    }
    written?;
    File::open(folder)?.sync_all()
}

#[async_trait]
impl ObjectStore for DurableFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            // The local store refuses conditional updates; let it say so.
            PutMode::Update(_) => return self.files.put_opts(location, payload, opts).await,
        };
        let target = self.files.path_to_filesystem(location)?;
        let name = location.to_string();
        blocking(move || {
            put(&target, &payload, create).map_err(|error| {
                if error.kind() == std::io::ErrorKind::AlreadyExists {
                    Error::AlreadyExists { path: name, source: Box::new(error) }
                } else {
                    failed(error)
                }
            })
        })
        .await?;
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let target = self.files.path_to_filesystem(location)?;
        let upload = self.files.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { upload, target, flushes: Arc::clone(&self.flushes) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await?;
        self.flush(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.files.rename_opts(from, to, options).await?;
        self.flush(to).await
    }
}

impl DurableFiles {
    async fn flush(&self, location: &Path) -> Result<()> {
        let target = self.files.path_to_filesystem(location)?;
        blocking(move || flush(&target).map_err(failed)).await?;
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn flush(target: &FilePath) -> std::io::Result<()> {
    File::open(target)?.sync_all()?;
    target.ancestors().skip(1).take(3).try_for_each(|folder| File::open(folder)?.sync_all())
}

/// Upload in parts that is flushed when it is complete.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    target: PathBuf,
    flushes: Arc<AtomicU64>,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        let target = self.target.clone();
        blocking(move || flush(&target).map_err(failed)).await?;
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
