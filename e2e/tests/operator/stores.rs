//! Where reports are kept: a real S3-compatible server, and a directory that fails.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use kube::{ResourceExt, api::DeleteParams};
use leakhound_crds::{condition::REPORT_READY, probe::ProbeReason};
use leakhound_e2e::{ports::free_ports, process::Process, scratch::Scratch, tools::Tools, wait::until};
use serde_json::json;

use crate::{
    rig::{Operator, PATIENCE, Rig, holds},
    samples,
};

#[tokio::test(flavor = "multi_thread")]
async fn recordings_and_reports_in_a_bucket() {
    let Some(mut rig) = Rig::start(&[]).await else { return };
    let folder = Scratch::new("leakhound-s3-").unwrap();
    fs::create_dir_all(folder.join("buckets/leaks")).unwrap();
    fs::create_dir_all(folder.join("attributes")).unwrap();
    let [port] = free_ports().unwrap();
    let mut server = Command::new(Tools::build(&[Tools::S3]).unwrap().join("versitygw"));
    server.args([
        "--access",
        "leakhound",
        "--secret",
        "secret-of-the-test",
        "--port",
        &format!("127.0.0.1:{port}"),
        "posix",
    ]);
    server.args([
        "--sidecar".as_ref(),
        folder.join("attributes").as_os_str(),
        folder.join("buckets").as_os_str(),
    ]);
    let _server = Process::spawn(&server, &folder.join("s3.log")).unwrap();
    let environment = [
        ("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "leakhound".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret-of-the-test".to_owned()),
    ];
    rig.operator.process.kill().unwrap();
    let url = "s3://leaks/production";
    rig.operator = Operator::start(rig.server, &rig.store, "operator", url, &[], &environment).await.unwrap();
    rig.operator.ready().await.unwrap();

    let (namespace, investigation) = rig.asked("bucket", &json!({})).await;
    let probe = rig.order(&investigation).await;
    let token = rig.upload_token("bucket-a").await;
    let first = samples::recording("first");
    assert_eq!(rig.upload(&probe.uid().unwrap(), &token, first.clone()).await.0, 201);
    assert_eq!(rig.upload(&probe.uid().unwrap(), &token, first).await.0, 200);
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("second")).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert!(holds(&status, REPORT_READY), "{status:#?}");
    let report = status.reports[0].url.clone().unwrap();
    assert_eq!(reqwest::get(&report).await.unwrap().status(), 200);
    let bucket = folder.join("buckets/leaks/production");
    let recordings = bucket.join("investigations").join(investigation.uid().unwrap()).join("recordings");
    assert_eq!(fs::read_dir(&recordings).unwrap().count(), 1, "the earlier one is gone");
    rig.investigations(&namespace).delete("cart", &DeleteParams::default()).await.unwrap();
    until("the bucket is empty", PATIENCE, async || {
        anyhow::ensure!(!recordings.exists() && reqwest::get(&report).await?.status() == 404);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_named_and_comes_back() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("full", &json!({})).await;
    let probe = rig.order(&investigation).await;
    let token = rig.upload_token("full-a").await;
    // A file where the store wants a directory: nobody can write there, not even root.
    let blocked = rig.stored("investigations");
    fs::write(&blocked, "").unwrap();
    fs::set_permissions(&blocked, fs::Permissions::from_mode(0o400)).unwrap();
    let recording = samples::recording("open_session");
    let (code, text) = rig.upload(&probe.uid().unwrap(), &token, recording.clone()).await;
    assert_eq!(code, 503, "{text}");
    fs::remove_file(&blocked).unwrap();
    rig.finishes(&probe, ProbeReason::Completed, 60, recording).await;
    rig.until_reason(&namespace, "cart", "Completed").await;
}
