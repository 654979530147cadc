//! Who speaks to the server, and as whom.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};

use super::ApiServer;
use crate::{pki, tools::Tools, wait::until};

/// What a service account's token is bound to.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// Nothing: it outlives every pod.
    None,
    /// A pod of the account's namespace: it names the pod and its node, and ends with the pod.
    Pod(&'a str),
    /// A pod by name and uid: a kubelet may ask for no other.
    ExactPod(&'a str, &'a str),
    /// A node.
    Node(&'a str),
}

/// What a command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit status was 0.
    pub ok: bool,
    /// What it printed, errors after the rest.
    pub text: String,
}

impl Output {
    /// What was printed, where all went well; otherwise an error with it.
    pub fn success(self) -> Result<String> {
        anyhow::ensure!(self.ok, "{}", self.text);
        Ok(self.text)
    }
}

impl ApiServer {
    /// A client that may do everything. It lives as long as the test's own runtime, so each test takes its own.
    pub fn admin(&self) -> Result<Client> {
        self.client_of("admin", Some("system:masters"))
    }

    /// A client of a user, known by certificate.
    pub fn client_of(&self, user: &str, group: Option<&str>) -> Result<Client> {
        client(&self.user_config(user, group)?)
    }

    /// A client with a bearer token.
    pub fn client_with(&self, token: &str) -> Result<Client> {
        client(&self.token_config(token)?)
    }

    /// A kubeconfig file of a user, known by certificate.
    pub fn kubeconfig(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        self.write(&user.replace(':', "_"), &self.user_config(user, group)?)
    }

    /// A kubeconfig file with a bearer token; `name` tells it from others.
    pub fn kubeconfig_with(&self, name: &str, token: &str) -> Result<PathBuf> {
        self.write(name, &self.token_config(token)?)
    }

    /// A token of a service account, for the API server or for another audience.
    ///
    /// # Errors
    /// When the account or what the token is bound to does not exist.
    pub async fn token(
        &self,
        namespace: &str,
        account: &str,
        bound: Binding<'_>,
        audience: Option<&str>,
    ) -> Result<String> {
        request_token(&self.admin()?, namespace, account, bound, audience).await
    }

    /// Makes a namespace, called `prefix` and a random end, and waits until pods can be made in it.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let client = self.admin()?;
        let wanted = Namespace {
            metadata: ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        let made = Api::all(client.clone()).create(&PostParams::default(), &wanted).await?;
        let name = made.metadata.name.context("a namespace has a name")?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &name);
        until("the namespace has its service account", super::START, async || {
            Ok(accounts.get("default").await?)
        })
        .await?;
        Ok(name)
    }

    /// Runs kubectl as an administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        self.kubectl_with(&self.kubeconfig("admin", Some("system:masters"))?, arguments, "")
    }

    /// Runs kubectl with a kubeconfig file and what it reads at its standard input.
    pub fn kubectl_with(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<Output> {
        let mut child = Command::new(Tools::build(&[Tools::Kubernetes])?.join("kubectl"))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--cache-dir")
            .arg(self.file("kubectl"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run kubectl")?;
        let written = child.stdin.take().context("kubectl has a standard input")?.write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim_end().to_owned();
        if output.status.success() {
            written.context("kubectl did not read all of its input")?;
        }
        Ok(Output { ok: output.status.success(), text })
    }

    fn user_config(&self, user: &str, group: Option<&str>) -> Result<Kubeconfig> {
        pki::kubeconfig(&self.url, self.ca(), &self.authority.issue(user, group, &[])?)
    }

    fn token_config(&self, token: &str) -> Result<Kubeconfig> {
        let mut config = self.user_config("nobody", None)?;
        let user = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        config.auth_infos.iter_mut().for_each(|named| named.auth_info = Some(user.clone()));
        Ok(config)
    }

    fn write(&self, name: &str, config: &Kubeconfig) -> Result<PathBuf> {
        let path = self.file(&format!("{name}.kubeconfig"));
        // others may be reading the same file
        let draft = self.file(&format!("{name}.{:?}", std::thread::current().id()));
        pki::write_kubeconfig(&draft, config)?;
        fs::rename(&draft, &path)?;
        Ok(path)
    }
}

/// Asks for a token of a service account, with the rights of this client.
///
/// # Errors
/// When the server refuses.
pub async fn request_token(
    client: &Client,
    namespace: &str,
    account: &str,
    bound: Binding<'_>,
    audience: Option<&str>,
) -> Result<String> {
    let reference = |kind: &str, name: &str, uid: Option<&str>| BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        uid: uid.map(str::to_owned),
    };
    let spec = TokenRequestSpec {
        audiences: audience.map(str::to_owned).into_iter().collect(),
        bound_object_ref: match bound {
            Binding::None => None,
            Binding::Pod(name) => Some(reference("Pod", name, None)),
            Binding::ExactPod(name, uid) => Some(reference("Pod", name, Some(uid))),
            Binding::Node(name) => Some(reference("Node", name, None)),
        },
        expiration_seconds: None,
    };
    let request = TokenRequest { metadata: ObjectMeta::default(), spec, status: None };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(answer.status.context("the server gave no token")?.token)
}

fn client(config: &Kubeconfig) -> Result<Client> {
    let config = config.clone();
    let options = KubeConfigOptions::default();
    let made = futures::executor::block_on(Config::from_custom_kubeconfig(config, &options))?;
    Ok(Client::try_from(made)?)
}
