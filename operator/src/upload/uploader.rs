//! Who sends: the API server says whose token it is, and on which node its pod runs.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use leakhound_crds::names::AUDIENCE;
use thiserror::Error;
use warp::http::StatusCode;

use crate::context::Context;

const NODE: &str = "authentication.kubernetes.io/node-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const POD: &str = "authentication.kubernetes.io/pod-name";

/// An agent, by its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uploader {
    /// Node of its pod.
    pub(super) node: String,
    /// Name of its pod.
    pub(super) pod: String,
}

/// Why nobody knows who sends.
#[derive(Debug, Error)]
pub(super) enum UploaderError {
    #[error("send the token of the agent's pod with audience leakhound, as `Authorization: Bearer TOKEN`")]
    NoToken,
    #[error("the token is not valid for audience leakhound: {0}")]
    Invalid(String),
    #[error("{0} is not the service account of the agents")]
    Account(String),
    #[error("this token is not bound to a pod on a node: agents must use the token mounted in their own pod")]
    Unbound,
    #[error("the API server could not review the token: try again")]
    Review(#[source] kube::Error),
}

impl UploaderError {
    pub(super) fn code(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Invalid(_) => StatusCode::UNAUTHORIZED,
            Self::Account(_) | Self::Unbound => StatusCode::FORBIDDEN,
            Self::Review(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Asks the API server whose token it is.
pub(super) async fn identify(
    context: &Context,
    authorization: Option<&str>,
) -> Result<Uploader, UploaderError> {
    let token = authorization
        .and_then(|text| text.strip_prefix("Bearer "))
        .map(str::trim)
        .filter(|token| (1..16_384).contains(&token.len()))
        .ok_or(UploaderError::NoToken)?;
    let review = TokenReview {
        metadata: ObjectMeta::default(),
        spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) },
        status: None,
    };
    let api: Api<TokenReview> = Api::all(context.client.clone());
    let review = api.create(&PostParams::default(), &review).await.map_err(UploaderError::Review)?;
    let account =
        format!("system:serviceaccount:{}:{}", context.settings.namespace, context.settings.agent_account);
    judge(review.status.unwrap_or_default(), &account)
}

fn judge(status: TokenReviewStatus, account: &str) -> Result<Uploader, UploaderError> {
    let is_for_us = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !is_for_us {
        return Err(UploaderError::Invalid(status.error.unwrap_or_else(|| "it was refused".to_owned())));
    }
    let user = status.user.unwrap_or_default();
    let name = user.username.unwrap_or_default();
    if name != account {
        return Err(UploaderError::Account(name));
    }
    let extra: BTreeMap<String, Vec<String>> = user.extra.unwrap_or_default();
    let only = |key: &str| extra.get(key)?.first().filter(|value| !value.is_empty()).cloned();
    match (only(NODE), only(POD), only(POD_UID)) {
        (Some(node), Some(pod), Some(_)) => Ok(Uploader { node, pod }),
        _ => Err(UploaderError::Unbound),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    const ACCOUNT: &str = "system:serviceaccount:leakhound-system:leakhound-agent";

    fn review(audience: &str, account: &str, extra: &[(&str, &str)]) -> TokenReviewStatus {
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec![audience.to_owned()]),
            error: None,
            user: Some(UserInfo {
                username: Some(account.to_owned()),
                extra: Some(
                    extra.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect(),
                ),
                ..UserInfo::default()
            }),
        }
    }

    #[test]
    fn only_an_agents_token_made_for_us_and_bound_to_a_node_passes() {
        let bound = [(NODE, "n1"), (POD, "agent-x"), (POD_UID, "u")];
        let good = judge(review(AUDIENCE, ACCOUNT, &bound), ACCOUNT).unwrap();
        assert_eq!(good, Uploader { node: "n1".to_owned(), pod: "agent-x".to_owned() });
        let code = |status| judge(status, ACCOUNT).unwrap_err().code().as_u16();
        assert_eq!(code(review("https://kubernetes.default.svc", ACCOUNT, &bound)), 401);
        assert_eq!(code(TokenReviewStatus::default()), 401);
        assert_eq!(code(review(AUDIENCE, "system:serviceaccount:shop:leakhound-agent", &bound)), 403);
        assert_eq!(code(review(AUDIENCE, ACCOUNT, &[])), 403);
        assert_eq!(code(review(AUDIENCE, ACCOUNT, &[(NODE, "n1"), (POD, "agent-x")])), 403);
        assert_eq!(code(review(AUDIENCE, ACCOUNT, &[(NODE, ""), (POD, "agent-x"), (POD_UID, "u")])), 403);
    }
}
