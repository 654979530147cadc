//! The pods that a wish may mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference},
};
use kube::{
    Api, Resource, ResourceExt,
    api::ListParams,
    core::{Expression, NamespaceResourceScope, Selector},
};
use leakhound_crds::{
    LeakInvestigation,
    investigation::target::{WorkloadKind, WorkloadRef},
};
use serde::de::DeserializeOwned;

use super::{ReconcileError, Result, get};
use crate::{context::Context, controller::resolve::Candidates, pod::PodView};

/// Pods of one page of a list, and of a list at most: nobody chooses among more.
const PAGE: u32 = 250;
const MOST_PODS: usize = 2000;

/// Looks for the pods that an investigation may mean.
pub(super) async fn candidates(
    context: &Context,
    investigation: &LeakInvestigation,
    namespace: &str,
) -> Result<Candidates> {
    let wish = &investigation.spec.target;
    if let Some(name) = &wish.pod_name {
        let pod = get::<Pod>(&context.namespaced(namespace), name, "get a pod").await?;
        return Ok(Candidates::Pod { name: name.clone(), pod: pod.as_ref().map(PodView::from) });
    }
    if let Some(workload) = &wish.workload_ref {
        let pods = pods_of(context, namespace, workload).await?;
        return Ok(Candidates::Workload { kind: workload.kind, name: workload.name.clone(), pods });
    }
    let selector = wish.selector.as_ref().map(LabelSelector::from).unwrap_or_default();
    let pods = list(context, namespace, &selector).await?;
    Ok(Candidates::Labelled { pods: pods.into_iter().map(|(pod, _)| pod).collect() })
}

/// The pods of a workload: its selector finds them, and their owners tell its own from others with the same labels.
async fn pods_of(context: &Context, namespace: &str, workload: &WorkloadRef) -> Result<Option<Vec<PodView>>> {
    let name = &workload.name;
    let owner = match workload.kind {
        WorkloadKind::Deployment => {
            owner::<Deployment>(context, namespace, name, |owner| owner.spec.map(|spec| spec.selector))
                .await?
        }
        WorkloadKind::StatefulSet => {
            owner::<StatefulSet>(context, namespace, name, |owner| owner.spec.map(|spec| spec.selector))
                .await?
        }
        WorkloadKind::DaemonSet => {
            owner::<DaemonSet>(context, namespace, name, |owner| owner.spec.map(|spec| spec.selector)).await?
        }
        WorkloadKind::ReplicaSet => {
            owner::<ReplicaSet>(context, namespace, name, |owner| owner.spec.map(|spec| spec.selector))
                .await?
        }
    };
    let Some((uid, selector)) = owner else { return Ok(None) };
    let mut pods = Vec::new();
    let mut owners: BTreeMap<String, bool> = BTreeMap::new();
    for (pod, controller) in list(context, namespace, &selector).await? {
        let Some(controller) = controller else { continue };
        let known = owners.get(&controller.uid).copied();
        let is_own = match known {
            Some(is_own) => is_own,
            None if controller.uid == uid => true,
            // A Deployment's pods belong to its ReplicaSets.
            None if controller.kind == "ReplicaSet" => {
                let api = context.namespaced(namespace);
                let set = get::<ReplicaSet>(&api, &controller.name, "get a ReplicaSet").await?;
                set.as_ref().and_then(controller_of).is_some_and(|owner| owner.uid == uid)
            }
            None => false,
        };
        owners.insert(controller.uid, is_own);
        if is_own {
            pods.push(pod);
        }
    }
    Ok(Some(pods))
}

/// Uid and selector of a workload.
async fn owner<K>(
    context: &Context,
    namespace: &str,
    name: &str,
    selector: fn(K) -> Option<LabelSelector>,
) -> Result<Option<(String, LabelSelector)>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let owner = get::<K>(&context.namespaced(namespace), name, "get a workload").await?;
    Ok(owner.and_then(|owner| Some((owner.uid()?, selector(owner)?))))
}

fn controller_of(object: &impl ResourceExt) -> Option<&OwnerReference> {
    object.owner_references().iter().find(|owner| owner.controller == Some(true))
}

async fn list(
    context: &Context,
    namespace: &str,
    selector: &LabelSelector,
) -> Result<Vec<(PodView, Option<OwnerReference>)>> {
    let failed = |source| ReconcileError::api("list pods", source);
    let api: Api<Pod> = context.namespaced(namespace);
    let selector: Selector = match selector.clone().try_into() {
        Ok(selector) => selector,
        // The server has checked it; one that it took and we cannot read fits nothing.
        Err(_) => Selector::from(Expression::In("leakhound.dev/none".to_owned(), BTreeSet::new())),
    };
    let mut params = ListParams::default().labels_from(&selector).limit(PAGE);
    let mut pods = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(failed)?;
        pods.extend(page.items.iter().map(|pod| (PodView::from(pod), controller_of(pod).cloned())));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() && pods.len() < MOST_PODS => {
                params = params.continue_token(&token);
            }
            _ => return Ok(pods),
        }
    }
}
