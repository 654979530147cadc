//! The body of an upload: bounded in size and time, checked before anybody sees it.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use hyper::body::Bytes;
use leakhound_report::recording::{Limits, ReadError, read_within};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use warp::{Buf, http::StatusCode};

use crate::hex::hex;

/// A sender that says nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(20);
/// And one that takes longer than this for all of it never comes to an end.
const WHOLE: Duration = Duration::from_secs(300);
/// How many bodies of the largest size fit into memory at a time.
const BODIES: u64 = 2;
/// How long a sender whose recording was refused may go on with it.
const REFUSED: Duration = Duration::from_secs(30);
/// Permits are counted in such pieces, so that 32 bits suffice.
const PIECE: u64 = 1024;
/// How much of a recording is read to see whether it is one.
const HEAD: usize = 256 * 1024;

/// Why a body was not taken.
#[derive(Debug, Error)]
pub(super) enum ReceiveError {
    #[error("send a Content-Length")]
    NoLength,
    #[error(
        "a recording may have {limit} bytes: record for a shorter time, or raise --upload-limit of the operator"
    )]
    TooLarge { limit: u64 },
    #[error("send the SHA-256 of the body in hex as Leakhound-Sha256")]
    NoHash,
    #[error("the body was cut off or came too slowly: send it again")]
    CutOff,
    #[error("the body does not have the announced hash: send it again")]
    WrongHash,
    #[error("the body is no recording")]
    NoRecording(#[source] ReadError),
    #[error("the operator is stopping: try again")]
    Stopping,
}

impl ReceiveError {
    pub(super) fn code(&self) -> StatusCode {
        match self {
            Self::NoLength => StatusCode::LENGTH_REQUIRED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // agents try again after this one; after 400 they give the recording up
            Self::CutOff => StatusCode::REQUEST_TIMEOUT,
            Self::NoHash | Self::WrongHash | Self::NoRecording(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A body that was checked, and its share of the memory for bodies.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) content: Bytes,
    _memory: OwnedSemaphorePermit,
}

/// Receives bodies, so many bytes at a time.
pub(super) struct Receiver {
    limit: u64,
    memory: Arc<Semaphore>,
}

impl Receiver {
    pub(super) fn new(limit: u64) -> Self {
        let pieces =
            usize::try_from(limit.saturating_mul(BODIES) / PIECE + BODIES).unwrap_or(Semaphore::MAX_PERMITS);
        Self { limit, memory: Arc::new(Semaphore::new(pieces.min(Semaphore::MAX_PERMITS))) }
    }

    /// The announced size, when it is one that we take.
    pub(super) fn size(&self, length: Option<u64>) -> Result<u64, ReceiveError> {
        match length {
            None => Err(ReceiveError::NoLength),
            Some(length) if length > self.limit => Err(ReceiveError::TooLarge { limit: self.limit }),
            Some(length) => Ok(length),
        }
    }

    /// Reads a body of `size` bytes and checks it.
    pub(super) async fn receive<B: Buf>(
        &self,
        size: u64,
        sha256: &str,
        body: impl Stream<Item = Result<B, warp::Error>>,
    ) -> Result<Received, ReceiveError> {
        let pieces = u32::try_from(size / PIECE + 1).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.memory).acquire_many_owned(pieces);
        let memory = timeout(WHOLE, memory).await.map_err(|_closed| ReceiveError::Stopping)?;
        let memory = memory.map_err(|_closed| ReceiveError::Stopping)?;
        let content = timeout(WHOLE, read(size, body)).await.map_err(|_late| ReceiveError::CutOff)??;
        let expected = sha256.to_owned();
        let checked = tokio::task::spawn_blocking(move || check(content, &expected));
        let content = checked.await.map_err(|_closed| ReceiveError::Stopping)??;
        Ok(Received { content, _memory: memory })
    }
}

async fn read<B: Buf>(
    size: u64,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Vec<u8>, ReceiveError> {
    let mut body = pin!(body);
    let size = usize::try_from(size).map_err(|_late| ReceiveError::CutOff)?;
    let mut content = Vec::with_capacity(size);
    while let Some(chunk) = timeout(SILENCE, body.next()).await.map_err(|_late| ReceiveError::CutOff)? {
        let mut chunk = chunk.map_err(|_late| ReceiveError::CutOff)?;
        while chunk.has_remaining() {
            let part = chunk.chunk();
            if content.len() + part.len() > size {
                return Err(ReceiveError::CutOff);
            }
            content.extend_from_slice(part);
            let taken = part.len();
            chunk.advance(taken);
        }
    }
    if content.len() == size { Ok(content) } else { Err(ReceiveError::CutOff) }
}

/// Reads what is left of a refused body and keeps none of it: most clients read no answer before they have sent everything, and
/// closing on them loses it, so that they would send again what is refused for good.
pub(super) async fn discard<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) {
    let mut body = pin!(body);
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    if timeout(REFUSED, rest).await.is_err() {
        tracing::debug!("the sender of a refused recording did not come to its end");
    }
}

/// A recording that was cut off can be read up to there, so its beginning shows whether it is one.
fn check(content: Vec<u8>, sha256: &str) -> Result<Bytes, ReceiveError> {
    if hex(Sha256::digest(&content)) != sha256 {
        return Err(ReceiveError::WrongHash);
    }
    let limits = Limits { line_bytes: 4 << 20, recording_bytes: 16 << 20 };
    match read_within(&content[..content.len().min(HEAD)], limits) {
        // A beginning that is too large to look at is a recording all the same.
        Ok(_) | Err(ReadError::TooLarge { .. } | ReadError::LineTooLong { .. }) => Ok(Bytes::from(content)),
        Err(error) => Err(ReceiveError::NoRecording(error)),
    }
}

/// The announced hash, when it looks like one.
pub(super) fn hash_of(text: Option<String>) -> Result<String, ReceiveError> {
    let text = text.map(|text| text.trim().to_ascii_lowercase());
    text.filter(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or(ReceiveError::NoHash)
}
