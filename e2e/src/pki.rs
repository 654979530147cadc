//! A certificate authority for a cluster that lives for minutes, and the kubeconfig files of its users.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use kube::config::Kubeconfig;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate and its key, both as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Identity {
    /// Writes `<name>.crt` and `<name>.key`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        write(&folder.join(format!("{name}.crt")), &self.certificate)?;
        write(&folder.join(format!("{name}.key")), &self.key)
    }
}

/// The authority that signs everything in a cluster.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes a new authority, with keys that never leave this machine.
    ///
    /// # Errors
    /// When the keys cannot be made.
    pub fn create() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "leakhound-test-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// What clients need to trust the cluster's servers, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Writes `ca.crt`. The key stays in memory: whoever needs another certificate makes another cluster.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write(&folder.join("ca.crt"), &self.certificate)
    }

    /// A certificate for a user of the API: `group` is what RBAC knows as the user's group, `names` are the host names and addresses of a
    /// server.
    ///
    /// # Errors
    /// When a name is no host name or address.
    pub fn issue(&self, user: &str, group: Option<&str>, names: &[String]) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

/// Writes `sa.key` and `sa.pub`, with which the API server signs and checks the tokens of service accounts.
///
/// # Errors
/// When a file cannot be written.
pub fn write_token_keys(folder: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    write(&folder.join("sa.key"), &key.serialize_pem())?;
    write(&folder.join("sa.pub"), &key.public_key_pem())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A kubeconfig for this server and user, complete in one file.
///
/// # Errors
/// Only when the value cannot be made from its parts, which does not depend on the arguments.
pub fn kubeconfig(server: &str, authority: &str, identity: &Identity) -> Result<Kubeconfig> {
    let name = "leakhound";
    serde_json::from_value(serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": server,
            "certificate-authority-data": base64(authority.as_bytes()),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": base64(identity.certificate.as_bytes()),
            "client-key-data": base64(identity.key.as_bytes()),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }))
    .context("cannot make a kubeconfig")
}

/// Writes a kubeconfig so that only its owner reads it.
///
/// # Errors
/// When the file cannot be written.
pub fn write_kubeconfig(path: &Path, config: &Kubeconfig) -> Result<()> {
    write(path, &serde_yaml_ng::to_string(config)?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
    std::io::Write::write_all(&mut file, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
