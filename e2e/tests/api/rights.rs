//! Who may do what: every right that the chart grants, and the ones next to it that it must not.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};
use leakhound_e2e::ApiServer;

use crate::support::{SYSTEM, shop};

const OPERATOR: &str = "system:serviceaccount:leakhound-system:leakhound-operator";
const AGENT: &str = "system:serviceaccount:leakhound-system:leakhound-agent";
/// Stands for the namespace in which the users have their roles.
const SHOP: &str = "shop";
/// Stands for the whole cluster.
const CLUSTER: &str = "";

/// User, verbs, resource (group/resource/subresource:name), namespace, granted.
type Question = (&'static str, &'static str, &'static str, &'static str, bool);

const LEAKS: &str = "leakhound.dev/leakinvestigations";
const PROBES: &str = "leakhound.dev/leakprobes";
const LEASES: &str = "coordination.k8s.io/leases";

const USERS: &[Question] = &[
    ("viewer", "get list watch", LEAKS, SHOP, true),
    ("viewer", "create update patch delete", LEAKS, SHOP, false),
    ("dev", "get list watch create update patch delete deletecollection", LEAKS, SHOP, true),
    ("dev", "create", LEAKS, "default", false),
    ("dev", "patch update", "leakhound.dev/leakinvestigations/status", SHOP, false),
    ("dev", "create", "leakhound.dev/leakinvestigations/kernel", SHOP, false),
    ("adm", "get create delete", LEAKS, SHOP, true),
    ("adm", "create", "leakhound.dev/leakinvestigations/kernel", SHOP, false),
    ("adm", "get create", PROBES, SHOP, false),
    ("ops", "create", "leakhound.dev/leakinvestigations/kernel", SHOP, true),
    ("ops", "create", "leakhound.dev/leakinvestigations/kernel", "default", false),
    ("dev", "get list create", PROBES, SHOP, false),
    ("dev", "get list create", PROBES, SYSTEM, false),
];

const OF_OPERATOR: &[Question] = &[
    (OPERATOR, "get list watch delete", LEAKS, SHOP, true),
    (OPERATOR, "create update patch deletecollection", LEAKS, SHOP, false),
    (OPERATOR, "patch", "leakhound.dev/leakinvestigations/status", SHOP, true),
    (OPERATOR, "create", "leakhound.dev/leakinvestigations/kernel", SHOP, false),
    (OPERATOR, "get list watch", "/pods", SHOP, true),
    (OPERATOR, "create patch delete", "/pods", SHOP, false),
    (OPERATOR, "create", "/pods", SYSTEM, false),
    (OPERATOR, "create", "/pods/exec", SHOP, false),
    (OPERATOR, "get", "apps/deployments", SHOP, true),
    (OPERATOR, "get", "apps/replicasets", SHOP, true),
    (OPERATOR, "get", "apps/statefulsets", SHOP, true),
    (OPERATOR, "get", "apps/daemonsets", SHOP, true),
    (OPERATOR, "list patch", "apps/deployments", SHOP, false),
    (OPERATOR, "get", "/nodes", CLUSTER, true),
    (OPERATOR, "list patch", "/nodes", CLUSTER, false),
    (OPERATOR, "get", "/namespaces", CLUSTER, true),
    (OPERATOR, "list", "/namespaces", CLUSTER, false),
    (OPERATOR, "get", "node.k8s.io/runtimeclasses", CLUSTER, true),
    (OPERATOR, "create patch", "/events", SHOP, true),
    (OPERATOR, "create patch", "events.k8s.io/events", SHOP, true),
    (OPERATOR, "list", "/events", SHOP, false),
    (OPERATOR, "create", "authentication.k8s.io/tokenreviews", CLUSTER, true),
    (OPERATOR, "create", "authorization.k8s.io/subjectaccessreviews", CLUSTER, false),
    (
        OPERATOR,
        "get",
        "apiextensions.k8s.io/customresourcedefinitions:leakprobes.leakhound.dev",
        CLUSTER,
        true,
    ),
    (OPERATOR, "get", "apiextensions.k8s.io/customresourcedefinitions:others.example.org", CLUSTER, false),
    (OPERATOR, "get list watch create patch delete", PROBES, SYSTEM, true),
    (OPERATOR, "create", PROBES, SHOP, false),
    (OPERATOR, "patch", "leakhound.dev/leakprobes/status", SYSTEM, false),
    (OPERATOR, "get list watch create patch", LEASES, SYSTEM, true),
    (OPERATOR, "create", LEASES, SHOP, false),
    (OPERATOR, "get patch", "/secrets:leakhound-ca", SYSTEM, true),
    (OPERATOR, "get patch", "/secrets:leakhound-tls", SYSTEM, true),
    (OPERATOR, "get", "/secrets:other", SYSTEM, false),
    (OPERATOR, "list", "/secrets", SYSTEM, false),
    (OPERATOR, "get", "/secrets:leakhound-ca", SHOP, false),
    (OPERATOR, "create", "/serviceaccounts/token", SYSTEM, false),
];

const OF_AGENTS: &[Question] = &[
    (AGENT, "get list watch", PROBES, SYSTEM, true),
    (AGENT, "create update patch delete", PROBES, SYSTEM, false),
    (AGENT, "patch", "leakhound.dev/leakprobes/status", SYSTEM, true),
    (AGENT, "update", "leakhound.dev/leakprobes/status", SYSTEM, false),
    (AGENT, "get list", PROBES, SHOP, false),
    (AGENT, "get list", LEAKS, SHOP, false),
    (AGENT, "get create patch", LEASES, SYSTEM, true),
    (AGENT, "delete list update", LEASES, SYSTEM, false),
    (AGENT, "get list", "/pods", SYSTEM, false),
    (AGENT, "get list", "/secrets", SYSTEM, false),
    (AGENT, "get", "/nodes", CLUSTER, false),
    (AGENT, "create", "authentication.k8s.io/tokenreviews", CLUSTER, false),
    (AGENT, "create", "/serviceaccounts/token", SYSTEM, false),
];

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_these_and_no_more() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = shop(server, "rights").await;
    let client = server.admin().unwrap();
    let questions = [USERS, OF_OPERATOR, OF_AGENTS].concat();
    let single = questions.iter().flat_map(|&(user, verbs, resource, place, wanted)| {
        verbs.split(' ').map(move |verb| (user, verb, resource, place, wanted))
    });
    let wrong: Vec<_> = stream::iter(single)
        .map(|(user, verb, resource, place, wanted)| {
            let (client, namespace) = (client.clone(), if place == SHOP { &namespace } else { place });
            async move {
                let got = granted(&client, user, verb, resource, namespace).await;
                (got != wanted).then(|| format!("{user} {verb} {resource} in {place:?}: {got}"))
            }
        })
        .buffer_unordered(8)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn granted(client: &Client, user: &str, verb: &str, resource: &str, namespace: &str) -> bool {
    let (resource, name) =
        resource.split_once(':').map_or((resource, None), |(left, name)| (left, Some(name)));
    let mut parts = resource.split('/').map(str::to_owned);
    let attributes = ResourceAttributes {
        group: parts.next(),
        resource: parts.next(),
        subresource: parts.next(),
        name: name.map(str::to_owned),
        namespace: Some(namespace.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let groups = user.starts_with("system:").then(|| vec!["system:serviceaccounts".to_owned()]);
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups,
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_without_aggregation_grants_users_nothing() {
    if ApiServer::shared().await.is_none() {
        return;
    }
    let values = serde_json::json!({ "rbac": { "aggregate": false } });
    let rendered = leakhound_e2e::chart::helm_template("elsewhere", &values).unwrap();
    assert!(!rendered.contains("aggregate-to-"), "{rendered}");
}
