//! Reports for people: `GET /r/<id>/<file>`. Who knows the 128 random bits of the id may read it, and they stand in the status
//! of the investigation: who may read that may read the report.
//!
//! What targets call their functions ends up here, so browsers are told to run nothing but what the page brought itself, to
//! guess no types and to tell no one the address.

use std::{convert::Infallible, sync::Arc};

use hyper::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::{
    Filter, Reply,
    http::{HeaderValue, Response, StatusCode, header},
};

use crate::storage::{ReportId, Storage};

/// Reports sent at a time: each is held in memory until its last byte has been written to the connection.
const READERS: usize = 8;

const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "private, no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The routes. Everything that is not there gets the same answer, so nothing can be learned by trying.
pub(crate) fn routes(
    storage: Storage,
) -> impl Filter<Extract = impl Reply, Error = Infallible> + Clone + Send + Sync + 'static {
    routes_for(storage, Arc::new(Semaphore::new(READERS)))
}

fn routes_for(
    storage: Storage,
    slots: Arc<Semaphore>,
) -> impl Filter<Extract = impl Reply, Error = Infallible> + Clone + Send + Sync + 'static {
    let read = warp::get().or(warp::head()).unify().and(warp::path!("r" / String / String)).then(
        move |id: String, file: String| {
            let (storage, slots) = (storage.clone(), Arc::clone(&slots));
            async move { answer(&storage, slots, &id, &file).await }
        },
    );
    read.recover(async |_| Ok::<_, Infallible>(nothing()))
}

/// A report and its place among those that are held in memory.
struct Held {
    content: Bytes,
    _slot: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

async fn answer(storage: &Storage, slots: Arc<Semaphore>, id: &str, file: &str) -> warp::reply::Response {
    let Some(id) = ReportId::parse(id).filter(|_| is_plain(file)) else { return nothing() };
    let Ok(slot) = slots.acquire_owned().await else { return unavailable() };
    let read = async {
        match storage.report(&id, file).await? {
            Some(found) => Ok(Some(found.bytes().await?)),
            None => Ok::<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>>(None),
        }
    };
    match read.await {
        // The place is free when the last reference to the content is gone: it was sent, or the connection has ended.
        Ok(Some(content)) => found(file, Bytes::from_owner(Held { content, _slot: slot })),
        Ok(None) => nothing(),
        Err(error) => {
            tracing::warn!(%error, "a report could not be read");
            unavailable()
        }
    }
}

/// A file name as we make them: no folder, no dot in front.
fn is_plain(file: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    (1..=400).contains(&file.len()) && !file.starts_with('.') && file.bytes().all(is_plain)
}

fn found(file: &str, content: Bytes) -> warp::reply::Response {
    let (kind, is_download) = match file.rsplit('.').next() {
        Some("html") => ("text/html; charset=utf-8", false),
        Some("json") => ("application/json", false),
        Some("folded") => ("text/plain; charset=utf-8", false),
        _ => ("application/octet-stream", true),
    };
    let mut response = Response::new(content.into());
    with_headers(&mut response, kind);
    if is_download && let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{file}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn nothing() -> warp::reply::Response {
    plain(
        StatusCode::NOT_FOUND,
        "there is no such report: it may have expired; `kubectl get leakinvestigations -o wide` shows the links\n",
    )
}

fn unavailable() -> warp::reply::Response {
    plain(StatusCode::SERVICE_UNAVAILABLE, "the report store does not answer: try again later\n")
}

fn plain(status: StatusCode, text: &'static str) -> warp::reply::Response {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()).into());
    *response.status_mut() = status;
    with_headers(&mut response, "text/plain; charset=utf-8");
    response
}

fn with_headers(response: &mut warp::reply::Response, kind: &'static str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::{sleep, timeout},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::serve::serve;

    #[tokio::test]
    async fn only_whole_addresses_give_a_report_and_all_others_the_same_answer() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(&format!("file://{}", directory.path().display())).unwrap();
        let id = storage.report_id("u").await.unwrap();
        storage.put_report(&id, "shop-cart.html", Bytes::from_static(b"<p>page")).await.unwrap();
        storage.put_report(&id, "shop-cart.pb.gz", Bytes::from_static(b"profile")).await.unwrap();
        let routes = routes(storage);
        let ask = async |method: &str, path: &str| {
            warp::test::request().method(method).path(path).reply(&routes).await
        };
        let page = ask("GET", &format!("/r/{id}/shop-cart.html")).await;
        assert_eq!((page.status().as_u16(), page.body().as_ref()), (200, &b"<p>page"[..]));
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        for (name, value) in HEADERS {
            assert_eq!(page.headers()[name], value);
        }
        let profile = ask("GET", &format!("/r/{id}/shop-cart.pb.gz")).await;
        assert_eq!(profile.headers()["content-disposition"], "attachment; filename=\"shop-cart.pb.gz\"");
        let unknown = ask("GET", "/").await;
        assert_eq!(unknown.status(), 404);
        for path in [
            format!("/r/{id}"),
            format!("/r/{id}/"),
            format!("/r/{id}/other.html"),
            format!("/r/{id}/..%2f..%2finvestigations%2fu%2freport-id"),
            format!("/r/{}/shop-cart.html", "0".repeat(32)),
            "/r/../investigations/u/report-id".to_owned(),
            "/investigations/u/report-id".to_owned(),
        ] {
            let answer = ask("GET", &path).await;
            assert_eq!((answer.status(), answer.body()), (unknown.status(), unknown.body()), "{path}");
            assert_eq!(answer.headers(), unknown.headers(), "{path}");
        }
        assert_eq!(ask("POST", &format!("/r/{id}/shop-cart.html")).await.status(), 404);
    }

    #[tokio::test]
    async fn a_report_takes_its_place_until_it_was_sent_or_the_peer_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(&format!("file://{}", directory.path().display())).unwrap();
        let id = storage.report_id("u").await.unwrap();
        // more than the kernel's buffers take
        storage.put_report(&id, "large.html", Bytes::from(vec![b'x'; 32 << 20])).await.unwrap();
        let slots = Arc::new(Semaphore::new(1));
        let free = async |free: usize| {
            let patience = async {
                while slots.available_permits() != free {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(30), patience).await.unwrap();
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = routes_for(storage, Arc::clone(&slots));
        let serving = tokio::spawn(serve(listener, None, routes, CancellationToken::new()));
        let ask = async |file: &str| {
            let mut peer = TcpStream::connect(address).await.unwrap();
            let head = format!("GET /r/{id}/{file} HTTP/1.1\r\nHost: reports\r\nConnection: close\r\n\r\n");
            peer.write_all(head.as_bytes()).await.unwrap();
            peer
        };
        let mut deaf = ask("large.html").await;
        deaf.read_u8().await.unwrap();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(slots.available_permits(), 0, "it is still in memory");
        drop(deaf);
        free(1).await;
        let mut page = Vec::new();
        ask("large.html").await.read_to_end(&mut page).await.unwrap();
        assert!(page.len() > 32 << 20);
        free(1).await;
        assert_eq!(ask("other.html").await.read_u8().await.unwrap(), b'H');
        free(1).await;
        serving.abort();
    }
}
