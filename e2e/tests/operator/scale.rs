//! A thousand investigations at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{Api, ResourceExt, api::ListParams};
use leakhound_crds::{
    ConditionStatus, LeakProbe,
    condition::{SUCCEEDED, find},
    probe::ProbeReason,
};
use leakhound_e2e::wait::until;
use serde_json::json;

use crate::{actors::sha256, rig::Rig, samples};

const INVESTIGATIONS: usize = 1000;
const NODES: usize = 10;
const SLOTS: usize = 50;
const LONG: Duration = Duration::from_secs(1500);

/// Plays all agents: finishes every probe that it sees, until it is dropped.
async fn play_agents(rig: Arc<Rig>, tokens: BTreeMap<String, String>) {
    let client = rig.agent_client().await;
    let recording = samples::recording("open_session");
    let hash = sha256(&recording);
    let mut done = BTreeSet::new();
    loop {
        let probes = rig.probes().list(&ListParams::default()).await.unwrap().items;
        let fresh: Vec<LeakProbe> =
            probes.into_iter().filter(|probe| done.insert(probe.name_any())).collect();
        stream::iter(fresh)
            .for_each_concurrent(4, async |probe| {
                let url = format!("{}/v1/probes/{}/recording", rig.operator.upload, probe.uid().unwrap());
                let request = client
                    .put(url)
                    .bearer_auth(&tokens[&probe.spec.node_name])
                    .header("Leakhound-Sha256", &hash)
                    .body(recording.clone());
                let (code, text) = crate::actors::answer(request).await.unwrap();
                assert_eq!(code, 201, "{text}");
                rig.says(
                    &probe,
                    ProbeReason::Completed,
                    60,
                    &json!({ "resultDigest": format!("sha256:{hash}") }),
                )
                .await;
            })
            .await;
        for node in tokens.keys() {
            rig.beat(node, k8s_openapi::jiff::SignedDuration::ZERO).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_investigations_at_once() {
    let slots = format!("--cluster-slots={SLOTS}");
    let Some(rig) = Rig::start(&[&slots, "--node-slots=50", "--lease-duration=60s", "--log=info"]).await
    else {
        return;
    };
    let rig = Arc::new(rig);
    let namespace = rig.server.namespace("thousand").await.unwrap();
    let mut tokens = BTreeMap::new();
    for number in 0..NODES {
        let node = format!("thousand-{number}");
        rig.node(&node).await;
        tokens.insert(node.clone(), rig.upload_token(&node).await);
    }
    let names: Vec<String> = (0..INVESTIGATIONS).map(|number| format!("cart-{number}")).collect();
    stream::iter(names.iter().enumerate())
        .for_each_concurrent(8, async |(number, name)| {
            rig.pod(&namespace, name, &format!("thousand-{}", number % NODES), &json!({})).await;
        })
        .await;
    let metric = async |name: &str| rig.operator.metric(&format!("leakhound_operator_{name}")).await.unwrap();
    let (writes_before, start) = (metric("status_writes_total").await, Instant::now());
    let agents = tokio::spawn(play_agents(Arc::clone(&rig), tokens));
    stream::iter(&names)
        .for_each_concurrent(8, async |name| {
            let spec =
                json!({ "target": { "podName": name }, "duration": "1m", "startingDeadlineSeconds": 86400 });
            rig.investigate(&namespace, name, &spec).await;
        })
        .await;
    let created = start.elapsed();
    let mut most = 0.0_f64;
    until("all have a result", LONG, async || {
        ensure!(!agents.is_finished(), "the agents broke down");
        most = most.max(metric("active_probes").await);
        let all = rig.investigations(&namespace).list(&ListParams::default()).await?.items;
        let completed = all.iter().filter(|one| {
            let conditions = one.status.as_ref().map_or(&[][..], |status| &status.conditions);
            find(conditions, SUCCEEDED).is_some_and(|succeeded| succeeded.status == ConditionStatus::True)
        });
        let completed = completed.count();
        ensure!(
            completed == INVESTIGATIONS,
            "{completed} of {INVESTIGATIONS}\n{}",
            rig.operator.process.log_tail(10)
        );
        Ok(())
    })
    .await
    .unwrap();
    let converged = start.elapsed();
    agents.abort();
    let statuses = metric("status_writes_total").await - writes_before;
    let reconciles = metric("reconcile_duration_seconds_count").await;
    let probes = rig.probes().list(&ListParams::default()).await.unwrap().items.len();
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(rig.client.clone(), &namespace);
    let events = events.list_metadata(&ListParams::default()).await.unwrap().items.len();
    let peak = rig.operator.peak_memory().unwrap();
    let each = |count: f64| count / INVESTIGATIONS as f64;
    println!(
        "{INVESTIGATIONS} investigations, {SLOTS} at a time: made in {} s, all done after {} s; per investigation {:.1} status \
         writes, {:.1} probes, {:.1} events, {:.1} reconciles; peak memory of the operator {} MiB (debug build)",
        created.as_secs(),
        converged.as_secs(),
        each(statuses),
        each(probes as f64),
        each(events as f64),
        each(reconciles),
        peak >> 20
    );
    assert_eq!(probes, INVESTIGATIONS, "each was ordered once");
    assert!(most <= SLOTS as f64, "{most} at a time");
    assert!(each(statuses) <= 12.0, "{statuses}");
    assert!(peak < 150 << 20, "{peak}");

    // Afterwards it rests: a thousand that are over cost nothing while one more runs.
    let rest = metric("reconcile_duration_seconds_count").await;
    rig.node("thousand-0").await;
    let spec = json!({ "target": { "podName": "none" }, "startingDeadlineSeconds": 5 });
    rig.investigate(&namespace, "sentinel", &spec).await;
    rig.until_reason(&namespace, "sentinel", "PodNotFound").await;
    let woken = metric("reconcile_duration_seconds_count").await - rest;
    println!("{woken} reconciles while one more waited in vain for 5 s");
    assert!(woken < 50.0, "{woken}");

    let mut uids: BTreeSet<String> = BTreeSet::new();
    let all = stream::iter(&names).then(async |name| rig.investigations(&namespace).get(name).await);
    let all: Vec<_> = all.try_collect().await.unwrap();
    uids.extend(all.iter().filter_map(ResourceExt::uid));
    assert_eq!(uids.len(), INVESTIGATIONS);
}
