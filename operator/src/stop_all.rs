//! The last errand before Leakhound is uninstalled: every investigation is ended while operator and agents are still there,
//! so that it has its result and its report, and does not stay `Running` for ever.

use std::time::Duration;

use anyhow::Context as _;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use leakhound_crds::{LeakInvestigation, names::OPERATOR_ACCOUNT};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::controller::observed::is_over;

/// Between two looks at what is still going on.
const LOOK: Duration = Duration::from_secs(1);

/// Sets `spec.stop` on everything that is not over, and waits until it is. An uninstall is not held up: when `patience` is
/// over, what still runs is named, and that is all.
pub(crate) async fn stop_all(patience: Duration) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("no way to the API server: run in a pod with a service account, or set KUBECONFIG")?;
    let deadline = Instant::now() + patience;
    loop {
        let open = match open(&client).await {
            Ok(open) => open,
            Err(error) if Instant::now() < deadline => {
                tracing::warn!(error = format!("{error:#}"), "trying again");
                sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        if open.is_empty() {
            tracing::info!("every investigation is over");
            return Ok(());
        }
        for investigation in open.iter().filter(|investigation| !investigation.spec.stop) {
            stop(&client, investigation).await;
        }
        if Instant::now() >= deadline {
            for investigation in &open {
                tracing::warn!(
                    namespace = investigation.namespace(),
                    name = investigation.name_any(),
                    "not over after {patience:?}: its probes go with the agents, and it gets no report"
                );
            }
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

async fn open(client: &Client) -> anyhow::Result<Vec<LeakInvestigation>> {
    let api = Api::<LeakInvestigation>::all(client.clone());
    let all = api.list(&ListParams::default()).await.context("cannot list the investigations")?;
    Ok(all.into_iter().filter(|investigation| !is_over(investigation)).collect())
}

async fn stop(client: &Client, investigation: &LeakInvestigation) {
    let namespace = investigation.namespace().unwrap_or_default();
    let name = investigation.name_any();
    let api = Api::<LeakInvestigation>::namespaced(client.clone(), &namespace);
    let params = PatchParams { field_manager: Some(OPERATOR_ACCOUNT.to_owned()), ..PatchParams::default() };
    match api.patch(&name, &params, &Patch::Merge(json!({ "spec": { "stop": true } }))).await {
        Ok(_) => tracing::info!(namespace, name, "told to stop"),
        Err(error) => tracing::warn!(namespace, name, %error, "cannot be told to stop"),
    }
}
