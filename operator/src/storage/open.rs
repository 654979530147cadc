//! From a URL to a store.

use std::{path::PathBuf, sync::Arc};

use object_store::{
    ObjectStore, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem, path::Path,
};
use thiserror::Error;

/// Why there is no store.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// Not a URL that we know.
    #[error(
        "{url} names no store: give file:///directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
    )]
    Unknown { url: String },
    /// The directory cannot be made.
    #[error("cannot make the directory {}: mount a volume there, or name another with --store", directory.display())]
    Directory {
        directory: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The settings contradict each other or are incomplete.
    #[error("cannot use {url} as a store: check its name, and the credentials in the environment")]
    Settings {
        url: String,
        #[source]
        source: object_store::Error,
    },
}

type Opened = (Arc<dyn ObjectStore>, Path);

pub(super) fn open(url: &str) -> Result<Opened, OpenError> {
    let unknown = || OpenError::Unknown { url: url.to_owned() };
    let settings = |source| OpenError::Settings { url: url.to_owned(), source };
    let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
    if scheme == "file" {
        return directory(rest).ok_or_else(unknown)?.map_err(|source| match source {
            DirectoryError::Make(source) => OpenError::Directory { directory: rest.into(), source },
            DirectoryError::Use(source) => settings(source),
        });
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(unknown());
    }
    let store: Arc<dyn ObjectStore> = match scheme {
        "s3" => Arc::new(AmazonS3Builder::from_env().with_bucket_name(bucket).build().map_err(settings)?),
        "gs" => Arc::new(
            GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).build().map_err(settings)?,
        ),
        "az" => {
            Arc::new(MicrosoftAzureBuilder::from_env().with_container_name(bucket).build().map_err(settings)?)
        }
        _ => return Err(unknown()),
    };
    Ok((store, Path::from(prefix)))
}

enum DirectoryError {
    Make(std::io::Error),
    Use(object_store::Error),
}

fn directory(path: &str) -> Option<Result<Opened, DirectoryError>> {
    if !path.starts_with('/') {
        return None;
    }
    let opened = || {
        std::fs::create_dir_all(path).map_err(DirectoryError::Make)?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(DirectoryError::Use)?;
        let store = store.with_automatic_cleanup(true).with_fsync(true);
        Ok((Arc::new(store) as Arc<dyn ObjectStore>, Path::default()))
    };
    Some(opened())
}
