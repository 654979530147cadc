//! The OCI archive of an image: one layer, one configuration, one manifest, and an index that names it.
//!
//! Format: <https://github.com/opencontainers/image-spec>, image layout inside a tar file.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::{Image, Kind};

const SEARCH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A part of the archive, stored under its own hash.
struct Blob {
    bytes: Vec<u8>,
    digest: String,
}

impl Blob {
    fn of(bytes: Vec<u8>) -> Self {
        let digest = format!("{:x}", Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    fn json(value: &Value) -> Self {
        Self::of(value.to_string().into_bytes())
    }

    fn described(&self, kind: &str) -> Value {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{}", self.digest),
            "size": self.bytes.len(),
        })
    }
}

/// The archive's bytes, the same for the same image.
pub(super) fn of(image: &Image) -> Result<Vec<u8>> {
    let layer = Blob::of(layer(image)?);
    let config = Blob::json(&config(image, &layer));
    let manifest = Blob::json(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.described("config.v1+json"),
        "layers": [layer.described("layer.v1.tar")],
    }));
    let mut described = manifest.described("manifest.v1+json");
    described["annotations"] = json!({
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name,
    });
    let index = json!({"schemaVersion": 2, "manifests": [described]});

    let mut archive = Builder::new(Vec::new());
    append(&mut archive, "oci-layout", EntryType::Regular, 0o644, 0, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    append(&mut archive, "index.json", EntryType::Regular, 0o644, 0, index.to_string().as_bytes())?;
    for blob in [&layer, &config, &manifest] {
        let path = format!("blobs/sha256/{}", blob.digest);
        append(&mut archive, &path, EntryType::Regular, 0o644, 0, &blob.bytes)?;
    }
    Ok(archive.into_inner()?)
}

fn config(image: &Image, layer: &Blob) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut run = json!({"Env": [SEARCH], "Entrypoint": image.entrypoint});
    if let Some(user) = &image.user {
        run["User"] = json!(user);
    }
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)]},
    })
}

fn layer(image: &Image) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (path, entry) in &image.entries {
        match &entry.kind {
            Kind::Folder => append(&mut tar, path, EntryType::Directory, entry.mode, entry.owner, &[])?,
            Kind::File(bytes) => append(&mut tar, path, EntryType::Regular, entry.mode, entry.owner, bytes)?,
            Kind::Link(target) => {
                let mut header = header(EntryType::Symlink, entry.mode, entry.owner);
                header.set_size(0);
                tar.append_link(&mut header, path, target)?;
            }
        }
    }
    Ok(tar.into_inner()?)
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    owner: u64,
    bytes: &[u8],
) -> Result<()> {
    let mut header = header(kind, mode, owner);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)?;
    Ok(())
}

/// Nothing of this machine: no time, no names.
fn header(kind: EntryType, mode: u32, owner: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_mtime(0);
    header
}
