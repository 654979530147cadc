//! What the API server refuses, as one sentence that says what to do next.

use std::error::Error as _;

use anyhow::anyhow;
use kube::core::Status;

use super::access::Access;

/// How Leakhound comes into a cluster.
pub(super) const INSTALL: &str = "helm install leakhound oci://ghcr.io/leakhound/charts/leakhound --namespace leakhound-system --create-namespace";

/// Which right something needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// To look at investigations.
    View,
    /// To make and change them.
    Edit,
    /// To reach the operator's pod.
    Forward,
}

pub(super) fn refused(what: &str, error: &kube::Error, right: Right, access: &Access) -> anyhow::Error {
    let why = match error {
        kube::Error::Api(status) => {
            answered(status, right, &access.namespace, &access.home, |words| access.command(words))
        }
        kube::Error::Auth(error) => format!("cannot log in: {error}"),
        kube::Error::Service(_) | kube::Error::HyperError(_) => format!(
            "the API server at {} does not answer ({}): is it the right context? `kubectl cluster-info` asks it as well",
            access.server,
            innermost(error)
        ),
        error => innermost(error),
    };
    anyhow!("{what}: {why}")
}

/// What the server's own answer means for a user.
fn answered(
    status: &Status,
    right: Right,
    namespace: &str,
    home: &str,
    command: impl Fn(&str) -> String,
) -> String {
    let said = status.message.trim_end_matches('.');
    let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    match status.code {
        404 if !named => {
            format!("this cluster does not know LeakInvestigation: install Leakhound ({INSTALL})")
        }
        404 => format!("{said}: `{}` shows what there is", command("list")),
        401 => "the API server does not accept these credentials: log in again".to_owned(),
        403 => match said.split_once("denied request: ") {
            Some((_policy, why)) => why.to_owned(),
            None => format!("{said}: {}", how_to_get(right, namespace, home)),
        },
        409 => format!("{said}: choose another --name"),
        _ => said.to_owned(),
    }
}

fn how_to_get(right: Right, namespace: &str, home: &str) -> String {
    match right {
        Right::View => {
            format!("the role view in namespace {namespace} allows it, or the ClusterRole leakhound-view")
        }
        Right::Edit => {
            format!("the role edit in namespace {namespace} allows it, or the ClusterRole leakhound-edit")
        }
        Right::Forward => {
            format!(
                "it needs a role with get and create on pods/portforward, and list on pods, in namespace {home}"
            )
        }
    }
}

/// The last cause: what wraps it repeats it.
fn innermost(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, name: &str, message: &str, right: Right) -> String {
        let status: Status = serde_json::from_value(serde_json::json!({
            "status": "Failure", "code": code, "message": message, "details": { "name": name },
        }))
        .unwrap();
        answered(&status, right, "shop", "leakhound-system", |words| format!("kubectl leak {words}"))
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let unknown = said(404, "", "the server could not find the requested resource", Right::View);
        assert!(unknown.contains("helm install leakhound"), "{unknown}");
        let gone = said(404, "cart", "leakinvestigations.leakhound.dev \"cart\" not found", Right::View);
        assert_eq!(
            gone,
            "leakinvestigations.leakhound.dev \"cart\" not found: `kubectl leak list` shows what there is"
        );
        let forbidden = "leakinvestigations.leakhound.dev is forbidden: User \"jane\" cannot create resource";
        assert!(
            said(403, "", forbidden, Right::Edit)
                .ends_with("the role edit in namespace shop allows it, or the ClusterRole leakhound-edit")
        );
        assert!(said(403, "", forbidden, Right::Forward).contains("pods/portforward"));
        assert!(said(401, "", "Unauthorized", Right::View).contains("log in"));
        assert!(said(409, "cart", "\"cart\" already exists", Right::Edit).ends_with("choose another --name"));
    }

    #[test]
    fn a_policys_own_words_stand_alone() {
        let denied = "leakinvestigations.leakhound.dev \"x\" is forbidden: ValidatingAdmissionPolicy 'leakhound-kernel-mode' \
            with binding 'leakhound-kernel-mode' denied request: mode Kernel needs the right to create leakinvestigations/kernel";
        assert_eq!(
            said(403, "x", denied, Right::Edit),
            "mode Kernel needs the right to create leakinvestigations/kernel"
        );
    }
}
