//! Hands a recording to the operator, which alone decides whether it wants it.

mod answer;
mod patience;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use leakhound_crds::names::SHA256_HEADER;
use reqwest::{
    Certificate, Client, Url,
    header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, RETRY_AFTER},
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub(crate) use answer::Answer;
pub(crate) use patience::Patience;

/// Time for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for a whole upload: 32 MiB at less than 3 Mbit/s.
const WHOLE: Duration = Duration::from_mins(2);
/// As much of an answer as is told to people.
const MOST_WORDS: usize = 300;

/// Where recordings go. The certificate and the token are read again each time, because both are replaced while we run.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    operator: Url,
    ca_file: PathBuf,
    token_file: PathBuf,
}

/// A recording as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    bytes: Vec<u8>,
    sha256: String,
}

/// An upload did not come to an answer; trying again may help.
#[derive(Debug, Error)]
pub(crate) enum UploadError {
    /// A mounted file is not there (yet).
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Certificate, token or address cannot be used, or nobody answered.
    #[error("no answer from {operator}: {reason}")]
    Request {
        /// The operator's address.
        operator: Url,
        /// All causes in one line.
        reason: String,
    },
}

impl Parcel {
    /// Reads a recording.
    pub(crate) async fn read(path: &Path) -> io::Result<Self> {
        let bytes = tokio::fs::read(path).await?;
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        Ok(Self { bytes, sha256 })
    }

    /// As the probe's status names it.
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }
}

impl Uploads {
    /// To an operator at an `https` address.
    pub(crate) fn new(operator: Url, ca_file: PathBuf, token_file: PathBuf) -> Self {
        Self { operator, ca_file, token_file }
    }

    /// Tries once.
    pub(crate) async fn send(&self, probe_uid: &str, parcel: &Parcel) -> Result<Answer, UploadError> {
        let (ca, token) = (read(&self.ca_file).await?, read(&self.token_file).await?);
        let failed = |error: &dyn std::error::Error| UploadError::Request {
            operator: self.operator.clone(),
            reason: causes(error),
        };
        let certificates = Certificate::from_pem_bundle(&ca).map_err(|error| failed(&error))?;
        let client = Client::builder()
            .tls_certs_only(certificates)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none()) // nobody else gets the token
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .build()
            .map_err(|error| failed(&error))?;
        let mut url = self.operator.clone();
        url.set_path(&format!("/v1/probes/{probe_uid}/recording"));
        let response = client
            .put(url)
            .header(AUTHORIZATION, format!("Bearer {}", String::from_utf8_lossy(&token).trim()))
            .header(CONTENT_LENGTH, parcel.bytes.len())
            .header(
                HeaderName::from_bytes(SHA256_HEADER.as_bytes()).map_err(|error| failed(&error))?,
                &parcel.sha256,
            )
            .body(parcel.bytes.clone())
            .send()
            .await
            .map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let words = response.text().await.unwrap_or_default();
        let words: String = words.trim().chars().take(MOST_WORDS).collect();
        Ok(Answer::of(status, retry_after.map(Duration::from_secs), &words))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, UploadError> {
    tokio::fs::read(path).await.map_err(|source| UploadError::File { path: path.to_owned(), source })
}

/// An error with all its causes: the first says only that a request failed.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    let mut words: Vec<String> = all.map(ToString::to_string).collect();
    words.dedup();
    words.join(": ")
}
