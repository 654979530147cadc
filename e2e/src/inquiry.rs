//! A `LeakInvestigation` from apply to verdict, as a user of the cluster sees it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use leakhound_crds::condition::{self, SUCCEEDED};
use leakhound_crds::{Condition, ConditionStatus, LeakInvestigation, LeakInvestigationStatus};
use serde_json::{Value, json};

use crate::wait::until;

/// One investigation on a cluster.
#[derive(Debug, Clone)]
pub struct Inquiry {
    api: Api<LeakInvestigation>,
    name: String,
}

impl Inquiry {
    /// Creates it.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn begin(client: Client, namespace: &str, name: &str, spec: Value) -> Result<Self> {
        let inquiry = Self::named(client, namespace, name);
        let object = serde_json::from_value(json!({
            "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }))?;
        inquiry.api.create(&PostParams::default(), &object).await?;
        Ok(inquiry)
    }

    /// One that exists already.
    pub fn named(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    /// As it stands.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn get(&self) -> Result<LeakInvestigation> {
        Ok(self.api.get(&self.name).await?)
    }

    /// Whether it is there at all.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn exists(&self) -> Result<bool> {
        Ok(self.api.get_opt(&self.name).await?.is_some())
    }

    /// What the operator has said about it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn status(&self) -> Result<LeakInvestigationStatus> {
        Ok(self.get().await?.status.unwrap_or_default())
    }

    /// Changes its wishes.
    ///
    /// # Errors
    /// When the API server refuses the change.
    pub async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api.patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Deletes it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self) -> Result<()> {
        self.api.delete(&self.name, &kube::api::DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until its state is this one.
    ///
    /// # Errors
    /// When it is not in time, or it ends in another state.
    pub async fn reaches(&self, state: &str, deadline: Duration) -> Result<LeakInvestigationStatus> {
        let condition = format!("investigation {} is {state}", self.name);
        let (status, summary) = until(&condition, deadline, async || {
            let status = self.status().await?;
            let summary = summary(&status)?;
            let over = summary.status != ConditionStatus::Unknown;
            ensure!(over || summary.reason == state, "it is {}: {}", summary.reason, summary.message);
            Ok((status, summary))
        })
        .await?;
        if summary.reason != state {
            bail!("investigation {} ended as {}: {}", self.name, summary.reason, summary.message);
        }
        Ok(status)
    }

    /// Waits until it is over, whatever the result.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn ends(&self, deadline: Duration) -> Result<LeakInvestigationStatus> {
        until(&format!("investigation {} is over", self.name), deadline, async || {
            let status = self.status().await?;
            let summary = summary(&status)?;
            ensure!(
                summary.status != ConditionStatus::Unknown,
                "it is {}: {}",
                summary.reason,
                summary.message
            );
            Ok(status)
        })
        .await
    }
}

/// The condition that sums it up.
///
/// # Errors
/// When there is none, which the definition rules out.
pub fn summary(status: &LeakInvestigationStatus) -> Result<Condition> {
    condition::find(&status.conditions, SUCCEEDED).cloned().context("it has no condition Succeeded")
}
