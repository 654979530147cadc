//! What is around a pod: its node, the agent there, its runtime.

use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node, node::v1::RuntimeClass};
use kube::Api;
use leakhound_crds::names;

use super::{Result, get};
use crate::{
    context::Context,
    controller::resolve::Surroundings,
    node::{AgentView, NodeView},
    pod::PodView,
};

/// Looks at everything that decides whether a pod can be watched.
pub(super) async fn look_around(context: &Context, around: &mut Surroundings, pod: &PodView) -> Result<()> {
    if let Some(class) = &pod.runtime_class
        && !around.runtimes.contains_key(class)
    {
        let api = Api::<RuntimeClass>::all(context.client.clone());
        if let Some(found) = get(&api, class, "get a RuntimeClass").await? {
            around.runtimes.insert(class.clone(), found.handler);
        }
    }
    if let Some(node) = &pod.node
        && !around.nodes.contains_key(node)
    {
        let found = get(&Api::<Node>::all(context.client.clone()), node, "get a node").await?;
        let lease = lease(context, node).await?;
        let view = NodeView::new(node, found.as_ref(), lease.as_ref(), Timestamp::now());
        around.nodes.insert(node.clone(), view);
    }
    Ok(())
}

/// Looks at a node on which a probe is on: the node itself matters only when its agent is silent.
pub(super) async fn look_at_node(context: &Context, around: &mut Surroundings, name: &str) -> Result<()> {
    if around.nodes.contains_key(name) {
        return Ok(());
    }
    let lease = lease(context, name).await?;
    let mut view = NodeView::new(name, None, lease.as_ref(), Timestamp::now());
    if view.agent != AgentView::Alive {
        let node = get(&Api::<Node>::all(context.client.clone()), name, "get a node").await?;
        view = NodeView::new(name, node.as_ref(), lease.as_ref(), Timestamp::now());
    }
    around.nodes.insert(name.to_owned(), view);
    Ok(())
}

async fn lease(context: &Context, node: &str) -> Result<Option<Lease>> {
    get(&context.own::<Lease>(), &names::agent_lease(node), "get an agent's Lease").await
}
