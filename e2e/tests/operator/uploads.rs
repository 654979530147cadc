//! Recordings from whoever sends them: refused, cut off, replayed, from the wrong node, too large.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kube::ResourceExt;
use leakhound_crds::probe::ProbeReason;
use leakhound_e2e::{apiserver::Binding, wait::until};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    actors::{answer, sha256},
    rig::{PATIENCE, Rig, SYSTEM},
    samples,
};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_agent_of_the_probes_node_may_send() {
    let Some(rig) = Rig::start(&["--upload-limit=65536"]).await else { return };
    let (namespace, investigation) = rig.asked("refused", &json!({})).await;
    let probe = rig.order(&investigation).await;
    rig.node("refused-b").await;
    let uid = probe.uid().unwrap();
    let recording = samples::recording("open_session");
    let own = rig.upload_token("refused-a").await;
    let other = rig.upload_token("refused-b").await;
    let for_the_server = rig
        .server
        .token(SYSTEM, "leakhound-agent", Binding::Pod("leakhound-agent-refused-a"), None)
        .await
        .unwrap();
    let unbound =
        rig.server.token(SYSTEM, "leakhound-agent", Binding::None, Some("leakhound")).await.unwrap();
    let node_bound = rig
        .server
        .token(SYSTEM, "leakhound-agent", Binding::Node("refused-a"), Some("leakhound"))
        .await
        .unwrap();
    let stranger =
        rig.server.token(&namespace, "default", Binding::Pod("cart-1"), Some("leakhound")).await.unwrap();
    for (what, token, code, words) in [
        ("no token of ours", "nonsense", 401, "not valid for audience leakhound"),
        ("made for the API server", &for_the_server, 401, "not valid for audience leakhound"),
        ("bound to no pod", &unbound, 403, "not bound to a pod on a node"),
        ("bound to a node alone", &node_bound, 403, "not bound to a pod on a node"),
        ("of another account", &stranger, 403, "not the service account of the agents"),
        ("of another node", &other, 403, "own node's probes only"),
    ] {
        let (answered, text) = rig.upload(&uid, token, recording.clone()).await;
        assert_eq!(answered, code, "{what}: {text}");
        assert!(text.contains(words), "{what}: {text}");
    }
    let client = rig.agent_client().await;
    let put = |uid: &str| {
        client.put(format!("{}/v1/probes/{uid}/recording", rig.operator.upload)).bearer_auth(&own)
    };
    let hash = sha256(&recording);
    let nobody = "00000000-0000-0000-0000-000000000000";
    for (what, request, code) in [
        ("no such probe", put(nobody).header("Leakhound-Sha256", &hash).body(recording.clone()), 404),
        ("no hash", put(&uid).body(recording.clone()), 422),
        ("another hash", put(&uid).header("Leakhound-Sha256", sha256(b"x")).body(recording.clone()), 422),
        ("no recording", put(&uid).header("Leakhound-Sha256", sha256(b"x")).body("x"), 422),
        ("no token", client.put(format!("{}/v1/probes/{uid}/recording", rig.operator.upload)).body("x"), 401),
        ("too large", put(&uid).header("Leakhound-Sha256", &hash).body(vec![0; 65537]), 413),
        ("another path", client.put(format!("{}/v1/probes/{uid}", rig.operator.upload)), 404),
    ] {
        let (answered, text) = answer(request).await.unwrap();
        assert_eq!(answered, code, "{what}: {text}");
    }
    let chunked = futures::stream::iter([Ok::<_, std::io::Error>("x")]);
    let unbounded =
        put(&uid).header("Leakhound-Sha256", sha256(b"x")).body(reqwest::Body::wrap_stream(chunked));
    assert_eq!(answer(unbounded).await.unwrap().0, 411, "no length");
    let large = put(&uid).header("Leakhound-Sha256", &hash).body(vec![0; 32 << 20]);
    let (code, text) = answer(large).await.unwrap();
    assert_eq!(code, 413, "far more than the buffers between us hold: {text}");
    let folder = rig.stored("investigations");
    assert!(!folder.exists(), "nothing of all that was stored");
    assert_eq!(rig.upload(&uid, &own, recording).await.0, 201);

    let public = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    assert!(
        public.get(&rig.operator.upload).send().await.is_err(),
        "who does not know our CA does not trust us"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_is_welcome_and_another_one_is_not() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("replayed", &json!({})).await;
    let probe = rig.order(&investigation).await;
    let uid = probe.uid().unwrap();
    let token = rig.upload_token("replayed-a").await;
    let (first, second) = (samples::recording("first"), samples::recording("second"));
    assert_eq!(rig.upload(&uid, &token, first.clone()).await.0, 201);
    assert_eq!(rig.upload(&uid, &token, first.clone()).await.0, 200);
    assert_eq!(rig.upload(&uid, &token, second.clone()).await.0, 201, "a later one holds more");
    rig.finishes(&probe, ProbeReason::Completed, 60, second.clone()).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert_eq!(status.summary.unwrap().top_frame.as_deref(), Some("second"));
    assert_eq!(rig.upload(&uid, &token, second).await.0, 200);
    let (code, text) = rig.upload(&uid, &token, first).await;
    assert_eq!(code, 409, "{text}");
    let again = rig.until_reason(&namespace, "cart", "Completed").await;
    assert_eq!(again.summary.unwrap().top_frame.as_deref(), Some("second"));
}

/// A raw TLS connection: no client library would send half a body.
async fn raw(rig: &Rig, request: &[u8]) -> tokio_rustls_stream::Stream {
    let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(rig.client.clone(), SYSTEM);
    let ca = api.get("leakhound-ca").await.unwrap().data.unwrap()["ca.crt"].clone();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let port: u16 = rig.operator.upload.rsplit(':').next().unwrap().parse().unwrap();
    let stream = tokio::net::TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

mod tokio_rustls_stream {
    pub(crate) type Stream = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_recording_is_none_and_the_slow_are_cut_off() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (_, investigation) = rig.asked("cut", &json!({})).await;
    let probe = rig.order(&investigation).await;
    let token = rig.upload_token("cut-a").await;
    let recording = samples::recording("open_session");
    let head = format!(
        "PUT /v1/probes/{}/recording HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nLeakhound-Sha256: \
         {}\r\nContent-Length: {}\r\n\r\n",
        probe.uid().unwrap(),
        sha256(&recording),
        recording.len()
    );
    let half = [head.as_bytes(), &recording[..recording.len() / 2]].concat();
    drop(raw(&rig, &half).await);
    let mut slow = raw(&rig, &half).await;
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(60), slow.read_to_string(&mut text)).await.unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    let folder = rig.stored("investigations").join(investigation.uid().unwrap());
    assert!(!folder.exists(), "nothing was stored");
    let mut mute = raw(&rig, b"PUT /v1/").await;
    let read = tokio::time::timeout(Duration::from_secs(60), mute.read_to_string(&mut text)).await;
    assert!(read.is_ok(), "who does not finish a head is dropped");
    assert_eq!(rig.upload(&probe.uid().unwrap(), &token, recording).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_without_a_restart() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(rig.client.clone(), SYSTEM);
    let before = secrets.get("leakhound-tls").await.unwrap();
    let was_served = rig.agent_client().await.get(&rig.operator.upload).send().await.is_ok();
    assert!(was_served);
    for name in ["leakhound-tls", "leakhound-ca"] {
        secrets.delete(name, &kube::api::DeleteParams::default()).await.unwrap();
    }
    until("a new certificate of a new authority is served", PATIENCE, async || {
        let now = secrets.get("leakhound-tls").await?;
        anyhow::ensure!(now.data != before.data);
        rig.agent_client().await.get(&rig.operator.upload).send().await?;
        Ok(())
    })
    .await
    .unwrap();
}
