//! The kubelet and the agents, played by the test.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Pod},
        events::v1::Event,
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use leakhound_crds::{LeakInvestigation, LeakProbe, names::PREFLIGHT, probe::ProbeReason};
use leakhound_e2e::{apiserver::Binding, wait::until};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::rig::{PATIENCE, Rig, SYSTEM};

/// The id of the `number`th container.
pub(crate) fn container_id(number: u8) -> String {
    format!("containerd://{}", format!("{number:02x}").repeat(32))
}

/// An answer of the operator to an upload.
pub(crate) type Answer = (u16, String);

impl Rig {
    /// A node with an agent that is alive.
    pub(crate) async fn node(&self, name: &str) {
        self.server.node(name).unwrap();
        self.beat(name, SignedDuration::ZERO).await;
    }

    /// The investigation `cart` of pod `cart-1` on node `NAME-a`, in a namespace of its own, with more in its spec.
    pub(crate) async fn asked(&self, name: &str, more: &Value) -> (String, LeakInvestigation) {
        let namespace = self.server.namespace(name).await.unwrap();
        let node = format!("{name}-a");
        self.node(&node).await;
        self.pod(&namespace, "cart-1", &node, &json!({})).await;
        let mut spec = json!({ "target": { "podName": "cart-1" }, "duration": "1m" });
        merge(&mut spec, more);
        let investigation = self.investigate(&namespace, "cart", &spec).await;
        (namespace, investigation)
    }

    /// Renews the Lease of a node's agent, as if so long ago.
    pub(crate) async fn beat(&self, node: &str, ago: SignedDuration) {
        self.publish(node, ago, &json!({})).await;
    }

    /// The same, with what the agent says its node can do.
    pub(crate) async fn publish(&self, node: &str, ago: SignedDuration, preflight: &Value) {
        let renewed = Timestamp::now().checked_sub(ago).unwrap();
        let name = format!("leakhound-agent-{node}");
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": name, "annotations": { PREFLIGHT: preflight.to_string() } },
            "spec": { "holderIdentity": name, "leaseDurationSeconds": 60, "renewTime": format!("{renewed:.6}") },
        });
        let api: Api<Lease> = Api::namespaced(self.client.clone(), SYSTEM);
        api.patch(&name, &PatchParams::apply("agent").force(), &Patch::Apply(&lease)).await.unwrap();
    }

    /// A pod with a running container, as a kubelet reports it.
    pub(crate) async fn pod(&self, namespace: &str, name: &str, node: &str, more: &Value) -> Pod {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace },
            "spec": {
                "nodeName": node, "terminationGracePeriodSeconds": 0, "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "app", "image": "cart" }],
            },
        });
        merge(&mut object, more);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let made: Pod =
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        self.runs(namespace, name, 1, 0).await;
        made
    }

    /// The kubelet reports the `number`th container of a pod.
    pub(crate) async fn runs(&self, namespace: &str, name: &str, number: u8, restarts: i32) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let status = json!({ "status": { "phase": "Running", "containerStatuses": [{
            "name": "app", "image": "cart", "imageID": "", "ready": true, "restartCount": restarts,
            "containerID": container_id(number), "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
        }] } });
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    pub(crate) async fn delete_pod(&self, namespace: &str, name: &str) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        api.delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// Waits for the newest probe of an investigation that passes a test.
    pub(crate) async fn order_that(
        &self,
        investigation: &LeakInvestigation,
        what: &str,
        test: impl Fn(&LeakProbe) -> bool,
    ) -> LeakProbe {
        let uid = investigation.uid().unwrap();
        let result = until(what, PATIENCE, async || {
            let probes = self.probes_of(&uid).await?;
            probes.into_iter().rev().find(|probe| test(probe)).context("no such probe")
        });
        match result.await {
            Ok(probe) => probe,
            Err(error) => panic!("{error:#}\noperator:\n{}", self.operator.process.log_tail(30)),
        }
    }

    /// Waits for a probe that no agent has finished.
    pub(crate) async fn order(&self, investigation: &LeakInvestigation) -> LeakProbe {
        self.order_that(investigation, "a probe is ordered", |probe| {
            !probe.status.as_ref().is_some_and(|status| {
                status
                    .conditions
                    .iter()
                    .any(|condition| condition.reason.parse::<ProbeReason>().is_ok_and(ProbeReason::is_final))
            })
        })
        .await
    }

    /// The probes of an investigation, oldest first.
    pub(crate) async fn probes_of(&self, uid: &str) -> Result<Vec<LeakProbe>> {
        let params =
            kube::api::ListParams::default().labels(&format!("leakhound.dev/investigation-uid={uid}"));
        let mut probes = self.probes().list(&params).await?.items;
        probes.sort_by_key(|probe| probe.creation_timestamp().map(|time| time.0));
        Ok(probes)
    }

    /// What the agent writes into the probe's status.
    pub(crate) async fn says(&self, probe: &LeakProbe, reason: ProbeReason, seconds: i64, more: &Value) {
        let now = Timestamp::now();
        let mut status = json!({
            "observedGeneration": probe.metadata.generation, "agentPod": "leakhound-agent", "agentBootID": "boot",
            "startTime": now, "lastSnapshotTime": now, "coverageSeconds": seconds,
            "conditions": [{
                "type": "Succeeded", "status": reason.succeeded().to_string(), "reason": reason.to_string(),
                "message": format!("the agent says {reason}"), "lastTransitionTime": now,
            }],
        });
        merge(&mut status, more);
        let object = json!({
            "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakProbe",
            "metadata": { "name": probe.name_any() }, "status": status,
        });
        let params = PatchParams::apply("leakhound-agent").force();
        self.probes().patch_status(&probe.name_any(), &params, &Patch::Apply(&object)).await.unwrap();
    }

    /// Uploads a recording, and says that the probe has finished.
    pub(crate) async fn finishes(
        &self,
        probe: &LeakProbe,
        reason: ProbeReason,
        seconds: i64,
        recording: Vec<u8>,
    ) {
        let digest = format!("sha256:{}", sha256(&recording));
        let token = self.upload_token(&probe.spec.node_name).await;
        let (code, text) = self.upload(&probe.uid().unwrap(), &token, recording).await;
        assert!(code == 201 || code == 200, "{code} {text}\n{}", self.operator.process.log_tail(20));
        self.says(probe, reason, seconds, &json!({ "resultDigest": digest })).await;
    }

    /// A token as the kubelet mounts it into the agent's pod on a node.
    pub(crate) async fn upload_token(&self, node: &str) -> String {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), SYSTEM);
        let name = format!("leakhound-agent-{node}");
        let pod = match pods.get_opt(&name).await.unwrap() {
            Some(_) => name,
            None => self.server.agent_pod(SYSTEM, node).await.unwrap(),
        };
        self.server.token(SYSTEM, "leakhound-agent", Binding::Pod(&pod), Some("leakhound")).await.unwrap()
    }

    /// A client that trusts what the operator published, as an agent does.
    pub(crate) async fn agent_client(&self) -> reqwest::Client {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), SYSTEM);
        let ca = maps.get("leakhound-ca").await.unwrap().data.unwrap()["ca.crt"].clone();
        let certificates = reqwest::Certificate::from_pem_bundle(ca.as_bytes()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only(certificates)
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap()
    }

    /// Uploads a recording to a probe.
    pub(crate) async fn upload(&self, probe: &str, token: &str, recording: Vec<u8>) -> Answer {
        let request = self
            .agent_client()
            .await
            .put(format!("{}/v1/probes/{probe}/recording", self.operator.upload))
            .bearer_auth(token)
            .header("Leakhound-Sha256", sha256(&recording))
            .body(recording);
        answer(request).await.unwrap()
    }

    /// Waits until the events on an investigation tell these reasons, as each follows the status that it is about; all there are.
    pub(crate) async fn until_told(
        &self,
        investigation: &LeakInvestigation,
        reasons: &[&str],
    ) -> Vec<String> {
        let told = until("the events are told", PATIENCE, async || {
            let told = self.events(investigation).await?;
            let missing: Vec<_> =
                reasons.iter().filter(|reason| !told.iter().any(|told| told == *reason)).collect();
            ensure!(missing.is_empty(), "{missing:?} are missing in {told:?}");
            Ok(told)
        });
        told.await.unwrap()
    }

    async fn events(&self, investigation: &LeakInvestigation) -> Result<Vec<String>> {
        let namespace = investigation.namespace().context("no namespace")?;
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let uid = investigation.uid();
        let mut events = api.list(&ListParams::default()).await?.items;
        events.retain(|event| event.regarding.as_ref().and_then(|of| of.uid.as_ref()) == uid.as_ref());
        events.sort_by_key(|event| event.event_time.clone().map(|time| time.0));
        Ok(events.into_iter().filter_map(|event| event.reason).collect())
    }

    /// Waits until a probe is gone.
    pub(crate) async fn until_no_probes(&self, uid: &str) {
        let gone = until("the probes are gone", PATIENCE, async || {
            let left = self.probes_of(uid).await?.len();
            ensure!(left == 0, "{left} probes are left");
            Ok(())
        });
        gone.await.unwrap();
    }
}

/// Sends a request, and reads the answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Merges objects, as a merge patch does.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) if !from.is_null() => *into = from.clone(),
        _ => {}
    }
}
