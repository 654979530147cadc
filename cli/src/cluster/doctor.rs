//! `doctor`: whether this cluster can be investigated, what is missing, and how to get it.

mod look;
mod words;

use anyhow::{Context, Result};
use leakhound_crds::Preflight;
use serde::Serialize;

use super::{access::Access, args::Doctor};
use crate::{Outcome, destination::Destination};

pub(super) async fn doctor(access: &Access, asked: &Doctor) -> Result<Outcome> {
    let health = look::look(access).await?;
    let text = match asked.json {
        true => serde_json::to_string_pretty(&health).context("cannot write JSON")? + "\n",
        false => words::text(&health),
    };
    Destination::Stdout.write(text.as_bytes())?;
    Ok(Outcome::Worked)
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    /// Where the API server is.
    server: String,
    /// Version of Kubernetes.
    kubernetes: String,
    /// The API server knows LeakInvestigation.
    installed: bool,
    /// Namespace in which Leakhound should be.
    home: String,
    /// The user's namespace.
    namespace: String,
    /// What the user may do.
    rights: Vec<Right>,
    /// Pods of the operator, and whether each is ready; unknown when the user may not look.
    operators: Option<Vec<(String, bool)>>,
    /// The nodes, or at least those that have an agent; unknown when the user may not look at agents.
    nodes: Option<Vec<Node>>,
}

/// Something that the user may or may not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Right {
    /// As in "you may ...".
    what: &'static str,
    granted: bool,
    /// Investigations cannot be made without it.
    essential: bool,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    name: String,
    /// What its agent says; none if there is no agent.
    agent: Option<Agent>,
}

/// What an agent says of its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Agent {
    /// Seconds since it was last heard of.
    silent_seconds: i64,
    /// It has been silent for longer than it promised.
    is_lost: bool,
    /// Version, kernel, way of attaching; unknown when it has not said or cannot be understood.
    preflight: Option<Preflight>,
}
