//! Looking at a cluster. What the user may not see stays unknown.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::{
    api::{
        authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
        coordination::v1::Lease,
        core::v1,
    },
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};
use leakhound_crds::{
    names::{AGENT_LEASE_PREFIX, GROUP, PREFLIGHT, VERSION},
    preflight,
};

use super::{Agent, Health, Node, Right};
use crate::cluster::{access::Access, forward, refusal::Right::View};

pub(super) async fn look(access: &Access) -> Result<Health> {
    let version = access.client.apiserver_version().await;
    let version = version.map_err(|error| access.refused("cannot ask for the version", &error, View))?;
    let installed = match access.client.list_api_group_resources(&format!("{GROUP}/{VERSION}")).await {
        Ok(_resources) => true,
        Err(kube::Error::Api(status)) if status.code == 404 => false,
        Err(error) => return Err(access.refused("cannot look for LeakInvestigation", &error, View)),
    };
    Ok(Health {
        server: access.server.clone(),
        kubernetes: version.git_version,
        installed,
        home: access.home.clone(),
        namespace: access.namespace.clone(),
        rights: rights(access).await?,
        operators: seen(forward::operators(access).await, access)?
            .map(|pods| pods.iter().map(|pod| (pod.name_any(), forward::is_ready(pod))).collect()),
        nodes: nodes(access).await?,
    })
}

/// What came back, or nothing when the user may not see it.
fn seen<T>(result: kube::Result<T>, access: &Access) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(access.refused("cannot look at the cluster", &error, View)),
    }
}

async fn rights(access: &Access) -> Result<Vec<Right>> {
    let own = |verb, resource, subresource| (GROUP, verb, resource, subresource, &*access.namespace);
    let asked = [
        ("list investigations", true, own("list", "leakinvestigations", "")),
        ("create investigations", true, own("create", "leakinvestigations", "")),
        ("stop investigations", false, own("patch", "leakinvestigations", "")),
        ("use mode Kernel", false, own("create", "leakinvestigations", "kernel")),
        ("fetch reports through the API server", false, ("", "get", "pods", "portforward", &*access.home)),
        ("fetch them from Kubernetes 1.35 on", false, ("", "create", "pods", "portforward", &*access.home)),
    ];
    let reviews: Api<SelfSubjectAccessReview> = Api::all(access.client.clone());
    let mut rights = Vec::new();
    for (what, essential, (group, verb, resource, subresource, namespace)) in asked {
        let text = |text: &str| Some(text.to_owned());
        let attributes = ResourceAttributes {
            group: text(group),
            verb: text(verb),
            resource: text(resource),
            subresource: text(subresource),
            namespace: text(namespace),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| access.refused("cannot ask what is allowed", &error, View))?;
        rights.push(Right { what, granted: answer.status.is_some_and(|status| status.allowed), essential });
    }
    Ok(rights)
}

async fn nodes(access: &Access) -> Result<Option<Vec<Node>>> {
    let leases: Api<Lease> = Api::namespaced(access.client.clone(), &access.home);
    let Some(leases) = seen(leases.list(&ListParams::default()).await, access)? else { return Ok(None) };
    let nodes: Api<v1::Node> = Api::all(access.client.clone());
    let named = seen(nodes.list(&ListParams::default()).await, access)?;
    let named = named.into_iter().flat_map(|nodes| nodes.items).map(|node| node.name_any());
    Ok(Some(merge(named, &leases.items, Timestamp::now())))
}

/// Every node known, with its agent.
fn merge(nodes: impl Iterator<Item = String>, leases: &[Lease], now: Timestamp) -> Vec<Node> {
    let mut agents: BTreeMap<String, Option<Agent>> = nodes.map(|node| (node, None)).collect();
    for lease in leases {
        if let Some(node) = lease.name_any().strip_prefix(AGENT_LEASE_PREFIX) {
            agents.insert(node.to_owned(), Some(agent(lease, now)));
        }
    }
    agents.into_iter().map(|(name, agent)| Node { name, agent }).collect()
}

fn agent(lease: &Lease, now: Timestamp) -> Agent {
    const PROMISED: i32 = 60;
    let renewed = preflight::renewed(lease).unwrap_or(Timestamp::UNIX_EPOCH);
    let silent_seconds = now.duration_since(renewed).as_secs().max(0);
    let promised = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let promised = i64::from(promised.unwrap_or(PROMISED));
    let said = lease.annotations().get(PREFLIGHT);
    Agent {
        silent_seconds,
        is_lost: silent_seconds > promised,
        preflight: said.and_then(|text| serde_json::from_str(text).ok()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(name: &str, renewed: &str, preflight: Option<&str>) -> Lease {
        let annotations = preflight.map(|text| json!({ PREFLIGHT: text }));
        serde_json::from_value(json!({
            "metadata": { "name": name, "annotations": annotations },
            "spec": { "leaseDurationSeconds": 60, "renewTime": renewed },
        }))
        .unwrap()
    }

    #[test]
    fn nodes_and_agents_are_matched_by_name() {
        let said = json!({ "version": "0.1.0", "kernel": "6.18", "attach": "uprobe.session", "new": 1 });
        let mut leases = [
            // its clock is an hour behind, and the API server knows better
            lease("leakhound-agent-n1", "2025-12-31T23:00:50.000000Z", Some(&said.to_string())),
            lease("leakhound-agent-n3", "2025-12-31T23:00:00.000000Z", Some("not JSON")),
            lease("leakhound-operator", "2026-01-01T00:00:50.000000Z", None),
        ];
        leases[0].metadata.managed_fields = serde_json::from_value(json!([
            { "manager": "leakhound-agent", "time": "2026-01-01T00:00:50Z" },
        ]))
        .unwrap();
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let found = merge(["n1".to_owned(), "n2".to_owned()].into_iter(), &leases, now);
        let names: Vec<&str> = found.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["n1", "n2", "n3"]);
        let first = found[0].agent.as_ref().unwrap();
        assert_eq!((first.silent_seconds, first.is_lost), (10, false));
        assert_eq!(first.preflight.as_ref().unwrap().attach.as_deref(), Some("uprobe.session"));
        assert_eq!(found[1].agent, None);
        let last = found[2].agent.as_ref().unwrap();
        assert!(last.is_lost && last.preflight.is_none());
    }
}
