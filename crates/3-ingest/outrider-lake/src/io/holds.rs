//! Keeps legal holds and the retention beside the table, in a folder that table tools leave alone.
//!
//! A hold is a file that is made once and never changed; its release is another. So two programs cannot overwrite each
//! other's, and what was held when, and by whom, can be read years later.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::lake::Lake;
use crate::error::LakeError;
use crate::hold::{Hold, Release};
use crate::tier::Retention;

/// Folder below the table; names that begin with `_` are nobody's rows.
const FOLDER: &str = "_outrider";

/// Most bytes of one of our files.
const FILE_BYTES_MAX: u64 = 1_024 * 1_024;

/// Most holds ever set.
const HOLDS_MAX: usize = 100_000;

fn hold_path(id: &str) -> Path {
    Path::from(format!("{FOLDER}/holds/{id}.json"))
}

fn release_path(id: &str) -> Path {
    Path::from(format!("{FOLDER}/holds/{id}.released.json"))
}

async fn read(store: &dyn ObjectStore, path: &Path) -> Result<Option<Vec<u8>>, LakeError> {
    let found = match store.get(path).await {
        Ok(found) => found,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if found.meta.size > FILE_BYTES_MAX {
        return Err(LakeError::Hold { reason: format!("{path} is larger than {FILE_BYTES_MAX} bytes") });
    }
    Ok(Some(found.bytes().await?.to_vec()))
}

async fn create(store: &dyn ObjectStore, path: &Path, text: String) -> Result<bool, LakeError> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(path, PutPayload::from(text), options).await {
        Ok(_) => Ok(true),
        Err(Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Lake {
    /// Sets a hold; durable on return, and honoured by every retention that starts later.
    ///
    /// # Errors
    /// [`LakeError::Hold`] if it is not valid or its name is taken; storage.
    pub async fn hold_async(&self, hold: &Hold) -> Result<(), LakeError> {
        hold.check()?;
        let store = self.store().await?;
        if create(store.as_ref(), &hold_path(&hold.id), hold.text()).await? {
            return Ok(());
        }
        Err(LakeError::Hold { reason: format!("there is a hold {} already", hold.id) })
    }

    /// Releases a hold; its file stays.
    ///
    /// # Errors
    /// [`LakeError::Hold`] if there is none of this name, or it is released already; storage.
    pub async fn release_async(&self, id: &str, release: &Release) -> Result<(), LakeError> {
        let store = self.store().await?;
        if !self.holds_async().await?.iter().any(|(hold, _)| hold.id == id) {
            return Err(LakeError::Hold { reason: format!("there is no hold {id}") });
        }
        if create(store.as_ref(), &release_path(id), release.text()).await? {
            return Ok(());
        }
        Err(LakeError::Hold { reason: format!("hold {id} is released already") })
    }

    /// Returns every hold that was ever set, by name, with its release.
    ///
    /// # Errors
    /// [`LakeError`]. A hold that cannot be read is an error, because whoever deletes must know all of them.
    pub async fn holds_async(&self) -> Result<Vec<(Hold, Option<Release>)>, LakeError> {
        let store = self.shared.state.lock().await.table.object_store();
        let folder = Path::from(format!("{FOLDER}/holds"));
        let mut names: Vec<String> = store
            .list(Some(&folder))
            .try_filter_map(|file| async move { Ok(file.location.filename().map(str::to_owned)) })
            .try_collect()
            .await?;
        names.sort();
        let ids: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".json"))
            .filter(|id| !id.ends_with(".released"))
            .collect();
        if ids.len() > HOLDS_MAX {
            return Err(LakeError::Hold { reason: format!("there are more than {HOLDS_MAX}") });
        }
        let mut holds = Vec::with_capacity(ids.len());
        for id in ids {
            let unreadable = |error: LakeError| LakeError::Hold { reason: format!("{id}: {error}") };
            let gone = || LakeError::Hold { reason: format!("{id} went away while it was read") };
            let text = read(store.as_ref(), &hold_path(id)).await?.ok_or_else(gone)?;
            let hold = Hold::parse(&text).map_err(unreadable)?;
            let release = match read(store.as_ref(), &release_path(id)).await? {
                Some(text) => Some(Release::parse(&text).map_err(unreadable)?),
                None => None,
            };
            holds.push((hold, release));
        }
        Ok(holds)
    }

    /// Keeps the retention beside the table, for every program that opens it.
    ///
    /// # Errors
    /// [`LakeError::Retention`] if it is not valid; storage.
    pub async fn set_retention_async(&self, retention: &Retention) -> Result<(), LakeError> {
        retention.check()?;
        let path = Path::from(format!("{FOLDER}/retention.json"));
        self.store().await?.put(&path, PutPayload::from(retention.text())).await?;
        Ok(())
    }

    /// Returns the retention that is kept beside the table; nothing ends without one.
    ///
    /// # Errors
    /// [`LakeError`]; one that cannot be read is an error, not the absence of one.
    pub async fn retention_async(&self) -> Result<Retention, LakeError> {
        let store = self.shared.state.lock().await.table.object_store();
        let text = read(store.as_ref(), &Path::from(format!("{FOLDER}/retention.json"))).await?;
        text.map_or_else(|| Ok(Retention::default()), |text| Retention::parse(&text))
    }

    /// Returns the table's store, to be written to.
    async fn store(&self) -> Result<std::sync::Arc<dyn ObjectStore>, LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        Ok(self.shared.state.lock().await.table.object_store())
    }
}
