use std::sync::Arc;

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use super::*;

const NAME: &str = "leakhound-operator.leakhound-system.svc";

fn names() -> Vec<String> {
    vec![NAME.to_owned()]
}

fn later(now: Timestamp, hours: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_hours(hours)).unwrap()
}

/// Takes every step that is due at `now`, as the operator does.
fn settle(mut held: Held, now: Timestamp) -> (Held, Vec<Step>) {
    let mut steps = Vec::new();
    while let Some(step) = due(&held, &names(), now) {
        held = take(step, held, &names(), now).unwrap();
        steps.push(step);
        assert!(steps.len() < 5, "{steps:?}");
    }
    (held, steps)
}

#[derive(Debug)]
struct At(Timestamp);

impl rustls::time_provider::TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// A whole TLS handshake in memory, with the client's clock at `now`.
fn trusts(bundle: &str, leaf: &Pair, now: Timestamp) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(At(now)))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let chain =
        CertificateDer::pem_slice_iter(leaf.certificate.as_bytes()).map(Result::unwrap).collect::<Vec<_>>();
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(NAME).unwrap())?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn every_agent_trusts_every_certificate_for_five_years() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (mut held, steps) = settle(Held::default(), start);
    assert_eq!(steps, [Step::Found, Step::Sign]);
    let mut taken = Vec::new();
    // A look every fifty hours; an agent reads the bundle one look later than the operator writes it.
    for look in 1..(5 * 365 * 24 / 50) {
        let now = later(start, look * 50);
        let before = held.bundle();
        let served_before = held.leaf.clone().unwrap();
        let (after, steps) = settle(held, now);
        let leaf = after.leaf.as_ref().unwrap();
        trusts(&before, leaf, now).unwrap_or_else(|error| panic!("old bundle, new leaf at {now}: {error}"));
        trusts(&after.bundle(), &served_before, now)
            .unwrap_or_else(|error| panic!("new bundle, old leaf at {now}: {error}"));
        taken.extend(steps);
        held = after;
    }
    let count = |step| taken.iter().filter(|taken| **taken == step).count();
    assert!(count(Step::Succeed) >= 6, "{taken:?}");
    assert_eq!(count(Step::Announce).abs_diff(count(Step::Succeed)), 0);
    assert!(count(Step::Sign) >= 5 * 365 / 60, "{}", count(Step::Sign));
}

#[test]
fn who_died_between_two_writes_leaves_no_certificate_that_nobody_trusts() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (old, _) = settle(Held::default(), now);
    // A person deleted the Secret leakhound-ca. The next authority was written down, and the certificate was not.
    let now = later(now, 1);
    let deleted = Held { authority: None, ..old.clone() };
    let found = take(Step::Found, deleted, &names(), now).unwrap();
    let half = Held { leaf: old.leaf.clone(), ..found };
    assert!(trusts(&half.bundle(), half.leaf.as_ref().unwrap(), now).is_err());
    let (mended, steps) = settle(half, later(now, 1));
    assert_eq!(steps, [Step::Sign]);
    trusts(&mended.bundle(), mended.leaf.as_ref().unwrap(), later(now, 1)).unwrap();
}

#[test]
fn strangers_are_not_trusted() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (ours, _) = settle(Held::default(), now);
    let (other, _) = settle(Held::default(), now);
    let leaf = ours.leaf.as_ref().unwrap();
    trusts(&ours.bundle(), leaf, now).unwrap();
    assert!(trusts(&other.bundle(), leaf, now).is_err());
    assert!(trusts(&ours.bundle(), leaf, later(now, 91 * 24)).is_err(), "after its end");
}

#[test]
fn new_names_give_a_new_certificate_and_foreign_ones_stay() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (held, _) = settle(Held::default(), now);
    let more = [NAME.to_owned(), "localhost".to_owned()];
    assert_eq!(due(&held, &names(), now), None);
    assert_eq!(due(&held, &more, now), Some(Step::Sign));
    let mut foreign = held;
    for pair in [&mut foreign.authority, &mut foreign.leaf].into_iter().flatten() {
        pair.valid = None;
    }
    assert_eq!(due(&foreign, &more, later(now, 10_000)), None);
    foreign.leaf = None;
    let error = take(Step::Sign, foreign, &more, now).unwrap_err();
    assert!(error.to_string().contains("put a server certificate"), "{error}");
}
