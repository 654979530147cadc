//! Reading the authority from the cluster, taking the steps that are due, and writing it back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams},
};
use thiserror::Error;

use super::{Held, Pair, Step, TakeError, Validity, due, take};

const AUTHORITY: &str = "leakhound-ca";
const LEAF: &str = "leakhound-tls";
const FIELD_MANAGER: &str = "leakhound-operator";
/// On each Secret: when its certificates were made and end, `FROM/UNTIL`, so that nobody has to parse them.
const VALID: &str = "leakhound.dev/valid";
const NEXT_VALID: &str = "leakhound.dev/next-valid";
const NAMES: &str = "leakhound.dev/names";
const SIGNER: &str = "leakhound.dev/signer";

/// Why agents may not be able to trust us.
#[derive(Debug, Error)]
pub(crate) enum AuthorityError {
    /// A Secret or the ConfigMap could not be read or written.
    #[error("cannot {action} {object}: the operator needs get, patch and create on it")]
    Api {
        action: &'static str,
        object: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Take(#[from] TakeError),
}

/// Takes every step that is due, and publishes the authorities. Two leaders for a moment do no harm: writes carry the
/// version that they were made from, and the slower one fails and reads again.
pub(crate) async fn publish(
    client: &Client,
    namespace: &str,
    names: &[String],
) -> Result<(), AuthorityError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let now = Timestamp::now();
    let authority = get(&secrets, AUTHORITY).await?;
    let leaf = get(&secrets, LEAF).await?;
    let before = held(authority.as_ref(), leaf.as_ref());
    let mut after = before.clone();
    while let Some(step) = due(&after, names, now) {
        tracing::info!(?step, "certificates");
        after = take(step, after, names, now)?;
        if step == Step::Sign {
            break;
        }
    }
    let version =
        |secret: Option<&Secret>| secret.and_then(|secret| secret.metadata.resource_version.clone());
    if (&before.authority, &before.next, &before.previous) != (&after.authority, &after.next, &after.previous)
    {
        apply(&secrets, &authority_secret(&after, version(authority.as_ref())), AUTHORITY).await?;
    }
    publish_bundle(client, namespace, after.bundle()).await?;
    if before.leaf != after.leaf {
        apply(&secrets, &leaf_secret(&after, version(leaf.as_ref())), LEAF).await?;
    }
    Ok(())
}

/// The server certificate of the cluster; `None` before a leader has made one.
pub(crate) async fn load_leaf(client: &Client, namespace: &str) -> Result<Option<Pair>, AuthorityError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = get(&secrets, LEAF).await?;
    Ok(held(None, secret.as_ref()).leaf)
}

async fn get(api: &Api<Secret>, name: &'static str) -> Result<Option<Secret>, AuthorityError> {
    let failed =
        |source| AuthorityError::Api { action: "read Secret", object: name, source: Box::new(source) };
    api.get_opt(name).await.map_err(failed)
}

async fn apply(api: &Api<Secret>, secret: &Secret, name: &'static str) -> Result<(), AuthorityError> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let failed =
        |source| AuthorityError::Api { action: "write Secret", object: name, source: Box::new(source) };
    api.patch(name, &params, &Patch::Apply(secret)).await.map(drop).map_err(failed)
}

async fn publish_bundle(client: &Client, namespace: &str, bundle: String) -> Result<(), AuthorityError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(AUTHORITY.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("ca.crt".to_owned(), bundle)])),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let failed = |source| AuthorityError::Api {
        action: "write ConfigMap",
        object: AUTHORITY,
        source: Box::new(source),
    };
    maps.patch(AUTHORITY, &params, &Patch::Apply(&map)).await.map(drop).map_err(failed)
}

fn held(authority: Option<&Secret>, leaf: Option<&Secret>) -> Held {
    Held {
        authority: authority.and_then(|secret| pair(secret, "ca", VALID)),
        next: authority.and_then(|secret| pair(secret, "next", NEXT_VALID)),
        previous: authority.and_then(|secret| text(secret, "previous.crt")),
        leaf: leaf.and_then(|secret| pair(secret, "tls", VALID)),
        names: leaf
            .and_then(|secret| annotation(secret, NAMES))
            .map(|names| names.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        signer: leaf.and_then(|secret| annotation(secret, SIGNER)?.parse().ok()),
    }
}

fn pair(secret: &Secret, stem: &str, valid: &str) -> Option<Pair> {
    let (certificate, key) = (text(secret, &format!("{stem}.crt"))?, text(secret, &format!("{stem}.key"))?);
    let valid = annotation(secret, valid).and_then(|text| {
        let (from, until) = text.split_once('/')?;
        Some(Validity { from: from.parse().ok()?, until: until.parse().ok()? })
    });
    Some(Pair { certificate, key, valid })
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

fn annotation<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn authority_secret(held: &Held, version: Option<String>) -> Secret {
    let mut secret = secret(AUTHORITY, "Opaque", version);
    put(&mut secret, held.authority.as_ref(), "ca", VALID);
    put(&mut secret, held.next.as_ref(), "next", NEXT_VALID);
    if let Some(previous) = &held.previous {
        data(&mut secret).insert("previous.crt".to_owned(), ByteString(previous.clone().into_bytes()));
    }
    secret
}

fn leaf_secret(held: &Held, version: Option<String>) -> Secret {
    let mut secret = secret(LEAF, "kubernetes.io/tls", version);
    put(&mut secret, held.leaf.as_ref(), "tls", VALID);
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.insert(NAMES.to_owned(), held.names.join(","));
    if let Some(signer) = held.signer {
        annotations.insert(SIGNER.to_owned(), signer.to_string());
    }
    secret
}

fn secret(name: &str, kind: &str, resource_version: Option<String>) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), resource_version, ..ObjectMeta::default() },
        type_: Some(kind.to_owned()),
        ..Secret::default()
    }
}

fn put(secret: &mut Secret, pair: Option<&Pair>, stem: &str, valid: &str) {
    let Some(pair) = pair else { return };
    for (extension, text) in [("crt", &pair.certificate), ("key", &pair.key)] {
        data(secret).insert(format!("{stem}.{extension}"), ByteString(text.clone().into_bytes()));
    }
    if let Some(dates) = pair.valid {
        let text = format!("{}/{}", dates.from, dates.until);
        secret.metadata.annotations.get_or_insert_default().insert(valid.to_owned(), text);
    }
}

fn data(secret: &mut Secret) -> &mut BTreeMap<String, ByteString> {
    secret.data.get_or_insert_default()
}
