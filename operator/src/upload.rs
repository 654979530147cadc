//! Recordings from agents: `PUT /v1/probes/<uid>/recording` over TLS.
//!
//! ```text
//! token --TokenReview--> Uploader --admit--> may it write this probe's recording? --receive--> bytes --> store --> wake
//! ```
//!
//! Guarantees: a token that was not made for us, or of another account, or of a pod on another node, stores nothing; what is
//! stored has the announced hash and begins like a recording; sending the same again changes nothing. Only the leader takes
//! recordings: the others answer 503, and agents try again.

mod admit;
mod receive;
mod uploader;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use futures::Stream;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use leakhound_crds::{LeakProbe, names};
use tokio::sync::{Semaphore, watch};
use warp::{
    Buf, Filter, Reply,
    http::{HeaderValue, StatusCode},
};

use crate::{
    context::Context,
    metrics::Metrics,
    storage::{StorageError, StoredRecording},
};
use admit::{Admission, admit};
use receive::{ReceiveError, Receiver};
use uploader::{UploaderError, identify};

/// Token reviews at a time: a flood of bad tokens must not become a flood at the API server.
const REVIEWS: usize = 8;
/// After so long an agent may try again where the fault is ours.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The part that leads, while we lead.
pub(crate) type Leading = watch::Receiver<Option<Arc<Context>>>;

/// The routes.
pub(crate) fn routes(
    leading: Leading,
    metrics: Metrics,
    limit: u64,
) -> impl Filter<Extract = impl Reply, Error = Infallible> + Clone + Send + Sync + 'static {
    let desk = Arc::new(Desk { leading, reviews: Semaphore::new(REVIEWS), receiver: Receiver::new(limit) });
    warp::put()
        .and(warp::path!("v1" / "probes" / String / "recording"))
        .and(warp::header::optional("authorization"))
        .and(warp::header::optional("content-length"))
        .and(warp::header::optional(names::SHA256_HEADER))
        .and(warp::body::stream())
        .then(move |probe: String, authorization, length, sha256, body| {
            let (desk, metrics) = (Arc::clone(&desk), metrics.clone());
            async move {
                let announced = Announced { authorization, length, sha256 };
                let answer = desk.answer(&probe, announced, body).await;
                let code = answer.as_ref().map_or_else(Refused::code, Stored::code);
                metrics.uploaded(code.as_u16());
                match answer {
                    Ok(stored) => {
                        tracing::info!(probe, code = code.as_u16(), "recording");
                        reply(code, stored.text())
                    }
                    Err(refused) => {
                        tracing::warn!(probe, code = code.as_u16(), error = %refused, "recording refused");
                        reply(code, &refused.to_string())
                    }
                }
            }
        })
        .recover(async |_| Ok::<_, Infallible>(reply(StatusCode::NOT_FOUND, "there is nothing here")))
}

/// What the head of a request says.
struct Announced {
    authorization: Option<String>,
    length: Option<u64>,
    sha256: Option<String>,
}

/// A recording that is stored.
enum Stored {
    New,
    Known,
}

impl Stored {
    fn code(&self) -> StatusCode {
        match self {
            Self::New => StatusCode::CREATED,
            Self::Known => StatusCode::OK,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::New => "stored",
            Self::Known => "the same recording is stored already",
        }
    }
}

/// Why a recording was not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("this replica does not lead: try again")]
    NotLeading,
    #[error(transparent)]
    Uploader(#[from] UploaderError),
    #[error("there is no such probe: its investigation was deleted, or ended long ago")]
    NoSuchProbe,
    #[error("{0}")]
    NotAdmitted(&'static str),
    #[error("another recording of this probe is stored already, and the probe has finished")]
    Replaced,
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error("the recording could not be stored: try again")]
    Store(#[from] StorageError),
    #[error("the probe could not be looked up: try again")]
    LookUp(#[source] kube::Error),
}

impl Refused {
    fn code(&self) -> StatusCode {
        match self {
            Self::NotLeading | Self::Store(_) | Self::LookUp(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Uploader(error) => error.code(),
            Self::NoSuchProbe => StatusCode::NOT_FOUND,
            Self::NotAdmitted(_) => StatusCode::FORBIDDEN,
            Self::Replaced => StatusCode::CONFLICT,
            Self::Receive(error) => error.code(),
        }
    }

    fn is_cut_off(&self) -> bool {
        matches!(self, Self::Receive(ReceiveError::CutOff))
    }
}

/// Where uploads are handled.
struct Desk {
    leading: Leading,
    reviews: Semaphore,
    receiver: Receiver,
}

impl Desk {
    /// Takes a recording, or hears its sender out before saying why not.
    async fn answer<B: Buf>(
        &self,
        probe: &str,
        announced: Announced,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Stored, Refused> {
        let mut body = pin!(body);
        let answer = self.take(probe, announced, body.as_mut()).await;
        if answer.as_ref().is_err_and(|refused| !refused.is_cut_off()) {
            receive::discard(body).await;
        }
        answer
    }

    async fn take<B: Buf>(
        &self,
        probe: &str,
        announced: Announced,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Stored, Refused> {
        let context = self.leading.borrow().clone().ok_or(Refused::NotLeading)?;
        let size = self.receiver.size(announced.length)?;
        let uploader = {
            let _review = self.reviews.acquire().await.map_err(|_closed| Refused::NotLeading)?;
            identify(&context, announced.authorization.as_deref()).await?
        };
        let probe = find(&context, probe).await?.ok_or(Refused::NoSuchProbe)?;
        let investigation = &probe.spec.investigation;
        let sha256 = receive::hash_of(announced.sha256)?;
        let stored = context.storage.recordings(&investigation.uid).await?;
        match admit(&uploader, &probe, &stored, &sha256) {
            Admission::Welcome => {}
            Admission::Foreign(why) => return Err(Refused::NotAdmitted(why)),
            Admission::Replaced => return Err(Refused::Replaced),
        }
        let bytes = self.receiver.receive(size, &sha256, body).await?;
        let recording = StoredRecording { probe: probe.uid().unwrap_or_default(), sha256 };
        let is_known = stored.contains(&recording);
        if !is_known {
            context.storage.put_recording(&investigation.uid, &recording, bytes.content).await?;
        }
        let woken = ObjectRef::new(&investigation.name).within(&investigation.namespace);
        if context.wake.send(woken).is_err() {
            tracing::debug!("the reconcile loop has ended; the next leader finds the recording");
        }
        Ok(if is_known { Stored::Known } else { Stored::New })
    }
}

/// The probe of a uid. The watch may be a moment behind: an agent that knows a probe that we do not is asked about.
async fn find(context: &Context, uid: &str) -> Result<Option<Arc<LeakProbe>>, Refused> {
    if let Some(probe) = context.probes.find(|probe| probe.uid().as_deref() == Some(uid)) {
        return Ok(Some(probe));
    }
    let api = context.own::<LeakProbe>();
    let all = api.list(&kube::api::ListParams::default()).await.map_err(Refused::LookUp)?;
    Ok(all.items.into_iter().find(|probe| probe.uid().as_deref() == Some(uid)).map(Arc::new))
}

fn reply(code: StatusCode, text: &str) -> warp::reply::Response {
    let mut response = warp::reply::with_status(format!("{text}\n"), code).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert("retry-after", HeaderValue::from(RETRY_AFTER.as_secs()));
    }
    response
}
