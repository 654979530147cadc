//! The reconcile loop: observe, resolve, plan, apply.
//!
//! ```text
//! API server, store --observe--> Observed --plan (resolve)--> Plan { status, actions, wake } --apply--> API server, store
//! ```
//!
//! Guarantees: whatever is in memory can be read again; planning is pure; a reconcile that changes nothing writes nothing.

mod apply;
mod observe;
pub(crate) mod observed;
pub(crate) mod plan;
pub(crate) mod resolve;

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Future, FutureExt, Stream, StreamExt};
use kube::runtime::{
    controller::{Action, Config, Error, applier},
    reflector::ObjectRef,
    watcher,
};
use leakhound_crds::LeakInvestigation;
use thiserror::Error as ThisError;

use crate::{context::Context, storage::StorageError};

/// Reconciles at a time. Most of them wait for the API server.
const CONCURRENCY: u16 = 8;
/// Between two looks whether probes have been listed.
const LISTING: Duration = Duration::from_secs(1);

/// Why a reconcile is tried again.
#[derive(Debug, ThisError)]
pub(crate) enum ReconcileError {
    /// Somebody wrote in between.
    #[error("the object changed in between")]
    Conflict,
    /// The CRD in the cluster is older than this operator.
    #[error("the CustomResourceDefinitions are older than this operator: apply those of its version")]
    OldDefinition(#[source] Box<kube::Error>),
    /// The operator lacks a right.
    #[error("the operator may not {action}: see the ClusterRole leakhound-operator")]
    Forbidden {
        action: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer as it should.
    #[error("cannot {action}")]
    Api {
        action: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    /// The store did not answer as it should.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An analysis broke off.
    #[error("the analysis of a recording broke off")]
    Analysis(#[source] tokio::task::JoinError),
    /// What was concluded cannot be written down.
    #[error("cannot write down what was concluded")]
    Json(#[source] serde_json::Error),
}

impl ReconcileError {
    /// What an answer of the API server means.
    pub(crate) fn api(action: &'static str, source: kube::Error) -> Self {
        match &source {
            kube::Error::Api(status) if status.code == 409 => Self::Conflict,
            kube::Error::Api(status) if status.code == 403 => {
                Self::Forbidden { action, source: Box::new(source) }
            }
            kube::Error::Api(status)
                if status.code == 500 && status.message.contains("field not declared in schema") =>
            {
                Self::OldDefinition(Box::new(source))
            }
            _ => Self::Api { action, source: Box::new(source) },
        }
    }

    /// A label for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::OldDefinition(_) => "old_definition",
            Self::Forbidden { .. } => "forbidden",
            Self::Api { .. } => "api",
            Self::Storage(_) => "storage",
            Self::Analysis(_) | Self::Json(_) => "analysis",
        }
    }

    /// When to try again. Never hot: what a person has to mend takes a person's time.
    fn retry(&self) -> Duration {
        match self {
            Self::Conflict => Duration::from_millis(200),
            Self::OldDefinition(_) | Self::Forbidden { .. } => Duration::from_secs(60),
            Self::Api { .. } | Self::Storage(_) | Self::Analysis(_) | Self::Json(_) => Duration::from_secs(5),
        }
    }
}

/// Reconciles what `queue` names until it ends.
pub(crate) async fn run(
    context: Arc<Context>,
    queue: impl Stream<Item = Result<ObjectRef<LeakInvestigation>, watcher::Error>> + Send + 'static,
) {
    let store = context.investigations.clone();
    let config = Config::default().concurrency(CONCURRENCY);
    applier(reconcile, on_error, context, store, queue, config)
        .for_each(async |result| match result {
            Ok(_) | Err(Error::ObjectNotFound(_) | Error::ReconcilerFailed(..)) => {}
            Err(Error::QueueError(error)) => tracing::warn!(%error, "watch"),
            Err(error) => tracing::error!(%error, "reconcile loop"),
        })
        .await;
}

type Reconciling = Pin<Box<dyn Future<Output = Result<Action, ReconcileError>> + Send>>;

fn reconcile(investigation: Arc<LeakInvestigation>, context: Arc<Context>) -> Reconciling {
    async move {
        let _measured = context.metrics.reconciling();
        if investigation.metadata.deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        if !context.knows_probes() {
            return Ok(Action::requeue(LISTING));
        }
        let observed = observe::observe(&context, investigation).await?;
        let plan = plan::plan(&observed, &context.settings.report_url);
        let wake = apply::apply(&context, &observed, plan).await?;
        Ok(wake
            .map_or_else(Action::await_change, |wake| Action::requeue(wake.try_into().unwrap_or_default())))
    }
    .boxed()
}

#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn on_error(investigation: Arc<LeakInvestigation>, error: &ReconcileError, context: Arc<Context>) -> Action {
    context.metrics.reconcile_failed(error.kind());
    let name = investigation.metadata.name.as_deref().unwrap_or_default();
    let namespace = investigation.metadata.namespace.as_deref().unwrap_or_default();
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if matches!(error, ReconcileError::Conflict) {
        tracing::debug!(namespace, name, "conflict");
    } else {
        tracing::warn!(namespace, name, %error, cause, "reconcile failed");
    }
    Action::requeue(error.retry())
}
