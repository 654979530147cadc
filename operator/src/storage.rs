//! Recordings, conclusions and reports, in a directory or a bucket: everything too large for the API server.
//!
//! ```text
//! investigations/<uid>/recordings/<probe uid>-<sha256>.lhr    as uploaded
//! investigations/<uid>/report-id                              128 random bits, made once
//! investigations/<uid>/conclusion.json                        what the recordings say
//! reports/<report id>/<file>                                  what people download
//! ```
//!
//! Guarantees: an object is there whole or not at all. Names hold the hash, so storing the same recording twice changes
//! nothing, and the order above is the order of writing, so whatever was interrupted can be done again.

mod layout;
mod leftovers;
mod open;

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::TryStreamExt;
use hyper::body::Bytes;
use object_store::{
    GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path, prefix::PrefixStore,
};
use thiserror::Error;

pub(crate) use layout::{ReportId, StoredRecording};
pub(crate) use open::OpenError;

/// Why the store did not do what it was asked; always worth another try.
#[derive(Debug, Error)]
#[error("the report store failed to {action}")]
pub(crate) struct StorageError {
    action: &'static str,
    #[source]
    source: object_store::Error,
}

/// Where recordings and reports are kept.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    store: Arc<PrefixStore<Arc<dyn ObjectStore>>>,
    /// Where it is, when it is a directory.
    directory: Option<PathBuf>,
}

/// A file that is being written is touched all the time.
const ABANDONED: Duration = Duration::from_hours(1);

impl Storage {
    /// Opens the store of a URL: `file:///directory`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.
    /// Credentials come from the environment, as each cloud's own tools read them.
    pub(crate) fn open(url: &str) -> Result<Self, OpenError> {
        let (store, prefix) = open::open(url)?;
        let directory = url.strip_prefix("file://").map(PathBuf::from);
        Ok(Self { store: Arc::new(PrefixStore::new(store, prefix)), directory })
    }

    /// Writes, reads and removes one small object: whether there is a disk, and whether we may use it.
    pub(crate) async fn check(&self) -> Result<(), StorageError> {
        let path = Path::from("check");
        self.put(&path, Bytes::from_static(b"leakhound"), PutMode::Overwrite).await?;
        self.get(&path).await?;
        self.delete(&path).await
    }

    /// Every recording of an investigation.
    pub(crate) async fn recordings(&self, investigation: &str) -> Result<Vec<StoredRecording>, StorageError> {
        let objects = self.list(&layout::recordings(investigation)).await?;
        Ok(objects.iter().filter_map(StoredRecording::parse).collect())
    }

    /// Keeps an uploaded recording, and drops older ones of the same probe.
    pub(crate) async fn put_recording(
        &self,
        investigation: &str,
        recording: &StoredRecording,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        self.put(&recording.path(investigation), bytes, PutMode::Overwrite).await?;
        for other in self.recordings(investigation).await? {
            if other.probe == recording.probe && other.sha256 != recording.sha256 {
                self.delete(&other.path(investigation)).await?;
            }
        }
        Ok(())
    }

    /// The bytes of a recording; `None` when it has gone.
    pub(crate) async fn recording(
        &self,
        investigation: &str,
        recording: &StoredRecording,
    ) -> Result<Option<Bytes>, StorageError> {
        self.read(&recording.path(investigation)).await
    }

    /// The id under which an investigation's reports are served. Made on first use; whoever comes second gets the first one's.
    pub(crate) async fn report_id(&self, investigation: &str) -> Result<ReportId, StorageError> {
        let path = layout::report_id(investigation);
        if let Some(id) = self.known_report_id(investigation).await? {
            return Ok(id);
        }
        let id = ReportId::random();
        match self.put(&path, Bytes::from(id.to_string()), PutMode::Create).await {
            Ok(()) => Ok(id),
            Err(StorageError { source: object_store::Error::AlreadyExists { .. }, .. }) => {
                Ok(self.known_report_id(investigation).await?.unwrap_or(id))
            }
            Err(error) => Err(error),
        }
    }

    /// What an investigation was found to say, as it was stored.
    pub(crate) async fn conclusion(&self, investigation: &str) -> Result<Option<Bytes>, StorageError> {
        self.read(&layout::conclusion(investigation)).await
    }

    /// Stores what an investigation says. Written last: when it is there, so are the reports that it names.
    pub(crate) async fn put_conclusion(&self, investigation: &str, json: Bytes) -> Result<(), StorageError> {
        self.put(&layout::conclusion(investigation), json, PutMode::Overwrite).await
    }

    /// Stores a file for people.
    pub(crate) async fn put_report(
        &self,
        id: &ReportId,
        file: &str,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        self.put(&layout::report(id, file), bytes, PutMode::Overwrite).await
    }

    /// A file for people, as a stream; `None` when nobody ever stored it.
    pub(crate) async fn report(&self, id: &ReportId, file: &str) -> Result<Option<GetResult>, StorageError> {
        self.get(&layout::report(id, file)).await
    }

    /// The uid of every investigation of which something is stored.
    pub(crate) async fn investigations(&self) -> Result<Vec<String>, StorageError> {
        let listed = self
            .store
            .list_with_delimiter(Some(&layout::root()))
            .await
            .map_err(|source| StorageError { action: "list investigations", source })?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Removes all of an investigation: reports first, for without the id nobody would find them again.
    pub(crate) async fn remove(&self, investigation: &str) -> Result<(), StorageError> {
        if let Some(id) = self.known_report_id(investigation).await? {
            for path in self.list(&layout::reports(&id)).await? {
                self.delete(&path).await?;
            }
        }
        let mut paths = self.list(&layout::investigation(investigation)).await?;
        paths.sort_by_key(|path| *path == layout::report_id(investigation)); // the id last
        for path in paths {
            self.delete(&path).await?;
        }
        Ok(())
    }

    /// Removes what writers that were killed left in a directory; says how many files that were.
    pub(crate) async fn remove_leftovers(&self) -> Result<usize, StorageError> {
        self.remove_leftovers_of(ABANDONED).await
    }

    async fn remove_leftovers_of(&self, age: Duration) -> Result<usize, StorageError> {
        let Some(directory) = self.directory.clone() else { return Ok(0) };
        let remove = move || {
            let removed = leftovers::remove(&directory.join("investigations"), age)?;
            Ok::<_, std::io::Error>(removed + leftovers::remove(&directory.join("reports"), age)?)
        };
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StorageError {
            action: "remove what writers that were killed have left",
            source: object_store::Error::Generic { store: "file", source },
        };
        let removed = tokio::task::spawn_blocking(remove).await.map_err(|error| failed(error.into()))?;
        removed.map_err(|error| failed(error.into()))
    }

    async fn known_report_id(&self, investigation: &str) -> Result<Option<ReportId>, StorageError> {
        let stored = self.read(&layout::report_id(investigation)).await?;
        Ok(stored.and_then(|text| std::str::from_utf8(&text).ok().and_then(ReportId::parse)))
    }

    async fn read(&self, path: &Path) -> Result<Option<Bytes>, StorageError> {
        let Some(result) = self.get(path).await? else { return Ok(None) };
        result.bytes().await.map(Some).map_err(|source| StorageError { action: "read an object", source })
    }

    async fn get(&self, path: &Path) -> Result<Option<GetResult>, StorageError> {
        match self.store.get(path).await {
            Ok(result) => Ok(Some(result)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(StorageError { action: "get an object", source }),
        }
    }

    async fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<(), StorageError> {
        self.store
            .put_opts(path, PutPayload::from_bytes(bytes), PutOptions::from(mode))
            .await
            .map(drop)
            .map_err(|source| StorageError { action: "put an object", source })
    }

    async fn list(&self, prefix: &Path) -> Result<Vec<Path>, StorageError> {
        self.store
            .list(Some(prefix))
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(|source| StorageError { action: "list objects", source })
    }

    async fn delete(&self, path: &Path) -> Result<(), StorageError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(StorageError { action: "delete an object", source }),
        }
    }
}

#[cfg(test)]
mod tests;
