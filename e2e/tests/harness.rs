//! What the harness promises: a server can be stopped and resumed, and nothing stays behind, also when a test is killed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests, in functions of their own")]

use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::ensure;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use leakhound_e2e::{ApiServer, wait::until};

/// Set in the process that starts a server in order to be killed.
const VICTIM: &str = "LEAKHOUND_E2E_VICTIM";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_stopped_comes_back_with_what_it_knew() {
    if !ApiServer::available() {
        return;
    }
    let server = ApiServer::start().await.unwrap();
    let namespace = server.namespace("kept").await.unwrap();
    server.stop().unwrap();
    assert!(server.admin().unwrap().apiserver_version().await.is_err());
    server.resume().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(server.admin().unwrap());
    assert!(namespaces.get_opt(&namespace).await.unwrap().is_some());
    let (folder, address) = (server.file("."), address(&server.url));
    drop(server);
    assert!(gone(&folder, &address).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_test_that_is_killed() {
    if !ApiServer::available() || env::var_os(VICTIM).is_some() {
        return;
    }
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(victim.stdout.take().unwrap());
    let said = output.lines().map_while(Result::ok).find_map(|line| {
        let (url, folder) = line.strip_prefix("victim: ")?.split_once(' ')?;
        Some((address(url), PathBuf::from(folder)))
    });
    let (address, folder) = said.unwrap();
    assert!(TcpStream::connect(&address).is_ok() && folder.is_dir());
    victim.kill().unwrap();
    victim.wait().unwrap();
    until("everything is gone", Duration::from_secs(30), async || gone(&folder, &address)).await.unwrap();
}

/// Starts a server and waits to be killed; does nothing in an ordinary run.
#[tokio::test(flavor = "multi_thread")]
async fn the_victim() {
    if env::var_os(VICTIM).is_none() {
        return;
    }
    let server = ApiServer::start().await.unwrap();
    println!("victim: {} {}", server.url, server.file("").display());
    std::future::pending::<()>().await;
}

fn address(url: &str) -> String {
    url.trim_start_matches("https://").to_owned()
}

fn gone(folder: &Path, address: &str) -> anyhow::Result<()> {
    ensure!(!folder.exists(), "{} is still there", folder.display());
    ensure!(TcpStream::connect(address).is_err(), "somebody still listens at {address}");
    Ok(())
}
