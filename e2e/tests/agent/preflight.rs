//! What an agent says about itself and its node.

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use leakhound_crds::{Preflight, investigation::Mode, names};
use leakhound_e2e::wait;

use super::{
    receiver::Answer,
    stage::{LONG, NAMESPACE, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_says_that_the_agent_is_alive_and_what_its_node_can_do() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let agent = stage.program.start()?;
    agent.ready().await?;
    let leases: Api<Lease> = Api::namespaced(stage.server.admin()?, NAMESPACE);
    let name = names::agent_lease(&stage.program.node);
    let lease = wait::until("the agent's Lease", LONG, async || Ok(leases.get(&name).await?)).await?;
    let text = lease
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(names::PREFLIGHT))
        .context("a preflight")?;
    let preflight: Preflight = serde_json::from_str(text)?;
    assert!(preflight.btf && preflight.attach.is_some() && preflight.missing.is_empty(), "{preflight:?}");
    assert!(!preflight.kernel.is_empty() && !preflight.version.is_empty(), "{preflight:?}");
    let tried: Vec<Mode> = preflight.modes.iter().map(|tried| tried.mode).collect();
    assert_eq!(tried, [Mode::Heap, Mode::Growth, Mode::Kernel]);
    assert_eq!(preflight.obstacles().collect::<Vec<_>>(), [], "the tests need a kernel that can do all");
    // by the time that the API server notes under this name the operator knows that the agent is alive
    let entries = lease.metadata.managed_fields.iter().flatten();
    let mut noted = entries.filter(|entry| entry.manager.as_deref() == Some(names::AGENT_ACCOUNT));
    assert!(noted.next().is_some_and(|entry| entry.time.is_some()), "{:?}", lease.metadata.managed_fields);
    let spec = lease.spec.context("a spec")?;
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some("agent"), Some(60)));

    let first = spec.renew_time.context("a time")?;
    wait::until("the Lease to be renewed", LONG, async || {
        let renewed = leases.get(&name).await?.spec.and_then(|spec| spec.renew_time);
        renewed.filter(|renewed| *renewed > first).context("the time is still the first")
    })
    .await?;
    let (status, metrics) = agent.ask("/metrics").await?;
    assert_eq!(status, 200);
    assert!(metrics.contains("leakhound_agent_lease_renewals_total{result=\"ok\"}"), "{metrics}");
    assert_eq!(agent.ask("/healthz").await?.0, 200);
    assert_eq!(agent.ask("/v1/anything").await?.0, 404);
    Ok(())
}
