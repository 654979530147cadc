//! By what the operator knows who uploads a recording: TokenReview of a token that is mounted in an agent's pod.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use kube::{Api, api::PostParams};
use leakhound_crds::names::{AGENT_ACCOUNT, AUDIENCE, OPERATOR_ACCOUNT};
use leakhound_e2e::{
    ApiServer,
    apiserver::{Binding, request_token},
    wait::until,
};

use crate::support::{SYSTEM, outcome};

/// What the server says about a token, asked with the operator's own rights.
async fn review(server: &ApiServer, token: &str) -> TokenReviewStatus {
    let operator = server.token(SYSTEM, OPERATOR_ACCOUNT, Binding::None, None).await.unwrap();
    let reviews: Api<TokenReview> = Api::all(server.client_with(&operator).unwrap());
    let question = TokenReview {
        spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) },
        ..TokenReview::default()
    };
    reviews.create(&PostParams::default(), &question).await.unwrap().status.unwrap()
}

fn extra(status: &TokenReviewStatus, key: &str) -> Option<Vec<String>> {
    let user = status.user.as_ref()?;
    user.extra.as_ref()?.get(&format!("authentication.kubernetes.io/{key}")).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_token_names_account_pod_and_node() {
    let Some(server) = ApiServer::shared().await else { return };
    server.node("token-a").unwrap();
    let pod = server.agent_pod(SYSTEM, "token-a").await.unwrap();
    let token = server.token(SYSTEM, AGENT_ACCOUNT, Binding::Pod(&pod), Some(AUDIENCE)).await.unwrap();
    let status = review(server, &token).await;
    assert_eq!(status.authenticated, Some(true), "{status:?}");
    assert_eq!(status.audiences.as_deref(), Some(&[AUDIENCE.to_owned()][..]));
    let name = status.user.as_ref().and_then(|user| user.username.as_deref());
    assert_eq!(name, Some("system:serviceaccount:leakhound-system:leakhound-agent"));
    assert_eq!(extra(&status, "node-name"), Some(vec!["token-a".to_owned()]));
    assert_eq!(extra(&status, "pod-name"), Some(vec![pod.clone()]));
    assert_eq!(extra(&status, "pod-uid"), Some(vec![server.pod_uid(SYSTEM, &pod).await.unwrap()]));

    // it is of no use at the API server itself
    let version = server.client_with(&token).unwrap().apiserver_version().await;
    assert_eq!(outcome(version).0, 401);

    // and ends with its pod
    let delete = ["-n", SYSTEM, "delete", "pod", &pod, "--force", "--grace-period=0"];
    server.kubectl(&delete).unwrap().success().unwrap();
    let ended = until("the token ends with its pod", Duration::from_secs(30), async || {
        let status = review(server, &token).await;
        anyhow::ensure!(status.authenticated != Some(true), "still valid");
        Ok(status)
    });
    let error = ended.await.unwrap().error.unwrap();
    assert!(error.contains("service account token has been invalidated"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tokens_do_not_pass() {
    let Some(server) = ApiServer::shared().await else { return };
    let for_the_server = server.agent_token(SYSTEM, "token-b").await.unwrap();
    let status = review(server, &for_the_server).await;
    assert_ne!(status.authenticated, Some(true));
    let error = status.error.unwrap();
    assert!(error.contains("is invalid for the target audiences [\"leakhound\"]"), "{error}");

    let unbound = server.token(SYSTEM, AGENT_ACCOUNT, Binding::None, Some(AUDIENCE)).await.unwrap();
    let status = review(server, &unbound).await;
    assert_eq!(status.authenticated, Some(true), "known, and yet of no node:");
    assert_eq!((extra(&status, "node-name"), extra(&status, "pod-uid")), (None, None));

    let status = review(server, "nonsense").await;
    assert_ne!(status.authenticated, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_tokens_for_its_own_agent_and_no_other() {
    let Some(server) = ApiServer::shared().await else { return };
    let mut pods = Vec::new();
    for node in ["kubelet-b", "kubelet-a"] {
        server.node(node).unwrap();
        let pod = server.agent_pod(SYSTEM, node).await.unwrap();
        let uid = server.pod_uid(SYSTEM, &pod).await.unwrap();
        pods.push((pod, uid));
    }
    let kubelet: Client = server.client_of("system:node:kubelet-a", Some("system:nodes")).unwrap();
    let ask = async |(pod, uid): &(String, String), audience| {
        request_token(&kubelet, SYSTEM, AGENT_ACCOUNT, Binding::ExactPod(pod, uid), Some(audience)).await
    };
    let [other, own] = &pods[..] else { unreachable!("two were made") };
    // the node authorizer learns of a new pod by a watch, of the other one before
    until("the node may ask for its pod's token", Duration::from_secs(30), async || ask(own, AUDIENCE).await)
        .await
        .unwrap();
    let other_audience = format!("{:#}", ask(own, "other").await.unwrap_err());
    assert!(other_audience.contains("audience \"other\" not found in pod spec volume"), "{other_audience}");
    let other_node = format!("{:#}", ask(other, AUDIENCE).await.unwrap_err());
    assert!(other_node.contains("pod scheduled on a different node"), "{other_node}");
}
