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
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    files: LocalFileSystem,
}

impl DurableFiles {
    /// Creates a store whose paths start at the root of the file system.
    pub(super) fn new() -> Self {
        Self { files: LocalFileSystem::new() }
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
        // Left over if the process dies here; `sweep` finds it.
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
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let target = self.files.path_to_filesystem(location)?;
        let upload = self.files.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { upload, target }))
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
        blocking(move || flush(&target).map_err(failed)).await
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
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

/// Deletes what writes left behind that were cut off longer ago than `age`.
///
/// # Errors
/// What the file system says; what was deleted stays deleted.
pub(super) fn sweep(folder: &FilePath, age: Duration) -> std::io::Result<u64> {
    let mut swept = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let name = entry.file_name();
            let staged =
                name.to_str().and_then(|name| name.rsplit_once(STAGING)).is_some_and(|(_, serial)| {
                    !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_digit())
                });
            // An age that cannot be told, because the clock went back, is young.
            if staged && meta.modified()?.elapsed().is_ok_and(|elapsed| elapsed >= age) {
                std::fs::remove_file(entry.path())?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    fn names(folder: &FilePath) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("the folder can be listed");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("the folder can be listed").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_name_appears_once_with_all_its_bytes_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("new").join("entry.json");
        let path = Path::from_absolute_path(&target).expect("an absolute path");
        let store = DurableFiles::new();
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&path, PutPayload::from_static(b"first"), create()).await.expect("creates");
        let second = store.put_opts(&path, PutPayload::from_static(b"second"), create()).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
        assert_eq!(std::fs::read(&target).expect("there"), b"first");
        store.put(&path, PutPayload::from_static(b"third")).await.expect("replaces");
        assert_eq!(store.get(&path).await.expect("there").bytes().await.expect("reads"), b"third".as_slice());
        let mut upload = store.put_multipart(&path).await.expect("starts");
        upload.put_part(PutPayload::from_static(b"in parts")).await.expect("writes");
        assert_eq!(std::fs::read(&target).expect("there"), b"third", "not visible before it is complete");
        upload.complete().await.expect("completes");
        assert_eq!(std::fs::read(&target).expect("there"), b"in parts");
        assert_eq!(names(&folder.path().join("new")), ["entry.json"]);
    }

    #[test]
    fn sweeping_takes_only_old_leftovers() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["a.json", "a.json#12000000001", "a#b", "a#"] {
            std::fs::write(folder.path().join(name), b"x").expect("writes");
        }
        assert_eq!(sweep(folder.path(), Duration::from_secs(3_600)).expect("sweeps"), 0);
        assert_eq!(sweep(folder.path(), Duration::ZERO).expect("sweeps"), 1);
        assert_eq!(names(folder.path()), ["a#", "a#b", "a.json"]);
    }
}
