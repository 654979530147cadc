//! The operator's side of an upload, as a test wants it: with the answers that the test gives it, and none by itself.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
};
use warp::{Filter, http::StatusCode, hyper::body::Bytes};

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This status, once all was received.
    Status(u16),
    /// None: the connection breaks in the middle of the body.
    CutOff,
}

/// An upload that came whole.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// Where to.
    pub(crate) path: String,
    /// The `Authorization` header.
    pub(crate) authorization: String,
    /// The `Leakhound-Sha256` header.
    pub(crate) sha256: String,
    /// The `Content-Length` header.
    pub(crate) length: u64,
    /// The body.
    pub(crate) body: Bytes,
}

/// A TLS server with an authority of its own.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// `https://localhost:PORT`.
    pub(crate) url: String,
    /// Its authority's certificate, PEM.
    pub(crate) ca: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    answers: Mutex<VecDeque<Answer>>,
    uploads: Mutex<Vec<Upload>>,
}

impl Receiver {
    /// Gives these answers one after the other, and the last one for ever.
    pub(crate) async fn start(answers: &[Answer]) -> Result<Self> {
        let (ca, tls) = certificates()?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let state = Arc::new(State { answers: Mutex::new(answers.to_vec().into()), ..State::default() });
        let server = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&state)));
        Ok(Self { url, ca, state, server })
    }

    /// What came so far.
    pub(crate) fn uploads(&self) -> Vec<Upload> {
        self.state.uploads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers from now on.
    pub(crate) fn answer(&self, answers: &[Answer]) {
        *self.state.answers.lock().unwrap_or_else(PoisonError::into_inner) = answers.to_vec().into();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn next(&self) -> Answer {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match answers.len() {
            0 | 1 => answers.front().copied().unwrap_or(Answer::Status(503)),
            _ => answers.pop_front().unwrap_or(Answer::Status(503)),
        }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, tls.clone(), Arc::clone(&state)));
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, state: Arc<State>) {
    let Ok(mut stream) = tls.accept(stream).await else { return }; // whoever does not trust us goes away
    let answer = state.next();
    if answer == Answer::CutOff {
        let mut some = [0; 600];
        let _some_or_none = stream.read(&mut some).await;
        return;
    }
    let Answer::Status(status) = answer else { return };
    let header = warp::header::<String>;
    let filter = warp::put()
        .and(warp::path::full())
        .and(header("authorization"))
        .and(header("leakhound-sha256"))
        .and(warp::header::<u64>("content-length"))
        .and(warp::body::bytes())
        .map(move |path: warp::path::FullPath, authorization, sha256, length, body| {
            let upload = Upload { path: path.as_str().to_owned(), authorization, sha256, length, body };
            state.uploads.lock().unwrap_or_else(PoisonError::into_inner).push(upload);
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        })
        .recover(|_: warp::Rejection| async { Ok::<_, Infallible>(StatusCode::NOT_FOUND) });
    let service = TowerToHyperService::new(warp::service(filter));
    let _ended =
        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn certificates() -> Result<(String, ServerConfig)> {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((authority.pem(), config))
}
