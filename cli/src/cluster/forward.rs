//! A file of the operator, through the API server: no port of this machine is opened, and no service of the cluster needs to
//! be reachable from here.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Portforwarder},
};
use tokio::{io::AsyncRead, io::AsyncWrite, time::timeout};

use super::{access::Access, refusal::Right};
use crate::table::visible;

/// What finds the operator's pods.
const OPERATOR: &str = "app.kubernetes.io/name=leakhound,app.kubernetes.io/component=operator";
/// The container's port by this name serves reports; this one if none is called so.
const PORT: (&str, u16) = ("reports", 8080);
/// Longest wait for a connection or for an answer to begin.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest time for a whole report.
const WHOLE: Duration = Duration::from_mins(10);
/// Largest report taken.
const LARGEST: usize = 1 << 30;

/// The pods of the operator.
pub(super) async fn operators(access: &Access) -> kube::Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), &access.home);
    Ok(pods.list(&ListParams::default().labels(OPERATOR)).await?.items)
}

/// Whether a pod answers requests.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Fetches a path that the operator serves.
pub(super) async fn fetch(access: &Access, path: &str) -> Result<Vec<u8>> {
    let pods = operators(access)
        .await
        .map_err(|error| access.refused("cannot look for the operator", &error, Right::Forward))?;
    let home = &access.home;
    let pod = pods.iter().find(|pod| is_ready(pod)).ok_or_else(|| {
        let found = if pods.is_empty() { "no operator runs" } else { "no operator is ready" };
        anyhow!("{found} in namespace {home}: see `kubectl -n {home} get pods`, or name another namespace by --system-namespace")
    })?;
    let (name, port) = (pod.name_any(), port(pod));
    let api: Api<Pod> = Api::namespaced(access.client.clone(), home);
    let connected = timeout(PATIENCE, api.portforward(&name, &[port]))
        .await
        .with_context(|| format!("the API server opens no connection to pod {name} of namespace {home}"))?;
    let mut forwarder = connected.map_err(|error| {
        access.refused(&format!("cannot forward a port of pod {name}"), &error, Right::Forward)
    })?;
    let answer = through(&mut forwarder, port, path).await;
    forwarder.abort();
    answer.with_context(|| format!("cannot fetch the report from pod {name} of namespace {home}"))
}

fn port(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.find(|port| port.name.as_deref() == Some(PORT.0));
    named.and_then(|port| port.container_port.try_into().ok()).unwrap_or(PORT.1)
}

async fn through(forwarder: &mut Portforwarder, port: u16, path: &str) -> Result<Vec<u8>> {
    const LAST_WORD: Duration = Duration::from_secs(1);
    let refused = forwarder.take_error(port).context("the port was not forwarded")?;
    let stream = forwarder.take_stream(port).context("the port was not forwarded")?;
    let answer = timeout(WHOLE, get(stream, path)).await.context("it takes too long")?;
    let Err(error) = answer else { return answer };
    // the node says why beside the connection, perhaps a moment after it has closed that
    match timeout(LAST_WORD, refused).await {
        Ok(Some(why)) => bail!("{}", visible(why.trim().lines().last().unwrap_or_default())),
        _ => Err(error),
    }
}

/// One request over a connection of its own.
async fn get(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> Result<Vec<u8>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // ends with the connection; what fails in it fails the request as well
    let driver = tokio::spawn(connection);
    let request = Request::get(path).header(HOST, "leakhound-operator").body(Empty::<Bytes>::new())?;
    let response =
        timeout(PATIENCE, sender.send_request(request)).await.context("the operator does not answer")??;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
    drop(sender);
    driver.abort();
    match status {
        StatusCode::OK => Ok(body.into()),
        StatusCode::NOT_FOUND => {
            bail!(
                "the operator has it no longer: reports go with ttlSecondsAfterFinished, or with the store's volume"
            )
        }
        status => {
            let said = String::from_utf8_lossy(&body);
            bail!("the operator answers {status}: {}", said.lines().next().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pod(ready: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "leakhound-operator-0" },
            "spec": { "containers": [{ "name": "operator", "ports": [
                { "name": "upload", "containerPort": 8443 }, { "name": "reports", "containerPort": 9000 },
            ] }] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        }))
        .unwrap()
    }

    #[test]
    fn the_ready_pods_own_port_is_taken() {
        assert!(is_ready(&pod("True")) && !is_ready(&pod("False")));
        assert_eq!(port(&pod("True")), 9000);
        assert_eq!(port(&Pod::default()), 8080);
        let mut going = pod("True");
        going.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert!(!is_ready(&going));
    }

    /// What a server at the other end of the connection says becomes this.
    async fn said(answer: &'static str) -> Result<Vec<u8>> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let server = async move {
            let mut request = vec![0; 4096];
            let length = theirs.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /r/x/y.html HTTP/1.1\r\n"));
            theirs.write_all(answer.as_bytes()).await.unwrap();
            theirs.shutdown().await.unwrap();
        };
        tokio::join!(get(ours, "/r/x/y.html"), server).0
    }

    #[tokio::test]
    async fn answers_are_told_apart() {
        assert_eq!(said("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap(), b"hello");
        let why = async |answer| format!("{:#}", said(answer).await.unwrap_err());
        assert!(why("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.contains("no longer"));
        let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 11\r\n\r\ntry again\r\n";
        assert!(why(busy).await.ends_with("503 Service Unavailable: try again"));
        assert!(why("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhel").await.contains("broke off"));
    }
}
